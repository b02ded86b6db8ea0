import StudentModel
import Tokenization

/// Generated lessons in calling functions: invented functions, keys, values and requests, as tokens.
///
/// Each `step` has a vocabulary and functions of its own. A value stands in the request piece by piece as in the answer, save
/// for the space before its first word; a key's or a function's name stands near its value in most requests and nowhere in
/// the others. What is learned from many such steps holds for any embeddings: find the span, copy its pieces, end it, go on.
package struct InventedCalls: Sendable {
  /// Which version of the generator this is; another one makes another base.
  static let version = "invented-calls/1"
  /// Pieces of text, the first ``fusedCount`` of which also exist with the space in front.
  package static let pieceCount = 384
  static let fusedCount = 128
  static let functionCount = 12
  package static let keyCount = 40

  /// The tokens' ids: shared ones first, then pieces, fused pieces, functions, keys.
  package static let firstPiece = SharedRow.tokenCount
  static let firstFused = firstPiece + pieceCount
  package static let firstFunction = firstFused + fusedCount
  package static let firstKey = firstFunction + functionCount
  package static let vocabularySize = (firstKey + keyCount + 31) / 32 * 32

  /// The id of a piece.
  static func piece(_ number: Int) -> Int32 { Int32(firstPiece + number) }

  /// A key: the pieces of its name, and what opens its values.
  struct Key: Sendable {
    let name: [Int]
    let opener: StructureTokens.Opener
  }

  /// A function: the pieces of its name, and the numbers of its keys.
  struct Function: Sendable {
    let name: [Int]
    let keys: [Int]
  }

  let keys: [Key]
  let functions: [Function]
  private let random: CounterRandom
  private let step: UInt64

  /// The functions of a step.
  package init(seed: UInt64, step: Int) {
    let random = CounterRandom(seed: seed, .inventedCalls)
    self.random = random
    self.step = UInt64(step)
    var draw = Draw(random, UInt64(step), 0)
    keys = (0..<Self.keyCount).map { _ in
      let name = (0..<1 + draw.below(2)).map { _ in draw.below(Self.pieceCount) }
      let kind = draw.unit()
      return Key(name: name, opener: kind < 0.8 ? .string : kind < 0.9 ? .plain : .strings)
    }
    functions = (0..<Self.functionCount).map { _ in
      Function(
        name: (0..<1 + draw.below(3)).map { _ in draw.below(Self.pieceCount) },
        keys: (0..<2 + draw.below(6)).map { _ in draw.below(Self.keyCount) })
    }
  }

  /// The `index`-th lesson: the request's tokens, its controls included, and the answer's.
  package func lesson(_ index: Int) -> SampleEncoder.Encoded {
    var lesson = Lesson(Draw(random, step, UInt64(index) + 1))
    return lesson.write(self)
  }
}

/// Random numbers one after another, at coordinates of their own.
struct Draw {
  private let random: CounterRandom
  private let (a, b): (UInt64, UInt64)
  private var count: UInt64 = 0

  init(_ random: CounterRandom, _ a: UInt64, _ b: UInt64) {
    self.random = random
    (self.a, self.b) = (a, b)
  }

  mutating func unit() -> Double {
    count += 1
    return random.unit(a, b, count)
  }

  mutating func below(_ limit: Int) -> Int {
    count += 1
    return random.index(below: limit, a, b, count)
  }
}

/// One lesson while it is written.
private struct Lesson {
  typealias Calls = InventedCalls
  private var draw: Draw
  private var request: [Int32] = []
  private var answer: [Int32] = []

  init(_ draw: Draw) { self.draw = draw }

  mutating func write(_ calls: Calls) -> SampleEncoder.Encoded {
    let number = draw.below(calls.functions.count)
    let function = calls.functions[number]
    answer.append(Int32(Calls.firstFunction + number))
    let namesFunction = draw.unit() < 0.6
    if namesFunction && draw.unit() < 0.7 { say(function.name) }
    fill(3)
    var keys: [Int] = []
    for _ in 0..<1 + draw.below(4) {
      let key = function.keys[draw.below(function.keys.count)]
      if !keys.contains(key) { keys.append(key) }
    }
    for (index, key) in keys.enumerated() { write(calls.keys[key], key, isLast: index == keys.count - 1) }
    fill(2)
    if namesFunction && request.isEmpty { say(function.name) }
    answer.append(SharedRow.endOfText.id)
    return SampleEncoder.Encoded(
      prompt: [SharedRow.user.id] + request + [SharedRow.call.id], answer: answer, values: [:])
  }

  /// A key with its value or values: cue and value in the request, key, value and closer in the answer.
  private mutating func write(_ key: Calls.Key, _ number: Int, isLast: Bool) {
    answer.append(Int32(Calls.firstKey + number))
    let place = draw.unit()
    if place < 0.5 { say(key.name) }
    let count = key.opener == .strings ? 1 + draw.below(3) : 1
    for element in 0..<count {
      if element > 0 {
        answer.append(SharedRow.closer("\",\"").id)
        if draw.unit() < 0.7 { fill(1) }
      }
      let words = (0..<1 + draw.below(3)).map { _ in valueWord() }
      for (index, word) in words.enumerated() {
        let spoken = spoken(word)
        answer += index == 0 ? word.map(Calls.piece) : spoken
        hear(word, spoken)
      }
    }
    if place > 0.8 { say(key.name) }
    fill(3)
    answer.append(SharedRow.closer(Self.closer(key.opener, isLast: isLast)).id)
  }

  private static func closer(_ opener: StructureTokens.Opener, isLast: Bool) -> String {
    switch opener {
    case .plain: isLast ? "}}" : ","
    case .strings: isLast ? "\"]}}" : "\"],"
    default: isLast ? "\"}}" : "\","
    }
  }

  /// The pieces of a rare word: any, and often several.
  private mutating func valueWord() -> [Int] {
    (0..<1 + draw.below(3)).map { _ in draw.below(Calls.pieceCount) }
  }

  /// Up to `limit` frequent words.
  private mutating func fill(_ limit: Int) {
    for _ in 0..<draw.below(limit + 1) {
      // The square makes some words much more frequent than others.
      let unit = draw.unit()
      say([Int(unit * unit * Double(Calls.fusedCount))])
    }
  }

  private mutating func say(_ word: [Int]) { hear(word, spoken(word)) }

  private mutating func hear(_ word: [Int], _ spoken: [Int32]) {
    request += request.isEmpty ? word.map(Calls.piece) : spoken
  }

  /// A word with the space before it.
  private func spoken(_ word: [Int]) -> [Int32] {
    guard let first = word.first else { return [] }
    let rest = word.dropFirst().map(Calls.piece)
    return first < Calls.fusedCount
      ? [Int32(Calls.firstFused + first)] + rest : [SharedRow.space.id, Calls.piece(first)] + rest
  }
}
