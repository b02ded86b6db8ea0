public import MessageLog
import RetortClient
import Teacher
public import Topics

/// Honouring a deletion request: erasing what the deployment keeps about one request.
///
/// The teacher's cache forgets it first. Then one transaction writes a tombstone for its sample, a marker for every dead
/// letter, and the account of the erasure in the ledger, by which the audit and later replays know. A log that can then
/// removes the records themselves; what another keeps goes by retention and compaction, and the report says when. Weights
/// do not forget: the models that were trained on a sample are named.
public enum Forgetting {
  /// The most looks at the log.
  private static let looks = 5

  /// Erases everything about a request. Doing it twice is harmless, and the second report names the same models.
  ///
  /// A log that can remove records is looked at again until nothing more is found: a correction that was being joined may have
  /// made another version of the sample meanwhile, or been appended itself.
  ///
  /// A running redrive is fenced: a dead letter that is being erased must not be put back meanwhile.
  ///
  /// - Parameters:
  ///   - id: the request's id.
  ///   - model: the live model's name.
  ///   - cachePath: the teacher's cache on this machine.
  ///   - now: milliseconds since 1970.
  /// - Throws: an error of the log, or `TeacherError`.
  public static func forget(
    id: String, log: any MessageLog, names: TopicNames, model: String, cachePath: String, now: Int64
  ) async throws -> ForgettingReport {
    var report = try await look(id: id, log: log, names: names, model: model, cachePath: cachePath, now: now)
    for _ in 1..<looks where report.removed != nil {
      let more = try await look(id: id, log: log, names: names, model: model, cachePath: cachePath, now: now)
      report.add(more)
      if more.removed == 0 { break }
    }
    return report
  }

  private static func look(
    id: String, log: any MessageLog, names: TopicNames, model: String, cachePath: String, now: Int64
  ) async throws -> ForgettingReport {
    let writer = try await log.transactionalWriter(id: names.prefix + "redrive")
    let request = try await RequestTraces(id: id, log: log, names: names)
    var report = ForgettingReport(id: id, waiting: request.waiting.count, requests: request.decided.count)
    var conversations = request.conversations
    var places = try await feedback(id, log, names)
    var records: [NewRecord] = []
    let live = try await TrainStage.liveStudents(log: log, names: names).union([model])
    for set in [names] + names.relabellings(among: try await log.topics().map(\.name)) {
      let traces = try await OutcomeTraces(id: id, log: log, names: set)
      let known = try await Erasures(log: log, names: set).accounts[.sha256(id)]
      let erasure = traces.account(id: id, requests: set.isRelabelled ? [] : request.decided, before: known?.erasure)
      let isNew = erasure != known?.erasure
      let account = Erasures.Account(erasure: erasure, time: isNew ? now : known?.time ?? now)
      guard erasure != Erasure(idDigest: .sha256(id)) else { continue }
      records += traces.records(id: id, account: account, before: known?.erasure)
      report.samples += traces.samples
      report.deadLetters += traces.deadLetters
      report.models += try await trained(on: account, log, set, live: live)
      if try await isInCheckpoints(erasure, log, set) { report.isInCheckpoints = true }
      conversations += traces.conversations
      places.merge(traces.places(erasure)) { $0.union($1) }
    }
    // First: what is asked of the cache is known by the records that go.
    report.cached = try TeacherCache.forget(conversations, path: cachePath)
    if !records.isEmpty { _ = try await writer.commit(append: records, offsets: nil) }
    await writer.close()
    for place in request.decided {
      places[TopicPartition(topic: names.requests, partition: place.partition), default: []].insert(place.offset)
    }
    if log.capabilities.erasure {
      report.removed = try await log.erase(places)
    } else {
      report.keptUntil = try await lastRemoval(places, log)
    }
    return report
  }

  private static func feedback(
    _ id: String, _ log: any MessageLog, _ names: TopicNames
  ) async throws -> [TopicPartition: Set<Int64>] {
    var places: [TopicPartition: Set<Int64>] = [:]
    try await TopicScan.each(log: log, topic: names.feedback) { record in
      let feedback = try? RecordCoding.value(of: record, as: FeedbackRecord.self)
      // What cannot be read is known by its key alone.
      guard feedback.map({ ExactString.equal($0.requestID, id) }) ?? (record.key == Array(id.utf8)) else { return }
      places[record.topicPartition, default: []].insert(record.offset)
    }
    return places
  }

  /// The releases whose range holds a train sample of the account. A live student has learned from it for good; a
  /// replay that was made after the erasure has left it out.
  private static func trained(
    on account: Erasures.Account, _ log: any MessageLog, _ names: TopicNames, live: Set<String>
  ) async throws -> [ForgettingReport.Model] {
    let topic = names.isRelabelled ? names.samples : nil
    let erased = account.erasure.samples.map(\.offsets)
    var models: [ForgettingReport.Model] = []
    try await TopicScan.each(log: log, topic: names.releases) { record in
      guard record.value != nil, let release = try? RecordCoding.value(of: record, as: ReleaseRecord.self),
        case .manifest(let manifest) = release.content, manifest.lineage.topic == topic,
        erased.contains(where: { $0.overlaps(manifest.lineage.fromOffset..<manifest.lineage.toOffset) }),
        live.contains(manifest.model) || RFC3339.milliseconds(of: manifest.created) ?? 0 <= account.time
      else { return }
      models.append(ForgettingReport.Model(name: manifest.model, version: manifest.version))
    }
    return models
  }

  /// Whether a checkpoint has come past a train sample of the account.
  private static func isInCheckpoints(
    _ erasure: Erasure, _ log: any MessageLog, _ names: TopicNames
  ) async throws -> Bool {
    guard let first = erasure.samples.map(\.from).min() else { return false }
    var isThere = false
    try await TopicScan.each(log: log, topic: names.checkpoints) { record in
      guard record.value != nil, let checkpoint = try? RecordCoding.value(of: record, as: CheckpointRecord.self),
        checkpoint.position > first
      else { return }
      isThere = true
    }
    return isThere
  }

  /// When retention will have removed the last of these records.
  private static func lastRemoval(
    _ places: [TopicPartition: Set<Int64>], _ log: any MessageLog
  ) async throws -> Int64? {
    var retention: [String: Int64] = [:]
    for topic in try await log.topics() { retention[topic.name] = topic.retentionMilliseconds }
    var last: Int64?
    for (partition, offsets) in places {
      guard let span = retention[partition.topic], let end = offsets.max() else { continue }
      try await TopicScan.each(log: log, partition: partition, from: .offset(end), to: end + 1) { record in
        last = max(last ?? 0, record.timestamp + span)
      }
    }
    return last
  }
}
