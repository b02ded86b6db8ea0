public import Logging
public import MessageLog
import RetortClient
public import Teacher
public import Topics

/// Joins corrections from production into `samples`: a trusted producer's right call becomes a new version of the sample,
/// which training learns in place of the old one.
///
/// Delivery: the group's position is in one transaction with the last of the new versions; what went before it is not joined a
/// second time. Ordering: corrections of one request in the order of their partition, the last one counts. Back-pressure: a batch at a time; a correction waits until labelling has decided
/// on its request, so that no label overwrites it. Cancellation: what is not written is joined by whoever comes next.
///
/// A request that the labelling policy had skipped becomes a training sample. A held-out one does not: people complain about
/// mistakes, and a gate made of complaints would measure them. For the same reason no joined version is one of the uniform share,
/// by which drift is seen.
///
/// A score without a call is no label. Where that is asked for, one of a trusted producer joins the training sample of its
/// request beside the answer that it is of, as a judgement that rejection sampling and reinforcement learning can go by.
public struct FeedbackStage: Sendable {
  let log: any MessageLog
  let names: TopicNames
  let teacher: Teacher
  let functions: FunctionSet
  let trustedProducers: Set<String>
  let joinsScores: Bool
  let split: LabelStage.Split
  let logger: Logger

  /// A feedback stage over a log.
  ///
  /// - Parameters:
  ///   - teacher: checks a corrected call as it would check a label of its own.
  ///   - trustedProducers: whose corrections and scores count.
  ///   - joinsScores: whether scores join samples as judgements; default false.
  public init(
    log: any MessageLog, names: TopicNames, teacher: Teacher, functions: FunctionSet, trustedProducers: Set<String>,
    joinsScores: Bool = false, split: LabelStage.Split = LabelStage.Split(), logger: Logger
  ) {
    self.joinsScores = joinsScores
    self.log = log
    self.names = names
    self.teacher = teacher
    self.functions = functions
    self.trustedProducers = trustedProducers
    self.split = split
    self.logger = logger
  }

  /// Joins until the mode says to stop.
  ///
  /// - Parameters:
  ///   - mode: for ever, or until all feedback in the log is joined and no more labels will come.
  ///   - upstreamIsIdle: whether labelling has ended; asked only in ``RunMode/untilIdle``.
  public func run(_ mode: RunMode, upstreamIsIdle: @escaping UpstreamCheck = { true }) async throws {
    var subjects = FeedbackSubjects(log: log, names: names)
    var hasBegun = false
    try await StageRetry.run("feedback", logger: logger) { _ in
      let reader = try await log.groupReader(
        group: names.feedbackGroup, topics: [names.feedback], options: ReaderOptions(onLostRange: .skip))
      do {
        let member = try await reader.membership.memberID
        let writer = try await log.transactionalWriter(id: "\(names.feedbackGroup).\(member)")
        do {
          try await loop(mode, &subjects, &hasBegun, reader: reader, writer: writer, upstreamIsIdle: upstreamIsIdle)
        } catch {
          await writer.close()
          throw error
        }
        await writer.close()
      } catch {
        await reader.close()
        throw error
      }
      await reader.close()
    }
    try Task.checkCancellation()
  }

  private func loop(
    _ mode: RunMode, _ subjects: inout FeedbackSubjects, _ hasBegun: inout Bool, reader: any GroupReader,
    writer: any TransactionalWriter, upstreamIsIdle: UpstreamCheck
  ) async throws {
    try await subjects.updateLedger()
    var functions = TaskFunctions(functions, in: subjects.ledger, names: names)
    // Later on others may have functions that this process was started without: it goes on with its own.
    if !hasBegun { try functions.checkNoneIsMissing() }
    hasBegun = true
    var passed: [TopicPartition: Int64] = [:]
    while !Task.isCancelled {
      var isLast = mode == .untilIdle
      if isLast { isLast = try await upstreamIsIdle() }
      let records = try await reader.next(maximum: 500, timeout: .milliseconds(250))
      if records.isEmpty {
        // The position passes what is not there, so that one at the end means that all is joined.
        let positions = await reader.positions.filter { passed[$0.key] != $0.value }
        if !positions.isEmpty { try await reader.commit(positions) }
        passed.merge(positions) { $1 }
        if isLast, try await GroupProgress.isAtEnd(group: names.feedbackGroup, of: names.feedback, log: log) { return }
        continue
      }
      let statements = FeedbackStatement.of(
        records, trustedProducers: trustedProducers, withScores: joinsScores, logger: logger)
      let joined = try await join(statements, &subjects, waits: !isLast)
      let membership = try await reader.membership
      var offsets: [TopicPartition: Int64] = [:]
      for record in records { offsets[record.topicPartition] = record.offset + 1 }
      if joined.isEmpty {
        try await reader.commit(offsets)
      } else {
        let definitions = functions.unwritten.map { set in
          let account = LedgerRecord(functions: set)
          return RecordCoding.record(account, topic: names.ledger, key: account.transaction)
        }
        let known = subjects.ledger.erasures
        var starts: [TopicPartition: Int64] = [:]
        for record in records {
          starts[record.topicPartition] = min(starts[record.topicPartition] ?? .max, record.offset)
        }
        let parts = Self.parts(joined)
        for (index, part) in parts.enumerated() {
          // The position that there is already: whoever has lost a partition meanwhile writes nothing.
          let reached = index == parts.count - 1 ? offsets : starts
          _ = try await writer.commit(
            append: (index == 0 ? definitions.map { [$0] } ?? [] : []) + part,
            offsets: GroupOffsets(membership: membership, offsets: reached))
          // Here, as a later part may not come to be written.
          try await eraseAgain(part, erasedSince: known, &subjects)
        }
        functions.haveBeenWritten()
        logger.info("feedback: samples corrected or judged", metadata: ["count": "\(joined.count)"])
      }
    }
    try Task.checkCancellation()
  }

