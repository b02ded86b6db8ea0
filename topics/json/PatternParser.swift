/// Parses the subset of regular expressions that `Pattern` describes.
struct PatternParser {
  private let scalars: [UInt32]
  private var position = 0
  private var depth = 0

  static let digit: [ClosedRange<UInt32>] = [0x30...0x39]
  static let word: [ClosedRange<UInt32>] = [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]
  static let space: [ClosedRange<UInt32>] = [
    0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
    0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
  ]

  init(_ source: String) { scalars = source.unicodeScalars.map(\.value) }

  mutating func parse() -> PatternTree? {
    guard let tree = alternatives(), position == scalars.count else { return nil }
    return tree
  }

  private var next: UInt32? { position < scalars.count ? scalars[position] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == character.value else { return false }
    position += 1
    return true
  }

  private mutating func alternatives() -> PatternTree? {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 64, let first = sequence() else { return nil }
    var parts = [first]
    while take("|") {
      guard let part = sequence() else { return nil }
      parts.append(part)
    }
    return parts.count == 1 ? parts[0] : .either(parts)
  }

  private mutating func sequence() -> PatternTree? {
    var parts: [PatternTree] = []
    while let character = next, character != 0x7C, character != 0x29 {
      guard let atom = atom(), let part = quantified(atom) else { return nil }
      parts.append(part)
    }
    return parts.isEmpty ? .empty : .sequence(parts)
  }

  private mutating func quantified(_ atom: PatternTree) -> PatternTree? {
    let low: Int
    let high: Int?
    if take("*") {
      (low, high) = (0, nil)
    } else if take("+") {
      (low, high) = (1, nil)
    } else if take("?") {
      (low, high) = (0, 1)
    } else if next == 0x7B {
      guard let bounds = bounds() else { return nil }
      (low, high) = bounds
    } else {
      return atom
    }
    if case .assertion = atom { return nil }
    _ = take("?")
    if let character = next, character == 0x2A || character == 0x2B || character == 0x3F || character == 0x7B {
      return nil
    }
    return .repeated(atom, low, high)
  }

  /// `{m}`, `{m,}`, `{m,n}` with numbers up to 1,000.
  private mutating func bounds() -> (Int, Int?)? {
    guard take("{"), let low = number() else { return nil }
    if take("}") { return (low, low) }
    guard take(",") else { return nil }
    if take("}") { return (low, nil) }
    guard let high = number(), high >= low, take("}") else { return nil }
    return (low, high)
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let character = next, Self.digit[0].contains(character) {
      let sum = (value ?? 0) * 10 + Int(character - 0x30)
      guard sum <= 1_000 else { return nil }
      value = sum
      position += 1
    }
    return value
  }

  private mutating func atom() -> PatternTree? {
    guard let character = next else { return nil }
    position += 1
    switch character {
    case 0x2E: return .one(.init(ranges: [0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029], isNegated: true))
    case 0x5E: return .assertion(.start)
    case 0x24: return .assertion(.end)
    case 0x28: return group()
    case 0x5B: return characterClass()
    case 0x5C:
      if take("b") { return .assertion(.boundary(true)) }
      if take("B") { return .assertion(.boundary(false)) }
      return escape().map { .one($0) }
    case 0x2A, 0x2B, 0x3F, 0x7B, 0x7D, 0x5D: return nil
    default: return .one(.init(ranges: [character...character]))
    }
  }

  private mutating func group() -> PatternTree? {
    if take("?"), !take(":") { return nil }
    guard let tree = alternatives(), take(")") else { return nil }
    // A sequence keeps a group that holds an assertion apart from the assertion itself.
    return .sequence([tree])
  }

  /// What follows a backslash; in a class and outside alike.
  private mutating func escape() -> Pattern.CharacterSet? {
    guard let character = next, let scalar = Unicode.Scalar(character) else { return nil }
    position += 1
    switch scalar {
    case "d": return .init(ranges: Self.digit)
    case "D": return .init(ranges: Self.digit, isNegated: true)
    case "w": return .init(ranges: Self.word)
    case "W": return .init(ranges: Self.word, isNegated: true)
    case "s": return .init(ranges: Self.space)
    case "S": return .init(ranges: Self.space, isNegated: true)
    case "n": return .init(ranges: [0x0A...0x0A])
    case "r": return .init(ranges: [0x0D...0x0D])
    case "t": return .init(ranges: [0x09...0x09])
    case "f": return .init(ranges: [0x0C...0x0C])
    case "v": return .init(ranges: [0x0B...0x0B])
    case "0": return .init(ranges: [0...0])
    case "x": return hexadecimal(2)
    case "u": return hexadecimal(4)
    default:
      guard scalar.isASCII, !Self.word.contains(where: { $0.contains(character) }) else { return nil }
      return .init(ranges: [character...character])
    }
  }

  private mutating func hexadecimal(_ count: Int) -> Pattern.CharacterSet? {
    guard position + count <= scalars.count else { return nil }
    var value: UInt32 = 0
    for character in scalars[position..<position + count] {
      guard let digit = Unicode.Scalar(character).flatMap({ Character($0).hexDigitValue }) else { return nil }
      value = value << 4 | UInt32(digit)
    }
    position += count
    return .init(ranges: [value...value])
  }

  private mutating func characterClass() -> PatternTree? {
    var set = Pattern.CharacterSet(ranges: [], isNegated: take("^"))
    while let character = next, character != 0x5D {
      guard let low = classMember() else { return nil }
      if next == 0x2D, position + 1 < scalars.count, scalars[position + 1] != 0x5D {
        position += 1
        guard let high = classMember(), let from = Self.single(low), let to = Self.single(high), from <= to else {
          return nil
        }
        set.ranges.append(from...to)
      } else if low.isNegated {
        set.ranges += Self.complement(low.ranges)
      } else {
        set.ranges += low.ranges
      }
    }
    return take("]") ? .one(set) : nil
  }

  private mutating func classMember() -> Pattern.CharacterSet? {
    guard let character = next else { return nil }
    position += 1
    if character == 0x5C {
      if take("b") { return .init(ranges: [0x08...0x08]) }
      return escape()
    }
    return .init(ranges: [character...character])
  }

  private static func single(_ set: Pattern.CharacterSet) -> UInt32? {
    guard set.ranges.count == 1, set.ranges[0].count == 1, !set.isNegated else { return nil }
    return set.ranges[0].lowerBound
  }

  /// Everything outside ranges that are sorted and apart.
  private static func complement(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
    var result: [ClosedRange<UInt32>] = []
    var low: UInt32 = 0
    for range in ranges {
      if range.lowerBound > low { result.append(low...range.lowerBound - 1) }
      low = range.upperBound + 1
    }
    result.append(low...0x10FFFF)
    return result
  }
}
