import MessageLog
import RetortClient
import Teacher
import Topics

/// What became of one request; indirect, because it is handed from place to place.
indirect enum LabelledRequest: Sendable {
  /// A sample, as it will be written: what that takes is done beside the labelling, of many requests at once.
  case sampled(RequestRecord, AcceptedLabel, NewRecord)
  case skipped(reason: String)
  /// A dead letter: the code, the sentence, the attempts and, where a teacher answered, its raw answer.
  case dead(code: String, message: String, attempts: Int, rawAnswer: String?)

  var isSampled: Bool {
    if case .sampled = self { return true }
    return false
  }

  /// The outcome that a teacher's answer to a request means.
  init(_ request: RequestRecord, _ outcome: LabelOutcome, chosen: ChosenRequest, source: Record, stage: LabelStage) {
    switch outcome {
    case .accepted(let label):
      self = .sampled(request, label, stage.sample(of: request, label: label, chosen: chosen, source: source))
    case .skipped(let reason):
      self = .skipped(reason: reason)
    case .rejected(let rejection):
      self = .dead(
        code: rejection.code.rawValue, message: rejection.message, attempts: rejection.attempts,
        rawAnswer: rejection.rawAnswer)
    }
  }
}

/// From the bytes of a request to what must be done about it.
indirect enum RequestReading {
  case request(RequestRecord)
  case decided(LabelledRequest)
  /// Decided because of an earlier request with the same id.
  case duplicate(LabelledRequest)

  /// Reads a record of the topic requests; what is wrong with it makes it a dead letter.
  static func read(_ record: Record, duplicates: DuplicateIndex, trusted: Set<String>) -> RequestReading {
    let request: RequestRecord
    do {
      request = try RecordCoding.value(of: record, as: RequestRecord.self)
    } catch  where error.code == .unknownSchema {
      return .decided(.dead(code: error.code.rawValue, message: error.description, attempts: 0, rawAnswer: nil))
    } catch {
      return .decided(.dead(code: "invalid_request", message: "\(error)", attempts: 0, rawAnswer: nil))
    }
    if let reserved = reserved(request) {
      return .decided(.dead(code: "invalid_request", message: "\(reserved)", attempts: 0, rawAnswer: nil))
    }
    return duplicate(request, duplicates, trusted: trusted).map { .duplicate($0) } ?? .request(request)
  }

  /// What is wrong with an id that is a key of cuts in `samples`: one would replace the other there.
  static func reserved(_ request: RequestRecord) -> PipelineError? {
    guard request.id.hasPrefix("cut/") else { return nil }
    return PipelineError(
      .importLine, "the request's id", expected: "one that does not begin with cut/, as the keys of cuts in samples do",
      found: String(request.id.prefix(100)), advice: "send it under another id")
  }

  /// What becomes of a request because of an earlier one with its id; `nil` where it is to be labelled.
  static func duplicate(
    _ request: RequestRecord, _ duplicates: DuplicateIndex, trusted: Set<String>
  ) -> LabelledRequest? {
    switch duplicates.relation(of: request, trusted: trusted) {
    case .new, .relabelled: return nil
    case .repeated: return .skipped(reason: "duplicate")
    case .conflicting:
      return .dead(
        code: "duplicate_id",
        message: "the id \(request.id.debugDescription) belongs to an earlier request with other messages; "
          + "send it with an id of its own",
        attempts: 0, rawAnswer: nil)
    }
  }
}
