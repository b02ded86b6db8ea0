import CKernels
import ModelFiles

/// The speed of a model on this machine: what `retort bench prefill` and `retort bench decode` print.
public enum InferenceBenchmark {
  /// The result of one measurement.
  public struct Report: Sendable, Hashable {
    /// Tokens a second over all sequences, the best of the repetitions.
    public let tokensPerSecond: Double
    /// Sequences at a time.
    public let batch: Int
    /// Tokens of each sequence that were measured.
    public let tokens: Int
    /// Threads of the kernels.
    public let threads: Int
    /// What limits the speed at best: reading the weights once a step, or multiplying them in registers.
    public let limit: Limit
    /// The tokens a second that this limit allows: multiplying as it was measured right after, reading after each repetition.
    public let limitTokensPerSecond: Double

    /// The share of the limit that was reached.
    public var shareOfLimit: Double { tokensPerSecond / max(limitTokensPerSecond, 1e-9) }
  }

  /// What limits the speed at best.
  public enum Limit: String, Sendable, Hashable {
    /// The bandwidth of reading as many bytes as the weights have, from memory or from the cache that holds them.
    case readBandwidth = "read_bandwidth"
    /// The peak of multiplications and additions.
    case multiplication = "multiplication_peak"
  }

  /// Reads `batch` prompts of `tokens` tokens each in one packed pass, and computes the logits after each last token.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - batch: Sequences at a time, 1…1024.
  ///   - tokens: Tokens of each prompt, at most `maximumPositions`.
  ///   - repetitions: How often it is measured, after one run that is not; the best counts.
  /// - Throws: ``InferenceError`` `bad_argument`, `too_long`.
  public static func prefill(
    _ model: DecoderModel, batch: Int = 1, tokens: Int = 128, repetitions: Int = 3
  ) throws(InferenceError) -> Report {
    try check(model, batch: batch, tokens: tokens)
    let pass = ForwardPass(model)
    let caches = (0..<batch).map { _ in KeyValueCache(model.configuration) }
    let prompts = (0..<batch).map { prompt(model, tokens: tokens, seed: $0) }
    var best = Double.infinity
    for repetition in 0...max(1, repetitions) {
      for cache in caches { cache.reset(capacity: tokens) }
      let segments = zip(caches, prompts).map { ForwardPass.Segment(cache: $0, tokens: $1, output: .last) }
      let start = ContinuousClock.now
      try pass.run(segments) { _ in }
      if repetition > 0 { best = min(best, MachineLimits.seconds(since: start)) }
    }
    return Report(
      tokensPerSecond: Double(batch * tokens) / best, batch: batch, tokens: tokens,
      threads: Int(retort_pool_threads()), limit: .multiplication,
      limitTokensPerSecond: Double(batch * tokens) / multiplicationSeconds(model, batch: batch, tokens: tokens))
  }

  /// Generates `tokens` tokens for each of `batch` sequences after prompts of `prompt` tokens, greedily, without a constraint.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - batch: Sequences at a time, 1…1024.
  ///   - tokens: Tokens to generate for each; with `prompt` at most `maximumPositions`.
  ///   - prompt: Tokens of each prompt, which are not measured.
  ///   - repetitions: How often it is measured, after one run that is not; the best counts.
  /// - Throws: ``InferenceError`` `bad_argument`, `too_long`.
  public static func decode(
    _ model: DecoderModel, batch: Int = 1, tokens: Int = 128, prompt: Int = 16, repetitions: Int = 3
  ) throws(InferenceError) -> Report {
    try check(model, batch: batch, tokens: tokens + prompt)
    let pass = ForwardPass(model)
    let caches = (0..<batch).map { _ in KeyValueCache(model.configuration) }
    let size = model.configuration.vocabularySize
    let stretch = MachineLimits.ReadStretch(size: model.weights.matrices.reduce(0) { $0 + $1.byteCount })
    var (best, reading) = (Double.infinity, Double.infinity)
    for repetition in 0...max(1, repetitions) {
      var next = (0..<batch).map { Self.prompt(model, tokens: prompt, seed: $0) }
      for cache in caches { cache.reset(capacity: tokens + prompt) }
      var start = ContinuousClock.now
      for step in 0...tokens {
        if step == 1 { start = ContinuousClock.now }
        let segments = zip(caches, next).map { ForwardPass.Segment(cache: $0, tokens: $1, output: .last) }
        try pass.run(segments) { logits in
          for row in 0..<batch { next[row] = [argmax(logits + row * size, size)] }
        }
      }
      guard repetition > 0 else { continue }
      best = min(best, MachineLimits.seconds(since: start))
      // Right afterwards and for about as long: neighbours of a virtual machine leave it more bandwidth or less from second to second, and
      // the best of many short moments is more than anything longer gets.
      reading = min(reading, stretch.seconds(passes: tokens) / Double(tokens))
    }
    // Few sequences are limited by reading, many by multiplying.
    let multiplying = multiplicationSeconds(model, batch: batch, tokens: 1)
    return Report(
      tokensPerSecond: Double(batch * tokens) / best, batch: batch, tokens: tokens,
      threads: Int(retort_pool_threads()), limit: reading > multiplying ? .readBandwidth : .multiplication,
      limitTokensPerSecond: Double(batch) / max(reading, multiplying))
  }

  /// The seconds that the multiplications of a pass take at best: every layer for every token, the head for each sequence.
  private static func multiplicationSeconds(_ model: DecoderModel, batch: Int, tokens: Int) -> Double {
    var operations: [UInt32: Double] = [:]
    for matrix in model.weights.matrices {
      let rows = matrix === model.weights.head ? batch : batch * tokens
      operations[matrix.type.rawValue, default: 0] += 2 * Double(rows) * Double(matrix.rows) * Double(matrix.columns)
    }
    return operations.reduce(0) {
      $0 + $1.value / MachineLimits.multiplicationRate(retort_weight_type(rawValue: $1.key))
    }
  }

  private static func argmax(_ logits: UnsafePointer<Float>, _ count: Int) -> Int32 {
    var best = SIMD16<Float>(repeating: -.infinity)
    var tokens = SIMD16<Int32>.zero
    for start in stride(from: 0, through: count - 16, by: 16) {
      let values = UnsafeRawPointer(logits + start).loadUnaligned(as: SIMD16<Float>.self)
      let isGreater = values .> best
      best.replace(with: values, where: isGreater)
      tokens.replace(with: SIMD16(repeating: Int32(start)), where: isGreater)
    }
    var (top, token) = (-Float.infinity, Int32(0))
    for lane in 0..<16 where best[lane] > top { (top, token) = (best[lane], tokens[lane] + Int32(lane)) }
    for index in count / 16 * 16..<count where logits[index] > top { (top, token) = (logits[index], Int32(index)) }
    return token
  }

  /// Tokens spread over the vocabulary, the same every time.
  private static func prompt(_ model: DecoderModel, tokens: Int, seed: Int) -> [Int32] {
    let size = model.configuration.vocabularySize
    return (0..<tokens).map { Int32(($0 &* 7_919 &+ seed &* 104_729 &+ 17) % size) }
  }

  private static func check(_ model: DecoderModel, batch: Int, tokens: Int) throws(InferenceError) {
    let limit = model.configuration.maximumPositions
    guard (1...1024).contains(batch), tokens >= 1, tokens <= limit else {
      throw InferenceError(
        .badArgument, context: "benchmark", expected: "a batch of 1…1024 and 1…\(limit) tokens a sequence",
        found: "\(batch) and \(tokens)", advice: "choose smaller sizes")
    }
  }
}
