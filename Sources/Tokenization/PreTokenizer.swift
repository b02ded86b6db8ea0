/// Splits bytes into the words between which nothing is ever merged, as one ``WordSplit`` does.
///
/// Written by hand: no byte is looked at more than a fixed number of times, so that time is linear for any input. Bytes that
/// are not valid UTF-8 (maximal parts or not) are words of their own, one byte each. The words, one after the other, are the
/// input.
struct PreTokenizer {
  private let bytes: UnsafeBufferPointer<UInt8>
  private let flags: UnsafePointer<UInt8>
  private let split: WordSplit
  private var position = 0

  /// - Parameter flags: of all scalars, as in ``ScalarTable``.
  init(_ bytes: UnsafeBufferPointer<UInt8>, split: WordSplit, flags: UnsafePointer<UInt8>) {
    self.bytes = bytes
    self.split = split
    self.flags = flags
  }

  /// The next word, or nil at the end.
  @inline(__always)
  mutating func next() -> Range<Int>? {
    guard position < bytes.count else { return nil }
    let start = position
    switch split {
    case .gpt2: position = endOfGPT2Word(start)
    case .llama3: position = endOfWord(start, digits: 3)
    case .qwen2: position = endOfWord(start, digits: 1)
    case .digits(let individual): position = endOfDigits(start, individual: individual)
    }
    return start..<position
  }

  /// The letters that a word of Qwen2's ends in: all of it, or what follows its first scalar; empty where it has none.
  func letters(of word: Range<Int>) -> Range<Int> {
    let (first, length) = scalar(word.lowerBound)
    let start = first == .letter ? word.lowerBound : word.lowerBound + length
    guard start < word.upperBound, scalar(start).kind == .letter else { return start..<start }
    return start..<word.upperBound
  }

  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  private func endOfWord(_ start: Int, digits: Int) -> Int {
    let (kind, length) = scalar(start)
    let after = start + length
    switch kind {
    case .letter: return run(of: .letter, from: after)
    case .number: return run(of: .number, from: after, atMost: digits - 1)
    case .invalid: return after
    case .newline: return endOfSpaces(start)
    case .other, .space:
      if bytes[start] == UInt8(ascii: "'"), let end = endOfContraction(after, ignoringCase: true) { return end }
      guard after < bytes.count else { return after }
      let (next, nextLength) = scalar(after)
      if next == .letter { return run(of: .letter, from: after + nextLength) }
      if kind == .other { return run(of: .newline, from: run(of: .other, from: after)) }
      if next == .other, bytes[start] == UInt8(ascii: " ") {
        return run(of: .newline, from: run(of: .other, from: after + nextLength))
      }
      return endOfSpaces(start)
    }
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  private func endOfGPT2Word(_ start: Int) -> Int {
    var (kind, length) = scalar(start)
    var after = start + length
    if bytes[start] == UInt8(ascii: "'"), let end = endOfContraction(after, ignoringCase: false) { return end }
    if bytes[start] == UInt8(ascii: " "), after < bytes.count {
      let (next, nextLength) = scalar(after)
      if next == .letter || next == .number || next == .other { (kind, after) = (next, after + nextLength) }
    }
    switch kind {
    case .invalid: return after
    case .letter, .number, .other: return run(of: kind, from: after)
    case .space, .newline:
      let (end, last) = endOfAllSpaces(start)
      return end == bytes.count || last == start ? end : last
    }
  }

  private func endOfDigits(_ start: Int, individual: Bool) -> Int {
    func isNumeric(_ place: Int) -> (Bool, Int) {
      let (value, length) = UTF8Scalar.read(bytes, place)
      return (value.map { flags[Int($0)] & ScalarTable.numeric != 0 } ?? false, length)
    }
    let (first, length) = isNumeric(start)
    var position = start + length
    if first && individual { return position }
    while position < bytes.count {
      let (next, length) = isNumeric(position)
      guard next == first else { break }
      position += length
    }
    return position
  }

  @inline(__always)
  private func run(of kind: ScalarClass, from start: Int, atMost count: Int = .max) -> Int {
    var position = start
    var rest = count
    while position < bytes.count, rest > 0 {
      let (next, length) = scalar(position)
      guard next == kind else { break }
      position &+= length
      rest &-= 1
    }
    return position
  }

  /// The end of all white space, and where its last scalar begins.
  private func endOfAllSpaces(_ start: Int) -> (end: Int, last: Int) {
    var (position, last) = (start, start)
    while position < bytes.count {
      let (next, length) = scalar(position)
      guard next == .space || next == .newline else { break }
      last = position
      position += length
    }
    return (position, last)
  }

  /// `\s*[\r\n]+`, else `\s+(?!\S)`, else `\s+`.
  private func endOfSpaces(_ start: Int) -> Int {
    let (end, last) = endOfAllSpaces(start)
    if let newline = bytes[start..<end].lastIndex(where: { $0 == 0x0A || $0 == 0x0D }) { return newline + 1 }
    return end == bytes.count || last == start ? end : last
  }

  /// The end of a contraction's letters, which start at `start`; without case also "ſ", which folds to "s".
  private func endOfContraction(_ start: Int, ignoringCase: Bool) -> Int? {
    guard start < bytes.count else { return nil }
    let fold: UInt8 = ignoringCase ? 0x20 : 0
    let second = start + 1 < bytes.count ? bytes[start + 1] | fold : 0
    switch bytes[start] | fold {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 1
    case UInt8(ascii: "r") where second == UInt8(ascii: "e"): return start + 2
    case UInt8(ascii: "v") where second == UInt8(ascii: "e"): return start + 2
    case UInt8(ascii: "l") where second == UInt8(ascii: "l"): return start + 2
    default:
      let isLongS = start + 1 < bytes.count && bytes[start] == 0xC5 && bytes[start + 1] == 0xBF
      return ignoringCase && isLongS ? start + 2 : nil
    }
  }

  /// The class and length of the scalar at `start`, which is within the bytes.
  @inline(__always)
  private func scalar(_ start: Int) -> (kind: ScalarClass, length: Int) {
    let (value, length) = UTF8Scalar.read(bytes, start)
    guard let value else { return (.invalid, length) }
    return (ScalarClass(rawValue: flags[Int(value)] & ScalarTable.classBits) ?? .other, length)
  }
}

extension Tokenizer {
  /// The words of some bytes as Qwen2's pre-tokenizer splits them, between which nothing is merged; for tests.
  package static func words(of bytes: [UInt8]) -> [Range<Int>] {
    bytes.withUnsafeBufferPointer { bytes in
      ScalarTable.shared.flags.withUnsafeBufferPointer { flags in
        var scanner = PreTokenizer(bytes, split: .qwen2, flags: flags.baseAddress.unsafelyUnwrapped)
        var words: [Range<Int>] = []
        while let word = scanner.next() { words.append(word) }
        return words
      }
    }
  }
}
