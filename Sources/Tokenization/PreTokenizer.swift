/// Splits bytes into the words between which nothing is ever merged, as Qwen2's regular expression does.
///
///     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
///
/// Written by hand: no byte is looked at more than a fixed number of times, so that time is linear for any input. Bytes that
/// are not valid UTF-8 (maximal parts or not) are words of their own, one byte each. The words, one after the other, are the
/// input.
struct PreTokenizer {
  /// The regular expression, as tokenizer files spell it.
  static let pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private let bytes: UnsafeBufferPointer<UInt8>
  private let classes: UnsafeBufferPointer<UInt8>
  private var position = 0

  /// - Parameter classes: of `ScalarClassTable.all`, or of `.ascii` where all bytes are ASCII.
  init(_ bytes: UnsafeBufferPointer<UInt8>, classes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
    self.classes = classes
  }

  /// All words in order.
  struct Words: Sequence, IteratorProtocol {
    private var scanner: PreTokenizer

    init(_ bytes: UnsafeBufferPointer<UInt8>, classes: UnsafeBufferPointer<UInt8>) {
      scanner = PreTokenizer(bytes, classes: classes)
    }

    mutating func next() -> Range<Int>? { scanner.next() }
  }

  /// The next word, or nil at the end.
  mutating func next() -> Range<Int>? {
    guard position < bytes.count else { return nil }
    let start = position
    position = end(ofWordAt: start)
    return start..<position
  }

  /// The letters that a word ends in: all of it, or what follows its first scalar; empty where it has none.
  static func letters(
    of word: Range<Int>, in bytes: UnsafeBufferPointer<UInt8>, classes: UnsafeBufferPointer<UInt8>
  ) -> Range<Int> {
    let scanner = PreTokenizer(bytes, classes: classes)
    let (first, length) = scanner.scalar(word.lowerBound)
    let start = first == .letter ? word.lowerBound : word.lowerBound + length
    guard start < word.upperBound, scanner.scalar(start).0 == .letter else { return start..<start }
    return start..<word.upperBound
  }

  private func end(ofWordAt start: Int) -> Int {
    let (kind, length) = scalar(start)
    let after = start + length
    switch kind {
    case .letter: return run(of: .letter, from: after)
    case .number, .invalid: return after
    case .newline: return endOfSpaces(from: start)
    case .other, .space:
      if bytes[start] == UInt8(ascii: "'"), let end = endOfContraction(after) { return end }
      guard after < bytes.count else { return after }
      let (next, nextLength) = scalar(after)
      if next == .letter { return run(of: .letter, from: after + nextLength) }
      if kind == .other { return run(of: .newline, from: run(of: .other, from: after)) }
      if next == .other, bytes[start] == UInt8(ascii: " ") {
        return run(of: .newline, from: run(of: .other, from: after + nextLength))
      }
      return endOfSpaces(from: start)
    }
  }

  private func run(of kind: ScalarClass, from start: Int) -> Int {
    var position = start
    while position < bytes.count {
      let (next, length) = scalar(position)
      guard next == kind else { break }
      position += length
    }
    return position
  }

  /// `\s*[\r\n]+`, else `\s+(?!\S)`, else `\s+`.
  private func endOfSpaces(from start: Int) -> Int {
    var position = start
    var afterNewline: Int?
    var last = start
    while position < bytes.count {
      let (next, length) = scalar(position)
      guard next == .space || next == .newline else { break }
      last = position
      position += length
      if next == .newline { afterNewline = position }
    }
    if let afterNewline { return afterNewline }
    return position == bytes.count || last == start ? position : last
  }

  /// The end of a contraction's letters, which start at `start`; ASCII and "ſ", which folds to "s".
  private func endOfContraction(_ start: Int) -> Int? {
    guard start < bytes.count else { return nil }
    let first = bytes[start] | 0x20
    let second = start + 1 < bytes.count ? bytes[start + 1] | 0x20 : 0
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 1
    case UInt8(ascii: "r") where second == UInt8(ascii: "e"): return start + 2
    case UInt8(ascii: "v") where second == UInt8(ascii: "e"): return start + 2
    case UInt8(ascii: "l") where second == UInt8(ascii: "l"): return start + 2
    default: return bytes[start] == 0xC5 && start + 1 < bytes.count && bytes[start + 1] == 0xBF ? start + 2 : nil
    }
  }

  /// The class and length of the scalar at `start`, which is within the bytes.
  @inline(__always)
  private func scalar(_ start: Int) -> (ScalarClass, Int) {
    let first = bytes[start]
    if first < 0x80 { return (lookup(UInt32(first)), 1) }
    return wideScalar(start, first)
  }

  @inline(__always)
  private func lookup(_ value: UInt32) -> ScalarClass {
    guard value < classes.count else { return .other }
    return ScalarClass(rawValue: classes[Int(value)]) ?? .other
  }

  private func wideScalar(_ start: Int, _ first: UInt8) -> (ScalarClass, Int) {
    let lower: UInt8
    let upper: UInt8
    let length: Int
    switch first {
    case 0xC2...0xDF: (lower, upper, length) = (0x80, 0xBF, 2)
    case 0xE0: (lower, upper, length) = (0xA0, 0xBF, 3)
    case 0xED: (lower, upper, length) = (0x80, 0x9F, 3)
    case 0xE1...0xEF: (lower, upper, length) = (0x80, 0xBF, 3)
    case 0xF0: (lower, upper, length) = (0x90, 0xBF, 4)
    case 0xF1...0xF3: (lower, upper, length) = (0x80, 0xBF, 4)
    case 0xF4: (lower, upper, length) = (0x80, 0x8F, 4)
    default: return (.invalid, 1)
    }
    guard start + length <= bytes.count, (lower...upper).contains(bytes[start + 1]) else { return (.invalid, 1) }
    var value = UInt32(first & (0x7F >> UInt8(length)))
    for offset in 1..<length {
      guard bytes[start + offset] & 0xC0 == 0x80 else { return (.invalid, 1) }
      value = value << 6 | UInt32(bytes[start + offset] & 0x3F)
    }
    return (lookup(value), length)
  }
}

extension Tokenizer {
  /// The words of some bytes, between which nothing is merged; for tests.
  package static func words(of bytes: [UInt8]) -> [Range<Int>] {
    bytes.withUnsafeBufferPointer { bytes in
      ScalarClassTable.all.classes.withUnsafeBufferPointer { Array(PreTokenizer.Words(bytes, classes: $0)) }
    }
  }
}
