public import ModelFiles
import StudentModel

/// How fast a student of given sizes trains: forward, backward, clipping and AdamW on packed random sequences.
public enum TrainingBenchmark {
  /// The best of the measured steps.
  public struct Report: Sendable, Hashable {
    /// Tokens a second, prompts included.
    public let tokensPerSecond: Double
    /// Milliseconds of one optimizer step.
    public let stepMilliseconds: Double
    /// 6 · parameters · tokens a step, per second, in 10⁹.
    public let gigaflops: Double
    /// The number of parameters.
    public let parameters: Int
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - configuration: The sizes.
  ///   - batch: Sequences a step; half of each is prompt.
  ///   - sequence: Tokens of a sequence, at least 2.
  ///   - steps: Steps to take the best of, after one that warms up.
  /// - Throws: `StudentError` for sizes that do not hold.
  public static func run(configuration: DecoderConfiguration, batch: Int, sequence: Int, steps: Int) throws -> Report {
    let student = try Student(configuration: configuration, seed: 1)
    let optimizer = AdamW(layout: student.layout)
    let recipe = TrainingRecipe()
    var best = Double.infinity
    for step in 0...max(1, steps) {
      let batch = self.batch(configuration, sequences: batch, length: sequence, seed: UInt64(step))
      let elapsed = try ContinuousClock().measure {
        _ = try student.forwardBackward(batch)
        _ = try optimizer.apply(to: student, rate: 1e-4, recipe: recipe)
      }
      let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
      if step > 0 { best = min(best, seconds) }
    }
    let tokens = Double(batch * sequence)
    return Report(
      tokensPerSecond: tokens / best, stepMilliseconds: best * 1e3,
      gigaflops: 6 * Double(student.layout.count) * tokens / best / 1e9, parameters: student.layout.count)
  }

  private static func batch(
    _ configuration: DecoderConfiguration, sequences: Int, length: Int, seed: UInt64
  ) -> PackedBatch {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func token() -> Int32 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32((state >> 33) % UInt64(configuration.vocabularySize))
    }
    var batch = PackedBatch()
    let half = max(1, length / 2)
    for _ in 0..<sequences {
      let prompt = (0..<half).map { _ in token() }
      batch.append(prompt: prompt, completion: (half..<max(half + 1, length)).map { _ in token() })
    }
    return batch
  }
}
