/// The known word nearest to a mistyped one.
enum NearestKey {
  /// The known word with the smallest edit distance, if that is no more than half of the word.
  ///
  /// - Parameter limit: the largest distance, if it is another.
  static func of(_ word: String, among known: some Sequence<String>, within limit: Int? = nil) -> String? {
    known.map { ($0, distance(Array(word.prefix(200).utf8), Array($0.utf8))) }
      .filter { $0.1 <= limit ?? max(2, word.utf8.count / 2) }
      .min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
  }

  /// Levenshtein's distance in bytes.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let substitution = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substitution, row[j] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }
}
