/// What a branch did after its rate had fallen.
public struct RefinementReport: Sendable, Hashable {
  /// The outcome of rejection sampling.
  public struct Rejection: Sendable, Hashable {
    /// The requests that were answered.
    public var requests = 0
    /// Those of which every answer was right: nothing to learn.
    public var allRight = 0
    /// Those of which none was: too hard yet, or the label is wrong.
    public var allWrong = 0
    /// The answers that joined the mix, each once.
    public var joined = 0
    /// The steps on the mix.
    public var steps = 0
  }

  /// The outcome of learning from the teacher on answers of the student's own.
  public struct Imitation: Sendable, Hashable {
    /// The steps.
    public var steps = 0
    /// The mean divergence from the teacher over the tokens of the first tenth of the steps, in nats.
    public var first = 0.0
    /// The same over the last tenth.
    public var last = 0.0
  }

  /// The outcome of reinforcement learning.
  public struct Reward: Sendable, Hashable {
    /// The steps.
    public var steps = 0
    /// The mean reward of all answers over the first tenth of the steps, −1…1.
    public var first = 0.0
    /// The same over the last tenth.
    public var last = 0.0
    /// The share of groups from which something could be learned: those whose rewards differ.
    public var usefulGroups = 0.0
  }

  /// Learning from the teacher on own answers; `nil` where the recipe has none.
  public var imitation: Imitation?
  /// Rejection sampling; `nil` where the recipe has none.
  public var rejection: Rejection?
  /// Reinforcement learning; `nil` where the recipe has none.
  public var reward: Reward?

  /// A branch that did nothing more.
  public init() {}
}
