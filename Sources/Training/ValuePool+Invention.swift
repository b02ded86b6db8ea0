extension ValuePool {
  /// A value that nobody has used, in the shape of one that was: `pattern` with some of its words exchanged for words of any
  /// slot or for words put together from the halves of two, and with other digits.
  ///
  /// - Parameters:
  ///   - pattern: a value of the slot.
  ///   - random: 64 random bits for each number from 0.
  package func invent(like pattern: String, random: (UInt64) -> UInt64) -> String {
    var place: UInt64 = 0
    func below(_ limit: Int) -> Int {
      place += 1
      return Int(random(place).multipliedFullWidth(by: UInt64(max(1, limit))).high)
    }
    let invented = pattern.split(separator: " ", omittingEmptySubsequences: false).map { word -> String in
      guard !word.isEmpty else { return "" }
      if word.contains(where: \.isNumber) {
        return String(word.map { ("0"..."9").contains($0) ? Character(String(below(10))) : $0 })
      }
      guard !words.isEmpty else { return String(word) }
      switch below(3) {
      case 0: return String(word)
      case 1: return words[below(words.count)]
      default: return Self.splice(words[below(words.count)], words[below(words.count)], at: below(1 << 20))
      }
    }
    return invented.joined(separator: " ")
  }

  /// The beginning of one word and the end of another, cut at places that `choice` names.
  private static func splice(_ one: String, _ other: String, at choice: Int) -> String {
    let (first, second) = (Array(one), Array(other))
    let head = first.prefix(1 + choice % first.count)
    let tail = second.suffix(1 + choice / first.count % second.count)
    return String(head + tail)
  }
}
