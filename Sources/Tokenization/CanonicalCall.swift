import Topics

/// Puts a call's keys into their canonical order: that in which their values first occur in the request; then those whose
/// values do not occur, in the schema's order; then those that the schema does not name, in order of their bytes.
///
/// A value occurs where its text stands between word boundaries, or, where it nowhere does, at its first occurrence at all;
/// numbers occur as they are written in JSON, arrays and objects where their first part does, Booleans and null nowhere.
struct CanonicalCall {
  private let request: [UInt8]
  private let schema: SchemaNavigator

  /// - Parameter schema: of the arguments; nil where it is not known.
  init(request: String, schema: JSONSchema?) {
    self.request = Array(request.utf8)
    self.schema = SchemaNavigator(schema)
  }

  func arguments(_ arguments: JSONObject) -> JSONObject { ordered(arguments, [schema.root]).object }

  private func ordered(_ object: JSONObject, _ schemas: [JSON]) -> (object: JSONObject, place: Int?) {
    struct Entry {
      let key: String
      let value: JSON
      let place: Int
      let rank: Int
    }
    let names = schema.propertyNames(of: schemas)
    var entries: [Entry] = []
    for (key, value) in object {
      let (value, place) = ordered(value, schema.property(key, of: schemas))
      let rank = names.firstIndex(of: key) ?? names.count
      entries.append(Entry(key: key, value: value, place: place ?? .max, rank: rank))
    }
    entries.sort { first, second in
      if first.place != second.place { return first.place < second.place }
      if first.rank != second.rank { return first.rank < second.rank }
      return first.key.utf8.lexicographicallyPrecedes(second.key.utf8)
    }
    var result = JSONObject()
    for entry in entries { result[entry.key] = entry.value }
    return (result, entries.first.flatMap { $0.place == .max ? nil : $0.place })
  }

  private func ordered(_ value: JSON, _ schemas: [JSON]) -> (value: JSON, place: Int?) {
    switch value {
    case .string(let text): return (value, place(of: text))
    case .integer, .number: return (value, place(of: value.text))
    case .null, .bool: return (value, nil)
    case .array(let elements):
      let items = schema.items(of: schemas)
      let parts = elements.map { ordered($0, items) }
      return (.array(parts.map(\.value)), parts.compactMap(\.place).min())
    case .object(let object):
      let (object, place) = ordered(object, schemas)
      return (.object(object), place)
    }
  }

  private func place(of text: String) -> Int? {
    let occurrences = Occurrences(of: Array(text.utf8), in: request)
    return occurrences.atWordBoundaries ?? occurrences.first
  }
}

/// Where a text occurs in another, found in linear time.
/// Reference: Knuth, Morris, Pratt 1977, "Fast Pattern Matching in Strings".
package struct Occurrences {
  /// The first occurrence, in bytes.
  private(set) var first: Int?
  /// The first one that neither begins nor ends within a run of letters or of digits.
  private(set) var atWordBoundaries: Int?

  /// - Parameter counts: whether a place counts; default: all do.
  init(of pattern: [UInt8], in text: [UInt8], where counts: (Range<Int>) -> Bool = { _ in true }) {
    guard !pattern.isEmpty, pattern.count <= text.count else { return }
    var failure = [Int](repeating: 0, count: pattern.count)
    var length = 0
    for index in 1..<pattern.count {
      while length > 0, pattern[index] != pattern[length] { length = failure[length - 1] }
      if pattern[index] == pattern[length] { length += 1 }
      failure[index] = length
    }
    length = 0
    for (index, byte) in text.enumerated() {
      while length > 0, byte != pattern[length] { length = failure[length - 1] }
      if byte == pattern[length] { length += 1 }
      guard length == pattern.count else { continue }
      length = failure[length - 1]
      let start = index + 1 - pattern.count
      guard counts(start..<index + 1) else { continue }
      if first == nil { first = start }
      if Self.isBoundary(text, start), Self.isBoundary(text, index + 1) {
        atWordBoundaries = start
        return
      }
    }
  }

  /// Whether no word goes on across a place: no run of letters, none of digits. Characters of other scripts count as letters, but for
  /// those whose first byte is that of Latin-1's signs or of general punctuation: “ ” ’ – … and no-break spaces are as ASCII's.
  ///
  /// The first bytes of characters alone decide: where the same text is before the same byte, there always is such a place or never.
  package static func isBoundary(_ text: [UInt8], _ place: Int) -> Bool {
    guard place > 0, place < text.count else { return true }
    if isContinuation(text[place]) { return false }
    var lead = place - 1
    while lead > 0, place - lead < 4, isContinuation(text[lead]) { lead -= 1 }
    let (before, after) = (kind(text[lead]), kind(text[place]))
    return before != after || before == 0
  }

  private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

  /// Of a character's first byte. 0xC2 begins U+0080 to U+00BF, 0xE2 U+2000 to U+2FFF.
  private static func kind(_ byte: UInt8) -> Int {
    switch byte {
    case 0x30...0x39: 2
    case 0xC2, 0xE2: 0
    case 0x41...0x5A, 0x61...0x7A, 0x80...: 1
    default: 0
    }
  }
}
