import Evaluation
import Logging
import MessageLog
import RetortClient
import Topics

/// What trusted producers say of one request.
struct FeedbackStatement {
  /// The feedback that counts: the last correction, else the last score.
  private(set) var record: Record
  /// Whose it is.
  private(set) var producer: String
  /// The call that would have been right.
  private(set) var call: Call?
  /// What answers are worth, in order.
  private(set) var scores: [Score] = []

  /// What an answer is worth.
  struct Score {
    /// The answer; nil for the one that stands in the request.
    let answer: Call?
    let value: Double
    let producer: String
  }

  /// The statements on each request, by its id; what nobody trusted says is left out, aloud.
  ///
  /// - Parameter withScores: whether scores count, and not corrections alone.
  static func of(
    _ records: [Record], trustedProducers: Set<String>, withScores: Bool, logger: Logger
  ) -> [String: FeedbackStatement] {
    var statements: [String: FeedbackStatement] = [:]
    for record in records where record.value != nil {
      guard let feedback = try? RecordCoding.value(of: record, as: FeedbackRecord.self) else {
        logger.warning("feedback: record left out", metadata: ["offset": "\(record.offset)", "reason": "unreadable"])
        continue
      }
      guard feedback.call != nil || withScores else { continue }
      guard let producer = feedback.producer, trustedProducers.contains(producer) else {
        logger.warning(
          "feedback: correction or score left out",
          metadata: ["request": "\(feedback.requestID)", "reason": "its producer is on no list of teachers"])
        continue
      }
      var statement = statements[feedback.requestID] ?? FeedbackStatement(record: record, producer: producer)
      if statement.call == nil || feedback.call != nil {
        (statement.record, statement.producer) = (record, producer)
        statement.call = feedback.call
      }
      if withScores {
        statement.scores.append(Score(answer: feedback.answer, value: feedback.score, producer: producer))
      }
      statements[feedback.requestID] = statement
    }
    return statements
  }

  /// The answers to a request that have been judged, the last judgement of each; of training samples alone, and none that
  /// says no more than the label does.
  func judged(of subject: FeedbackSubjects.Subject) -> [JudgedCall] {
    guard let sample = subject.sample, sample.split == .train else { return subject.sample?.judged ?? [] }
    var judged = sample.judged
    for score in scores {
      guard let answer = score.answer ?? subject.answer else { continue }
      let known = judged.firstIndex { CallScore.exact($0.call, answer) }
      if known == nil, score.value == 1, let label = sample.call, CallScore.exact(answer, label) { continue }
      let judgement = JudgedCall(call: answer, score: score.value, producer: score.producer)
      if let known { judged[known] = judgement } else { judged.append(judgement) }
    }
    return judged.suffix(JudgedCall.limit)
  }
}

extension FeedbackStatement {
  private init(record: Record, producer: String) { self.init(record: record, producer: producer, call: nil) }
}

extension SampleRecord {
  /// The sample with other judgements; all else about the label is kept, what it took too: compaction leaves nobody else who knows.
  init(_ old: SampleRecord, judged: [JudgedCall]) {
    self.init(
      id: old.id, messages: old.messages, call: old.call ?? Call(name: "", arguments: [:]), split: old.split ?? .train,
      functionsDigest: old.functionsDigest, weight: old.weight, audited: false, judged: judged,
      topLogprobs: old.topLogprobs)
    producer = old.producer
    promptDigest = old.promptDigest
    votes = old.votes
    verdicts = old.verdicts
    propensity = old.propensity
    choice = old.choice
    usage = old.usage
    cost = old.cost
    trace = old.trace
    source = old.source
    extra = old.extra
  }
}
