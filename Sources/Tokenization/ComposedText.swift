/// A text that is not in normalization form C, beside its form, and the way back: as which piece of the text a piece of the form
/// was written.
///
/// The text is split where ``NormalizationFormC`` never composes across. Each part has its form by itself, so that places are the
/// same there in both. Linear in the text.
struct ComposedText {
  private let raw: [UInt8]
  private let composed: [UInt8]
  /// For each place in the form the place in the text where a part begins in both, −1 where none does, and both ends at the end.
  private let places: [Int]

  /// Nil where the text is in the form already.
  init?(_ text: String) {
    let raw = Array(text.utf8)
    let form = NormalizationFormC.shared
    let whole = raw.withUnsafeBufferPointer { form.normalized($0) }
    guard let whole, whole != raw else { return nil }
    var composed: [UInt8] = []
    var places: [Int] = []
    composed.reserveCapacity(whole.count)
    places.reserveCapacity(whole.count + 1)
    raw.withUnsafeBufferPointer { bytes in
      func append(_ part: Range<Int>) {
        let part = UnsafeBufferPointer(rebasing: bytes[part])
        if let form = form.normalized(part) { composed += form } else { composed += part }
      }
      var start = 0
      var position = 0
      while position < bytes.count {
        let (value, length) = UTF8Scalar.read(bytes, position)
        if position > start, value.map({ form.isBoundary(before: $0) }) ?? true {
          Self.note(start, at: composed.count, in: &places)
          append(start..<position)
          start = position
        }
        position += length
      }
      Self.note(start, at: composed.count, in: &places)
      append(start..<position)
    }
    Self.note(raw.count, at: composed.count, in: &places)
    (self.raw, self.composed, self.places) = (raw, composed, places)
  }

  private static func note(_ place: Int, at composed: Int, in places: inout [Int]) {
    while places.count < composed { places.append(-1) }
    places.append(place)
  }

  /// The piece of the text whose form `value` is, the first bounded by words where there are several; nil where there is none, and
  /// where the text has the value as it is. Linear in the text.
  func piece(of value: String) -> String? {
    let value = Array(value.utf8)
    guard Occurrences(of: value, in: raw).first == nil else { return nil }
    let found = Occurrences(of: value, in: composed) { places[$0.lowerBound] >= 0 && places[$0.upperBound] >= 0 }
    guard let start = found.atWordBoundaries ?? found.first else { return nil }
    return String(decoding: raw[places[start]..<places[start + value.count]], as: UTF8.self)
  }
}
