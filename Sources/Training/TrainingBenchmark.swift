public import ModelFiles
import StudentModel

/// How fast a student of given sizes trains: forward, backward, clipping and AdamW on packed random sequences.
public enum TrainingBenchmark {
  /// The sequences of one step.
  public struct Batch: Sendable, Hashable {
    /// How many.
    public var sequences: Int
    /// Tokens of the longest, at least 2; every token but the last has a target.
    public var longest: Int
    /// Tokens of the shortest; the lengths of the others lie evenly between.
    public var shortest: Int
    /// With how many tokens all of them begin alike, less than the shortest has.
    public var prefix: Int

    /// Sequences of one length, or of lengths evenly between two.
    public init(sequences: Int, longest: Int, shortest: Int? = nil, prefix: Int = 0) {
      (self.sequences, self.longest, self.prefix) = (sequences, longest, prefix)
      self.shortest = shortest ?? longest
    }

    /// The lengths, ascending.
    public var lengths: [Int] {
      (0..<sequences).map { shortest + (longest - shortest) * $0 / max(1, sequences - 1) }
    }
  }

  /// The best of the measured steps.
  public struct Report: Sendable, Hashable {
    /// Tokens a second, prompts included, and those that are computed once for several sequences counted in each.
    public let tokensPerSecond: Double
    /// Milliseconds of one optimizer step.
    public let stepMilliseconds: Double
    /// Floating-point operations of the matrix products, per second, in 10⁹: 6 a parameter and computed token, 4 where it is frozen.
    public let gigaflops: Double
    /// The number of parameters.
    public let parameters: Int
    /// The mean loss of each step, the one that warms up first, in nats.
    public let losses: [Double]
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - configuration: The sizes.
  ///   - recipe: Precision, optimizer, adapters and memory options; its sizes and rates are not used.
  ///   - batch: The sequences of a step.
  ///   - steps: Steps to take the best of, after one that warms up.
  /// - Throws: `StudentError` for sizes that do not hold.
  public static func run(
    configuration: DecoderConfiguration, recipe: TrainingRecipe = TrainingRecipe(), batch: Batch, steps: Int
  ) throws -> Report {
    var recipe = recipe
    recipe.dropout = 0
    let student = try makeStudent(configuration, recipe)
    let optimizer = AdamW(layout: student.layout, state: recipe.optimizerState)
    var (best, losses, computed) = (Double.infinity, [Double](), 0)
    for step in 0...max(1, steps) {
      let batch = sequences(batch, configuration, seed: UInt64(step))
      computed = student.computedRows(batch)
      let elapsed = try ContinuousClock().measure {
        losses.append(try optimizer.learn(student, batch, rate: 1e-4, recipe: recipe) { _ in nil }.meanLoss)
      }
      let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
      if step > 0 { best = min(best, seconds) }
    }
    return Report(
      tokensPerSecond: Double(batch.lengths.reduce(0, +)) / best, stepMilliseconds: best * 1e3,
      gigaflops: work(configuration, recipe) * Double(computed) / best / 1e9, parameters: configuration.parameterCount,
      losses: losses)
  }

  private static func makeStudent(_ configuration: DecoderConfiguration, _ recipe: TrainingRecipe) throws -> Student {
    let student: Student
    if let adapters = recipe.adapters {
      student = try Student(configuration: configuration, adapters: adapters, seed: 1)
    } else {
      student = try Student(configuration: configuration, seed: 1, precision: recipe.precision)
    }
    student.follow(recipe)
    return student
  }

  /// Floating-point operations of the matrix products for one token: forward and backward, without what is done again.
  private static func work(_ configuration: DecoderConfiguration, _ recipe: TrainingRecipe) -> Double {
    let untied = configuration.tiesEmbeddings ? 0 : configuration.vocabularySize * configuration.hiddenSize
    let parameters = Double(configuration.parameterCount - untied)
    guard let adapters = recipe.adapters else { return 6 * parameters }
    return 4 * parameters + 6 * Double(ParameterLayout(configuration, adapters: adapters).count)
  }

  private static func sequences(_ wanted: Batch, _ configuration: DecoderConfiguration, seed: UInt64) -> PackedBatch {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func token() -> Int32 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32((state >> 33) % UInt64(configuration.vocabularySize))
    }
    var batch = PackedBatch()
    let prefix = (0..<wanted.prefix).map { _ in token() }
    for length in wanted.lengths {
      let tokens = prefix + (prefix.count..<max(2, length)).map { _ in token() }
      batch.append(tokens: tokens, targets: Array(tokens.dropFirst()) + [-1])
    }
    return batch
  }
}
