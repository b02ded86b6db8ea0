/// Unicode's normalization form C, with the peer's version of its data (``UnicodeData``).
///
/// Text that surely is in the form already, as nearly all is, is only looked at. Of other text, each scalar that may change is
/// brought into the form together with what it may combine with: what stands between two scalars that nothing changes and that
/// do not combine with what is before them. Linear in the text, n·log n in the marks on one letter.
/// Reference: Unicode Standard Annex 15, "Unicode Normalization Forms"; The Unicode Standard, section 3.12 (Hangul).
struct NormalizationFormC: Sendable {
  static let shared = NormalizationFormC()

  /// By scalar, up to the last whose class is not 0.
  private let combiningClasses: [UInt8]
  /// What a scalar consists of, one step: its row in `parts`.
  private let decompositions: CompactTable
  private let parts: [(first: UInt32, second: UInt32)]
  private let compositions: CompactTable

  private init() {
    var classes: [UInt8] = []
    let runs = UnicodeData.numbers(UnicodeData.combiningClasses)
    for index in stride(from: 0, to: runs.count, by: 3) {
      classes += Array(repeating: 0, count: Int(runs[index]) - classes.count)
      classes += Array(repeating: UInt8(runs[index + 2]), count: Int(runs[index + 1]))
    }
    combiningClasses = classes
    let rows = UnicodeData.numbers(UnicodeData.decompositions)
    var decompositions = CompactTable(minimumCapacity: rows.count / 4)
    var compositions = CompactTable(minimumCapacity: rows.count / 4)
    var parts: [(first: UInt32, second: UInt32)] = []
    var scalar: UInt32 = 0
    for index in stride(from: 0, to: rows.count, by: 4) {
      scalar += rows[index]
      decompositions[UInt64(scalar)] = Int32(parts.count)
      parts.append((rows[index + 1], rows[index + 2]))
      if rows[index + 3] == 1 { compositions[Self.key(rows[index + 1], rows[index + 2])] = Int32(scalar) }
    }
    self.decompositions = decompositions
    self.compositions = compositions
    self.parts = parts
  }

  /// The form of some UTF-8, or nil where it is in it already. Bytes that are not valid UTF-8 stay and combine with nothing.
  func normalized(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    // All scalars below U+0300 are stable: no lead byte below 0xCC needs a look.
    guard bytes.contains(where: { $0 >= 0xCC }) else { return nil }
    return ScalarTable.shared.flags.withUnsafeBufferPointer { flags in
      var result: [UInt8] = []
      var copied = 0
      var position = 0
      var stable = 0
      var marks: [UInt32] = []
      while position < bytes.count {
        let (value, length) = UTF8Scalar.read(bytes, position)
        guard let value, flags[Int(value)] & ScalarTable.unstable != 0 else {
          stable = position
          position += length
          continue
        }
        if result.isEmpty { result.reserveCapacity(bytes.count + bytes.count / 8) }
        let end = endOfUnstable(bytes, from: position, flags)
        result.append(contentsOf: bytes[copied..<stable])
        appendForm(of: UnsafeBufferPointer(rebasing: bytes[stable..<end]), to: &result, &marks)
        (position, copied, stable) = (end, end, end)
      }
      guard copied > 0 else { return nil }
      result.append(contentsOf: bytes[copied...])
      return result
    }
  }

  /// Whether text may be cut before a scalar: the forms of both parts are then the form of the whole. Taken apart, the scalar has to
  /// begin with one that stays where it is and combines with nothing before it.
  /// Reference: Unicode Standard Annex 15, section 9, "Detecting Normalization Forms" (boundaries are where a scalar's class is 0 and its
  /// quick check says yes).
  func isBoundary(before value: UInt32) -> Bool {
    let flags = ScalarTable.shared.flags
    var first = value
    while flags[Int(first)] & ScalarTable.unstable != 0 {
      guard let row = decompositions[UInt64(first)] else { return false }
      first = parts[Int(row)].first
    }
    return true
  }

  private func endOfUnstable(
    _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, _ flags: UnsafeBufferPointer<UInt8>
  ) -> Int {
    var position = start
    while position < bytes.count {
      let (value, length) = UTF8Scalar.read(bytes, position)
      guard let value, flags[Int(value)] & ScalarTable.unstable != 0 else { break }
      position += length
    }
    return position
  }

