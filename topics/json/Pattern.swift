/// A regular expression that is searched for in linear time.
///
/// The subset: literals, `.`, classes `[a-z]` and `[^…]`, `\d \w \s` and their opposites (ASCII), `\b \B ^ $`, groups
/// `( )` and `(?: )`, `|`, `* + ? {m} {m,} {m,n}` (greedy or not makes no difference to whether there is a match), and
/// escapes `\n \r \t \f \v \0 \xHH \uHHHH`. No look-around, no back-references, no Unicode properties.
///
/// Reference: K. Thompson, "Regular Expression Search Algorithm" (1968), as threads over a program (R. Cox, 2009).
struct Pattern: Sendable, Hashable {
  let source: String
  private let program: [Instruction]

  /// The largest program; repetitions are written out.
  static let maximumInstructions = 4_096
  /// The most parts that are written out: of some nothing is written, however often they are repeated.
  static let maximumParts = 1_000_000

  enum Instruction: Sendable, Hashable {
    case one(CharacterSet)
    case split(Int, Int)
    case jump(Int)
    case start
    case end
    case boundary(Bool)
    case match
  }

  struct CharacterSet: Sendable, Hashable {
    var ranges: [ClosedRange<UInt32>]
    var isNegated = false

    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } != isNegated }
  }

  /// The compiled expression, or nil when it is outside the subset or too large.
  init?(_ source: String) {
    guard source.utf8.count <= 4_096 else { return nil }
    var parser = PatternParser(source)
    guard let tree = parser.parse() else { return nil }
    var builder = PatternBuilder()
    guard builder.emit(tree), builder.append(.match) else { return nil }
    self.source = source
    program = builder.program
  }

  /// Whether the expression matches anywhere in `text`.
  func occurs(in text: String) -> Bool {
    let scalars = text.unicodeScalars.map(\.value)
    var current = ThreadList(count: program.count)
    var next = ThreadList(count: program.count)
    for position in 0...scalars.count {
      if add(0, at: position, of: scalars, to: &current) { return true }
      guard position < scalars.count else { break }
      next.clear()
      for thread in current.members {
        guard case .one(let set) = program[thread], set.contains(scalars[position]) else { continue }
        if add(thread + 1, at: position + 1, of: scalars, to: &next) { return true }
      }
      swap(&current, &next)
    }
    return false
  }

  /// Adds the thread and all it leads to without a character; true when that includes the match.
  private func add(_ first: Int, at position: Int, of scalars: [UInt32], to list: inout ThreadList) -> Bool {
    list.waiting.append(first)
    defer { list.waiting.removeAll(keepingCapacity: true) }
    while let thread = list.waiting.popLast() {
      guard list.insert(thread) else { continue }
      switch program[thread] {
      case .one: break
      case .split(let a, let b):
        list.waiting.append(b)
        list.waiting.append(a)
      case .jump(let target): list.waiting.append(target)
      case .start: if position == 0 { list.waiting.append(thread + 1) }
      case .end: if position == scalars.count { list.waiting.append(thread + 1) }
      case .boundary(let wanted):
        let before = position > 0 && Self.isWord(scalars[position - 1])
        let after = position < scalars.count && Self.isWord(scalars[position])
        if (before != after) == wanted { list.waiting.append(thread + 1) }
      case .match: return true
      }
    }
    return false
  }

  private static func isWord(_ scalar: UInt32) -> Bool { PatternParser.word.contains { $0.contains(scalar) } }

  private struct ThreadList {
    /// Threads that still have to be looked at; kept here so that its storage is used again.
    var waiting: [Int] = []
    private(set) var members: [Int] = []
    private var marks: [Bool]

    init(count: Int) { marks = [Bool](repeating: false, count: count) }

    mutating func insert(_ thread: Int) -> Bool {
      guard !marks[thread] else { return false }
      marks[thread] = true
      members.append(thread)
      return true
    }

    mutating func clear() {
      for member in members { marks[member] = false }
      members.removeAll(keepingCapacity: true)
    }
  }
}

/// A parsed regular expression.
indirect enum PatternTree {
  case empty
  case one(Pattern.CharacterSet)
  case assertion(Pattern.Instruction)
  case sequence([PatternTree])
  case either([PatternTree])
  case repeated(PatternTree, Int, Int?)
}

/// Writes a tree as a program.
struct PatternBuilder {
  private(set) var program: [Pattern.Instruction] = []
  private var parts = 0

  mutating func append(_ instruction: Pattern.Instruction) -> Bool {
    guard program.count < Pattern.maximumInstructions else { return false }
    program.append(instruction)
    return true
  }

  mutating func emit(_ tree: PatternTree) -> Bool {
    parts += 1
    guard parts <= Pattern.maximumParts else { return false }
    switch tree {
    case .empty: return true
    case .one(let set): return append(.one(set))
    case .assertion(let instruction): return append(instruction)
    case .sequence(let parts):
      for part in parts where !emit(part) { return false }
      return true
    case .either(let parts): return emit(either: parts)
    case .repeated(let part, let low, let high): return emit(part, low, high)
    }
  }

  private mutating func emit(either parts: [PatternTree]) -> Bool {
    var exits: [Int] = []
    for (index, part) in parts.enumerated() {
      let split = program.count
      if index + 1 < parts.count {
        guard append(.split(split + 1, 0)) else { return false }
      }
      guard emit(part) else { return false }
      if index + 1 < parts.count {
        exits.append(program.count)
        guard append(.jump(0)) else { return false }
        program[split] = .split(split + 1, program.count)
      }
    }
    for exit in exits { program[exit] = .jump(program.count) }
    return true
  }

  private mutating func emit(_ part: PatternTree, _ low: Int, _ high: Int?) -> Bool {
    for _ in 0..<low where !emit(part) { return false }
    guard let high else {
      let split = program.count
      guard append(.split(split + 1, 0)), emit(part), append(.jump(split)) else { return false }
      program[split] = .split(split + 1, program.count)
      return true
    }
    var splits: [Int] = []
    for _ in low..<max(low, high) {
      splits.append(program.count)
      guard append(.split(0, 0)), emit(part) else { return false }
    }
    for split in splits { program[split] = .split(split + 1, program.count) }
    return true
  }
}
