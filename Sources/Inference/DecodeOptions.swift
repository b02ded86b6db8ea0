/// How answers are decoded.
public struct DecodeOptions: Sendable, Hashable {
  /// Whether only legal calls can be written (default), whose strings without an enumeration are pieces of the request. Otherwise the text is the model's own greedy text, checked afterwards.
  public var constrained: Bool
  /// The most tokens of an answer, 1 or more; nil (default): as many as the model was released with
  /// (``ServingModel/answerTokens``). A constrained answer that gets there is closed legally and has confidence 0; a free one is
  /// invalid.
  public var maximumTokens: Int?
  /// Under the constraint, how many other beginnings are followed at most where the greedy answer need not be the most probable
  /// one, 0…1,000; 0 for the greedy answer; nil (default): as many as the model was released with
  /// (``ServingModel/alternatives``). Nothing is followed where tokens are drawn.
  public var alternatives: Int?
  /// How tokens are drawn; nil (default): the most probable one is taken.
  public var sampling: Sampling?
  /// Under the constraint, the only functions that may be called; nil (default): any of the model's. Confidence is then that of
  /// the call among calls of these.
  public var functions: Set<String>?

  /// Drawing tokens at random.
  public struct Sampling: Sendable, Hashable {
    /// What logits are divided by, above 0; 1 draws from the model's own distribution.
    public var temperature: Double
    /// Names the draws. A token is a function of the seed, the request's place among those given, the token's place in the
    /// answer, and the logits: whatever else is in flight.
    public var seed: UInt64
    /// The place of the first request, where those given are a part of all that are drawn for; 0 or more, default 0.
    public var first: Int

    /// Draws of a seed.
    public init(temperature: Double = 1, seed: UInt64, first: Int = 0) {
      self.temperature = max(1e-3, temperature)
      self.seed = seed
      self.first = max(0, first)
    }
  }

  /// Options.
  public init(
    constrained: Bool = true, maximumTokens: Int? = nil, alternatives: Int? = nil,
    sampling: Sampling? = nil, functions: Set<String>? = nil
  ) {
    self.constrained = constrained
    self.maximumTokens = maximumTokens.map { max(1, $0) }
    self.alternatives = alternatives.map { min(max(0, $0), Self.alternativesRange.upperBound) }
    self.sampling = sampling
    self.functions = functions
  }

  /// What ``alternatives`` may be.
  public static let alternativesRange = 0...1_000
  /// How many beginnings are followed where neither the options nor the model say.
  public static let standardAlternatives = 8
  /// What ``maximumTokens`` of a released model may be.
  public static let answerTokensRange = 1...1 << 20
  /// The most tokens of an answer where neither the options nor the model say.
  public static let standardAnswerTokens = 256

  /// How many beginnings are followed of an answer of `model`.
  func alternatives(for model: ServingModel) -> Int {
    constrained && sampling == nil ? alternatives ?? model.alternatives : 0
  }

  /// The most tokens of an answer of `model`.
  func maximumTokens(for model: ServingModel) -> Int { maximumTokens ?? model.answerTokens }
}
