/// The arguments of a teacher's call as the teacher's tokens, each with the likeliest tokens in its place.
///
/// At each place the alternatives stand with the likeliest first. What they lack to a probability of 1 is the tail's: the mass of
/// all other tokens together, about which nothing else is known.
///
/// As JSON: `{"tokenizer", "top", "tokens", "alternatives", "logprobs"}`. The last three are base64 of little-endian numbers without
/// gaps: `tokens` 32-bit ids `[n]`, `alternatives` 32-bit ids `[n, top]`, `logprobs` IEEE halves `[n, top]`.
public struct TokenLogprobs: Sendable, Hashable {
  /// The most alternatives at a place.
  public static let topLimit = 20
  /// The most tokens.
  public static let tokenLimit = 4_096
  /// Stands for a token that the tokenizer does not have, and for an alternative that was not given (whose logarithm is 0).
  public static let none: Int32 = -1
  /// Ids are below this.
  public static let idLimit: Int32 = 1 << 24

  /// The digest of the tokenizer's vocabulary of text, that the ids are of.
  public let tokenizer: Digest
  /// How many alternatives stand at each place, 1 to ``topLimit``.
  public let top: Int
  /// The tokens of the answer in order, 1 to ``tokenLimit``; ``none`` for what the tokenizer does not have.
  public let tokens: [Int32]
  /// `[tokens, top]`: the alternatives, each once at a place, ``none`` only after all others.
  public let alternatives: [Int32]
  /// `[tokens, top]`: the natural logarithms of their probabilities, at most 0, falling.
  public let logprobs: [Float16]

  /// - Throws: `TopicError` where counts, ids or logarithms are not as the properties say.
  public init(
    tokenizer: Digest, top: Int, tokens: [Int32], alternatives: [Int32], logprobs: [Float16]
  ) throws(TopicError) {
    func require(_ holds: Bool, _ path: String, _ expected: String, _ found: @autoclosure () -> String)
      throws(TopicError)
    {
      guard holds else { throw TopicError(.value, in: "top_logprobs", at: path, expected: expected, found: found()) }
    }
    try require((1...Self.topLimit).contains(top), "top", "1 to \(Self.topLimit)", "\(top)")
    try require(
      (1...Self.tokenLimit).contains(tokens.count), "tokens", "1 to \(Self.tokenLimit) tokens", "\(tokens.count)")
    let count = tokens.count * top
    try require(alternatives.count == count, "alternatives", "\(count) ids", "\(alternatives.count)")
    try require(logprobs.count == count, "logprobs", "\(count) numbers", "\(logprobs.count)")
    let ids = Self.none..<Self.idLimit
    try require(tokens.allSatisfy(ids.contains), "tokens", "ids below \(Self.idLimit)", "others")
    try require(alternatives.allSatisfy(ids.contains), "alternatives", "ids below \(Self.idLimit)", "others")
    for start in stride(from: 0, to: count, by: top) {
      let given = alternatives[start..<start + top].prefix { $0 != Self.none }
      let isOnce =
        Set(given).count == given.count && alternatives[given.endIndex..<start + top].allSatisfy { $0 == Self.none }
      try require(
        isOnce, "alternatives", "each token once at a place, absent ones last", "others at place \(start / top)")
      let known = logprobs[start..<start + given.count]
      let isFalling = zip(known, known.dropFirst()).allSatisfy { $0 >= $1 }
      let areLogarithms = known.allSatisfy { $0.isFinite && $0 <= 0 && $0.bitPattern != 0x8000 }
      let isFilled = logprobs[known.endIndex..<start + top].allSatisfy { $0.bitPattern == 0 }
      try require(
        isFalling && areLogarithms && isFilled, "logprobs", "falling logarithms of probabilities, 0 for absent ones",
        "others at place \(start / top)")
    }
    self.tokenizer = tokenizer
    self.top = top
    self.tokens = tokens
    self.alternatives = alternatives
    self.logprobs = logprobs
  }

  /// The alternatives at a place, the likeliest first.
  public func alternatives(at place: Int) -> [(token: Int32, logprob: Float)] {
    (place * top..<(place + 1) * top).prefix { alternatives[$0] != Self.none }.map {
      (alternatives[$0], Float(logprobs[$0]))
    }
  }

  /// Reads the form that ``json`` writes.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "top_logprobs")
    let tokenizer = try fields.digest("tokenizer")
    let top = try fields.int("top", 1...Int64(Self.topLimit))
    let tokens = try Self.numbers(&fields, "tokens", each: 4)
    let alternatives = try Self.numbers(&fields, "alternatives", each: 4)
    let logprobs = try Self.numbers(&fields, "logprobs", each: 2)
    try fields.finish()
    try self.init(
      tokenizer: tokenizer, top: top, tokens: tokens.map { Int32(bitPattern: $0) },
      alternatives: alternatives.map { Int32(bitPattern: $0) },
      logprobs: logprobs.map { Float16(bitPattern: UInt16(truncatingIfNeeded: $0)) })
  }

  private static func numbers(_ fields: inout Fields, _ name: String, each size: Int) throws(TopicError) -> [UInt32] {
    let text = try fields.string(name, 4...(tokenLimit * topLimit * size * 4 / 3 + 4))
    guard let bytes = Base64.decode(text), bytes.count % size == 0 else {
      throw fields.invalid(name, "numbers of \(size) bytes in base64", "\"\(text.prefix(40))\"")
    }
    return stride(from: 0, to: bytes.count, by: size).map { start in
      (0..<size).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
    }
  }

  /// The form that records carry.
  public var json: JSON {
    func text(_ numbers: some Sequence<some FixedWidthInteger>, each size: Int) -> JSON {
      .string(
        Base64.encode(
          numbers.flatMap { number in (0..<size).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }))
    }
    return [
      "tokenizer": .string(tokenizer.hex), "top": .integer(Int64(top)), "tokens": text(tokens, each: 4),
      "alternatives": text(alternatives, each: 4), "logprobs": text(logprobs.map(\.bitPattern), each: 2),
    ]
  }
}
