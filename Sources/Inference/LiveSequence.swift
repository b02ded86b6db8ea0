import Topics

/// One answer to a request while it is being written.
struct LiveSequence {
  /// The request's place among those given.
  let index: Int
  /// The beginning of its search that it follows; 0 for the greedy answer.
  var id = 0
  var cache: KeyValueCache
  let promptTokens: Int
  /// What its answer may be; nil without a constraint.
  let context: RequestContext?
  /// Where its answer stands under the constraint.
  var state: AnswerConstraint.State?
  /// What the next token may be, where there is a choice under the constraint.
  var allowed: [Int32]?
  /// Tokens that the model has not seen yet.
  var pending: [Int32]
  /// The answer so far.
  var generated: [Int32] = []
  var text: [UInt8] = []
  /// The end, where the model wrote it.
  var end: Int32?
  /// log of the product of the chosen tokens' probabilities.
  var logProbability = 0.0
  /// Whether the answer is at its end.
  var isFinished = false
  /// Whether the answer was closed because it had become too long.
  var isCutOff = false
  /// Why there can be no answer.
  var failure: String?

  /// Whether nothing comes any more.
  var isOver: Bool { isFinished || failure != nil }
  /// Whether it is an answer to its end.
  var isWhole: Bool { isFinished && !isCutOff && failure == nil }
}