  /// The most bytes of one transaction, which must be over before the log gives it up.
  private static let transactionBytes = 16 << 20

  /// Records as they are committed, in order: no more bytes at once than ``transactionBytes``, or one record.
  package static func parts(_ records: [NewRecord]) -> [[NewRecord]] {
    var parts: [[NewRecord]] = []
    var bytes = 0
    for record in records {
      bytes += record.byteCount
      if parts.isEmpty || bytes > transactionBytes {
        parts.append([record])
        bytes = record.byteCount
      } else {
        parts[parts.count - 1].append(record)
      }
    }
    return parts
  }

  /// The new versions of samples; waits for requests that labelling has not decided on.
  private func join(
    _ statements: [String: FeedbackStatement], _ subjects: inout FeedbackSubjects, waits: Bool
  ) async throws -> [NewRecord] {
    var joined: [String: NewRecord] = [:]
    var open = statements
    while !open.isEmpty {
      let ids = Set(open.keys)
      let judged = Set(open.filter { $0.value.scores.contains { $0.answer == nil } }.keys)
      var found = try await subjects.find(ids, judged: judged)
      if waits, !found.undecided.isEmpty {
        try await GroupProgress.wait(for: found.undecided, of: names.labelGroup, log: log)
        found = try await subjects.find(ids, judged: judged)
      }
      let unknown = ids.filter { found.subjects[$0] == nil }
      if let first = unknown.min() {
        logger.warning(
          "feedback: passed over, since the log has no such request, or has erased it",
          metadata: ["request": "\(first)", "count": "\(unknown.count)"])
      }
      for (id, statement) in open.sorted(by: { $0.key < $1.key }) {
        joined[id] = nil
        guard let subject = found.subjects[id], let sample = try await version(of: subject, id: id, statement) else {
          continue
        }
        // A label that is only scored does not say that it comes from feedback: so that a correction is known by itself, also
        // where compaction has taken what it corrected.
        let isCorrection = subject.isCorrected || sample.call != subject.sample?.call
        joined[id] = RecordCoding.record(
          sample, topic: names.samples, key: id, partition: 0, derivedFrom: isCorrection ? statement.record : nil)
      }
      // Checking takes time: what was erased or labelled anew meanwhile is looked at again.
      let changed = try await subjects.changed(ids, since: found)
      open = open.filter { changed.contains($0.key) }
    }
    return joined.sorted { $0.key < $1.key }.map(\.value)
  }

  /// Erases again what a deletion request erased in the moment between the last look and the commit.
  private func eraseAgain(
    _ joined: [NewRecord], erasedSince known: Erasures, _ subjects: inout FeedbackSubjects
  ) async throws {
    try await subjects.update()
    let erased = joined.compactMap(\.key).filter { key in
      let id = Digest.sha256(key)
      return subjects.ledger.erasures.accounts[id]?.erasure != known.accounts[id]?.erasure
    }
    if erased.isEmpty { return }
    let headers = RecordCoding.headers(of: SampleRecord.topic)
    _ = try await log.append(
      erased.map { NewRecord(topic: names.samples, partition: 0, key: $0, value: nil, headers: headers) })
  }

  /// The sample with the right call, or with more answers judged; nil where nothing changes or may change.
  private func version(
    of subject: FeedbackSubjects.Subject, id: String, _ statement: FeedbackStatement
  ) async throws -> SampleRecord? {
    let judged = statement.judged(of: subject)
    if let call = statement.call, subject.sample?.call != call,
      let corrected = try await corrected(subject, id: id, call, statement, judged: judged)
    {
      return corrected
    }
    guard let old = subject.sample, judged != old.judged else { return nil }
    return SampleRecord(old, judged: judged)
  }

  private func corrected(
    _ subject: FeedbackSubjects.Subject, id: String, _ call: Call, _ statement: FeedbackStatement,
    judged: [JudgedCall]
  ) async throws -> SampleRecord? {
    let split = split.assign(subject.messages)
    guard let old = subject.sample ?? (split == .train ? subject.unlabelled : nil) else { return nil }
    let outcome = try await teacher.check(
      call, for: RequestRecord(id: id, messages: subject.messages), producer: statement.producer)
    guard case .accepted(let label) = outcome else {
      logger.warning("feedback: correction refused", metadata: ["request": "\(id)", "reason": "\(outcome)"])
      return nil
    }
    var sample = SampleRecord(
      id: id, messages: subject.messages, call: label.call, split: old.split ?? split,
      functionsDigest: functions.digest, weight: old.weight, audited: false, judged: judged)
    sample.producer = statement.producer
    sample.votes = label.votes
    sample.verdicts = label.verdicts
    sample.propensity = old.propensity
    sample.choice = old.choice
    // What the student answered is not recorded, only whether it was the label: where it was, it is not this one.
    if sample.choice?.student?.exact == true { sample.choice?.student?.exact = old.call == label.call }
    sample.usage = old.usage
    sample.cost = old.cost
    sample.source = old.source
    return sample
  }
}
