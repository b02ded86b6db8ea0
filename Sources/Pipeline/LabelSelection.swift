public import Releases
public import Teacher
import Topics

/// A labelling policy with what it needs to ask the newest released student.
public struct LabelSelection: Sendable {
  /// The rules.
  public var policy: LabellingPolicy
  /// The name of the student's releases.
  public var model: String
  /// Where released files are kept on this machine.
  public var store: ContentStore
  /// Whose signatures on releases count; asked when a release comes.
  public var keys: @Sendable () throws -> TrustedKeys
  /// How long until a release that could not be loaded is looked at again; default 1 minute.
  public var nextLook: Duration

  /// A selection.
  public init(
    policy: LabellingPolicy, model: String, store: ContentStore, nextLook: Duration = .seconds(60),
    keys: @escaping @Sendable () throws -> TrustedKeys
  ) {
    self.nextLook = nextLook
    self.policy = policy
    self.model = model
    self.store = store
    self.keys = keys
  }
}

/// A request that is labelled: with which probability it was chosen, why, and what the student made of it.
struct ChosenRequest: Sendable {
  var propensity = 1.0
  var isAudited = true
  /// Whether the student was seen to be less sure of the traffic than it should be.
  var isDrifting = false
  var reason: LabelChoice.Reason?
  var student: ReleasedStudent.Opinion?
  /// The partition from whose part of the day's budget it is taken; `nil`: its own.
  var payer: Int?

  /// The choice as the sample records it; nil without a policy.
  func choice(label: Call) -> LabelChoice? {
    reason.map { LabelChoice(reason: $0, student: student?.recorded(label: label)) }
  }
}

/// What the label stage does about a request.
enum LabelDecision: Sendable {
  case label(ChosenRequest)
  case skip(reason: String)
}
