import MessageLog
import RetortClient
import Teacher
import Topics

/// What one label transaction writes: the outcome of each request, the ledger record, and the positions.
struct LabelTransaction {
  private let batch: [LabelWindow<LabelledRequest>.Finished]
  private let asked: [AskedCount]
  private let functions: FunctionSet?
  private let stage: LabelStage

  /// - Parameters:
  ///   - asked: about how many of the batch the teacher was asked, by the partition that pays and day.
  ///   - functions: the definitions, where the ledger does not have them yet.
  init(
    batch: [LabelWindow<LabelledRequest>.Finished], asked: [AskedCount], functions: FunctionSet?, stage: LabelStage
  ) {
    self.functions = functions
    self.batch = batch
    self.asked = asked
    self.stage = stage
  }

  /// About how many bytes an outcome takes in a transaction.
  static func byteCount(of item: LabelWindow<LabelledRequest>.Finished) -> Int {
    switch item.outcome {
    case .sampled(_, _, let sample): sample.byteCount
    // What was read is written in it as text.
    case .dead: min(2 * item.record.byteCount, DeadLetterRecord.topic.maximumMessageBytes)
    case .skipped: 0
    }
  }

  /// Samples and dead letters in the order of the requests, then the ledger record.
  var records: [NewRecord] {
    var records: [NewRecord] = []
    records.reserveCapacity(batch.count + 1)
    for item in batch {
      switch item.outcome {
      case .sampled(_, _, let sample): records.append(sample)
      case .dead(let code, let message, let attempts, let rawAnswer):
        records.append(
          deadLetter(item.record, code: code, message: message, attempts: attempts, rawAnswer: rawAnswer))
      case .skipped: break
      }
    }
    let ledger = self.ledger
    records.append(
      RecordCoding.record(ledger, topic: stage.names.ledger, key: ledger.transaction))
    return records
  }

  /// The next offset of every partition that the batch has requests of.
  var offsets: [TopicPartition: Int64] {
    var offsets: [TopicPartition: Int64] = [:]
    for item in batch {
      offsets[TopicPartition(topic: item.record.topic, partition: item.record.partition)] = item.record.offset + 1
    }
    return offsets
  }

  /// The counts by outcome.
  var progress: LabelProgress {
    var progress = LabelProgress()
    for item in batch {
      switch item.outcome {
      case .sampled: progress.sampled += 1
      case .skipped(let reason): progress.skipped[reason, default: 0] += 1
      case .dead(let code, _, _, _): progress.dead[code, default: 0] += 1
      }
    }
    return progress
  }

  private func deadLetter(
    _ record: Record, code: String, message: String, attempts: Int, rawAnswer: String?
  ) -> NewRecord {
    let letter = DeadLetterRecord(
      source: RecordCoordinates(topic: record.topic, partition: record.partition, offset: record.offset),
      timestamp: record.timestamp, key: record.key, value: record.value,
      headers: record.headers.map { DeadLetterHeader(name: $0.name, value: $0.value) }, code: code, message: message,
      attempts: max(1, attempts) + DeadLetters.earlierAttempts(record), answer: rawAnswer)
    func coded(_ letter: DeadLetterRecord) -> NewRecord {
      NewRecord(
        topic: stage.names.deadLetters, key: letter.key, value: letter.json.bytes,
        headers: RecordCoding.headers(of: DeadLetterRecord.topic, derivedFrom: record))
    }
    // A limit of a topic is one of compressed bytes: what a producer has compressed may be many times as long.
    let whole = coded(letter)
    return whole.byteCount <= DeadLetterRecord.topic.maximumMessageBytes ? whole : coded(letter.beginning)
  }

  private var ledger: LedgerRecord {
    var ranges: [OffsetRange] = []
    var skipped: [SkippedRequest] = []
    for item in batch {
      let record = item.record
      if let last = ranges.last, last.partition == record.partition {
        ranges[ranges.count - 1].to = record.offset + 1
      } else {
        ranges.append(OffsetRange(partition: record.partition, from: record.offset, to: record.offset + 1))
      }
      if case .skipped(let reason) = item.outcome {
        skipped.append(SkippedRequest(partition: record.partition, offset: record.offset, reason: reason))
      }
    }
    let progress = self.progress
    var outcomes: [OutcomeCount] = []
    if progress.sampled > 0 { outcomes.append(OutcomeCount(outcome: .sampled, count: progress.sampled)) }
    for (reason, count) in progress.skipped.sorted(by: { $0.key < $1.key }) {
      outcomes.append(OutcomeCount(outcome: .skipped, reason: reason, count: count))
    }
    for (code, count) in progress.dead.sorted(by: { $0.key < $1.key }) {
      outcomes.append(OutcomeCount(outcome: .dead, reason: code, count: count))
    }
    var account = LedgerRecord(
      transaction: Self.name(of: ranges), ranges: ranges, requests: batch.count, outcomes: outcomes, skipped: skipped,
      asked: asked)
    account.functions = functions?.json
    return account
  }

  /// The ranges themselves; of more than fit into a short name, their digest.
  private static func name(of ranges: [OffsetRange]) -> String {
    let name = ranges.map { "\($0.partition):\($0.from)-\($0.to)" }.joined(separator: ",")
    return name.utf8.count <= 200 ? name : "\(ranges.count) ranges/\(Digest.sha256(name).hex)"
  }
}

extension LabelStage {
  /// The record of `samples` of a labelled request.
  func sample(of request: RequestRecord, label: AcceptedLabel, chosen: ChosenRequest, source: Record) -> NewRecord {
    let part = split.assign(request.messages)
    // Only training looks at them: the others are spared the room.
    var sample = SampleRecord(
      id: request.id, messages: request.messages, call: label.call, split: part,
      functionsDigest: functions.digest, audited: chosen.isAudited, drifting: chosen.isDrifting,
      topLogprobs: part == .train ? label.topLogprobs : nil)
    sample.producer = label.producer
    sample.promptDigest = label.promptDigest
    sample.votes = label.votes
    sample.verdicts = label.verdicts
    sample.propensity = chosen.propensity
    sample.choice = chosen.choice(label: label.call)
    sample.usage = label.usage
    sample.cost = label.cost
    sample.trace = label.trace
    sample.source = RecordCoordinates(topic: source.topic, partition: source.partition, offset: source.offset)
    // The order of samples is that of one partition, whatever the topic was made with.
    return RecordCoding.record(
      sample, topic: names.samples, key: sample.id, partition: 0, derivedFrom: source, traceparent: request.traceparent)
  }
}
