/// Finds what somebody meant who wrote a name that is not known.
package enum NearestName {
  /// The name with the smallest edit distance to `word`; of equals the first.
  package static func of(_ word: String, among names: [String]) -> String {
    names.min { distance($0, word) < distance($1, word) } ?? ""
  }

  /// Levenshtein's distance of the first 64 bytes.
  private static func distance(_ a: String, _ b: String) -> Int {
    let right = Array(b.utf8.prefix(64))
    var row = Array(0...right.count)
    for (i, x) in a.utf8.prefix(64).enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in right.enumerated() {
        let change = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(change, min(row[j], row[j + 1]) + 1)
      }
    }
    return row[right.count]
  }
}
