import Topics

/// One request while it is being answered.
struct LiveSequence {
  /// Its place among the requests.
  let index: Int
  var cache: KeyValueCache
  let promptTokens: Int
  /// What its answer may be; nil without a constraint.
  let context: RequestContext?
  /// Where better answers are looked for; nil: this one counts.
  let search: AnswerSearch?
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
  /// Whether it cannot become the most probable answer any more.
  var isSurpassed = false
  /// Why there can be no answer.
  var failure: String?

  /// Whether nothing comes any more.
  var isOver: Bool { isFinished || isSurpassed || failure != nil }
  /// Whether it is an answer to its end.
  var isWhole: Bool { isFinished && !isCutOff && failure == nil }
}
