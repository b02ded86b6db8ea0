public import Evaluation

extension Gate {
  /// Whether each gate sample was answered exactly, in the same order for every subject, and what else was measured.
  public struct Measurements: Sendable {
    /// Answers to the curated probes.
    public struct ProbeAnswers: Sendable, Hashable {
      /// The probes.
      public var count: Int
      /// Those answered with a valid call.
      public var valid: Int
      /// Different calls among the answers.
      public var distinct: Int

      /// Answers.
      public init(count: Int, valid: Int, distinct: Int) {
        self.count = count
        self.valid = valid
        self.distinct = distinct
      }
    }

    /// The shipped file.
    public var candidate: [Bool]
    /// The unpruned, unquantized student that it was made from.
    public var parent: [Bool]
    /// The release that serves now.
    public var incumbent: [Bool]?
    /// The release with the best exact match so far, where that is another than the incumbent.
    public var best: [Bool]?
    /// How each gate sample was drawn from the traffic.
    public var weights: SampleWeights
    /// The function that each gate sample expects; empty judges no slices.
    public var functions: [String]
    /// The probes' answers of the shipped file and of its parent; nil judges none.
    public var probes: (candidate: ProbeAnswers, parent: ProbeAnswers)?
    /// The median milliseconds of an answer of the shipped file.
    public var latency: Double?
    /// The bytes of the weights file.
    public var bytes: Int64?
    /// Which try against this incumbent it is, from 1.
    public var look: Int

    /// Measurements on the same samples; of equal weight by default.
    public init(
      candidate: [Bool], parent: [Bool], incumbent: [Bool]? = nil, best: [Bool]? = nil, weights: SampleWeights? = nil,
      functions: [String] = [], probes: (candidate: ProbeAnswers, parent: ProbeAnswers)? = nil, latency: Double? = nil,
      bytes: Int64? = nil, look: Int = 1
    ) {
      self.candidate = candidate
      self.parent = parent
      self.incumbent = incumbent
      self.best = best
      self.weights = weights ?? SampleWeights(count: candidate.count)
      self.functions = functions
      self.probes = probes
      self.latency = latency
      self.bytes = bytes
      self.look = look
    }
  }
}