  /// Decomposes, reorders and composes; the first scalar may be one that is not valid.
  ///
  /// - Parameter marks: room to work in.
  private func appendForm(
    of bytes: UnsafeBufferPointer<UInt8>, to result: inout [UInt8], _ marks: inout [UInt32]
  ) {
    marks.removeAll(keepingCapacity: true)
    var start = 0
    let (first, length) = UTF8Scalar.read(bytes, 0)
    if first == nil {
      result.append(bytes[0])
      start = length
    }
    while start < bytes.count {
      let (value, length) = UTF8Scalar.read(bytes, start)
      if let value { decompose(value, into: &marks) }
      start += length
    }
    reorder(&marks)
    compose(&marks)
    for value in marks { UTF8Scalar.append(value, to: &result) }
  }

  private func decompose(_ value: UInt32, into marks: inout [UInt32]) {
    if let index = Hangul.index(of: value) {
      marks.append(Hangul.leads + index / (Hangul.vowelCount * Hangul.tailCount))
      marks.append(Hangul.vowels + index / Hangul.tailCount % Hangul.vowelCount)
      if index % Hangul.tailCount != 0 { marks.append(Hangul.tails + index % Hangul.tailCount) }
    } else if let row = decompositions[UInt64(value)] {
      let (first, second) = parts[Int(row)]
      decompose(first, into: &marks)
      if second != 0 { decompose(second, into: &marks) }
    } else {
      marks.append(value)
    }
  }

  /// Puts marks into the order of their combining classes, those of one class as they are; none across one of class 0.
  private func reorder(_ marks: inout [UInt32]) {
    var start = 0
    while start < marks.count {
      guard combiningClass(marks[start]) != 0 else {
        start += 1
        continue
      }
      let end = marks[start...].firstIndex { combiningClass($0) == 0 } ?? marks.count
      guard end - start > 1 else {
        start = end
        continue
      }
      let ordered = marks[start..<end].enumerated().map {
        UInt64(combiningClass($1)) << 56 | UInt64($0) << 24 | UInt64($1)
      }
      for (place, mark) in zip(start..., ordered.sorted()) { marks[place] = UInt32(mark & 0xFF_FFFF) }
      start = end
    }
  }

  /// Composes what composes with the last scalar of class 0 before it, if nothing stands between that would not let it.
  private func compose(_ marks: inout [UInt32]) {
    var starter: Int?
    var lastClass: UInt8 = 0
    var count = 0
    for mark in marks {
      let kind = combiningClass(mark)
      if let place = starter, count - 1 == place || lastClass < kind, let whole = composition(marks[place], mark) {
        marks[place] = whole
        continue
      }
      if kind == 0 { starter = count }
      lastClass = kind
      marks[count] = mark
      count += 1
    }
    marks.removeLast(marks.count - count)
  }

  private func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first >= Hangul.leads, first < Hangul.leads + Hangul.leadCount, second >= Hangul.vowels,
      second < Hangul.vowels + Hangul.vowelCount
    {
      return Hangul.syllables + ((first - Hangul.leads) * Hangul.vowelCount + second - Hangul.vowels) * Hangul.tailCount
    }
    if let index = Hangul.index(of: first), index % Hangul.tailCount == 0, second > Hangul.tails,
      second < Hangul.tails + Hangul.tailCount
    {
      return first + second - Hangul.tails
    }
    return compositions[Self.key(first, second)].map { UInt32($0) }
  }

  private func combiningClass(_ value: UInt32) -> UInt8 {
    value < combiningClasses.count ? combiningClasses[Int(value)] : 0
  }

  /// Scalars that compose have 17 bits; others share no key with them.
  private static func key(_ first: UInt32, _ second: UInt32) -> UInt64 {
    first < 1 << 17 && second < 1 << 17 ? UInt64(first) << 17 | UInt64(second) : 1 << 34
  }

  private enum Hangul {
    static let syllables: UInt32 = 0xAC00
    static let leads: UInt32 = 0x1100
    static let vowels: UInt32 = 0x1161
    static let tails: UInt32 = 0x11A7
    static let leadCount: UInt32 = 19
    static let vowelCount: UInt32 = 21
    static let tailCount: UInt32 = 28

    static func index(of value: UInt32) -> UInt32? {
      value >= syllables && value < syllables + leadCount * vowelCount * tailCount ? value - syllables : nil
    }
  }
}
