import Foundation
public import Inference
public import Logging
public import MessageLog
public import Releases
public import Topics

/// Follows the deploy topic for one model and hands over releases that were verified here.
///
/// What is handed over has a trusted signature, an epoch above all before it, files with the manifest's digests, and
/// gave the probes' answers through this runtime. What fails is refused, said on `adoptions`, and never handed over; the
/// caller goes on with what it has. Delivery: the newest deployment at least once after a restart. Ordering: epochs grow.
/// What is wrong with its files may be put right in the log: such a release is tried again, ever more seldom, until a newer one
/// comes. Back-pressure: deployments that arrive while one is being verified are passed over but for the newest. Cancellation:
/// at any await.
public actor ReleaseFollower {
  /// Loading a release and asking it takes seconds, in which requests are answered by the one before.
  private let thread = StageThread("retort.follow")
  /// The follower runs on its own thread.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  private let log: any MessageLog
  private let names: TopicNames
  /// The model that is followed.
  public nonisolated let model: String
  private let keys: TrustedKeys
  private let folder: ModelFolder
  private let subscriber: String
  private let agent: String
  private let logger: Logger
  private let shared: SharedWeights?
  private let fetcher: ArtifactFetcher
  private var reader: (any RecordReader)?
  /// Where partitions ended when the reader was opened that has not come so far: what is the newest is not known until it has.
  private var ends: [TopicPartition: Int64] = [:]
  /// How long the log is waited for when it is asked for the first time; nil: as long as it takes, as ever after.
  private var firstAnswer: Duration?
  private var state: DeploymentState
  /// The deployment that was accepted last when this follower was made.
  private let before: DeploymentRecord?
  private var newest: DeploymentRecord?
  private let firstRetry: Duration
  private var shelved: Shelved?

  /// Why the newest deployment is not run here; nil where it is, or where none came.
  public private(set) var refusal: String?
  /// What was said on `adoptions` last.
  private var announced: (epoch: Int64, reason: String)?
  /// The newest record for `adoptions`, whether or not the log has it, and when it was said last.
  private var record: AdoptionRecord?
  private var saidAt: Int64 = 0
  private let now: @Sendable () -> Int64

  /// A release whose files were not whole, and when they are looked at again.
  private struct Shelved {
    let deployment: DeploymentRecord
    let delay: Duration
    let due: ContinuousClock.Instant
  }

  /// How often what runs is said again, in milliseconds: long before retention takes what was said.
  private static let repetition: Int64 = 86_400_000
  private static let slowestRetry = Duration.seconds(600)
  /// How long nothing comes of what is said to be there until it is given up: longer than brokers let transactions be open.
  private static let longestSilence = Duration.seconds(20)

  /// A follower that keeps its files and what it accepted in a folder.
  ///
  /// - Parameters:
  ///   - model: the model's name.
  ///   - keys: whose signatures count.
  ///   - folder: where files go; two followers do not share one.
  ///   - subscriber: this process's name on `adoptions`: one that its next start has as well, whose word then takes this one's
  ///     place, and nobody else at the same time.
  ///   - agent: the runtime and its version, for `adoptions` and the manifest's minimum.
  ///   - firstRetry: how long after a refusal for its files a release is first tried again; 30 s by default.
  ///   - shared: where models' packed weights are shared with other processes; nil: they are this process's own.
  ///   - firstAnswer: how long the first ``next(timeout:)`` waits until the log says what there is to read, where a release was
  ///     accepted before, which the caller can go on with; nil (default), and where none was: as long as the log's own limits.
  ///   - now: milliseconds since 1970; nil (default): by the machine's clock.
  /// - Throws: ``ClientError`` with `folder`.
  public init(
    log: any MessageLog, names: TopicNames, model: String, keys: TrustedKeys, folder: ModelFolder, subscriber: String,
    agent: String, logger: Logger, firstRetry: Duration = .seconds(30), shared: SharedWeights? = nil,
    firstAnswer: Duration? = nil, now: (@Sendable () -> Int64)? = nil
  ) throws {
    self.log = log
    self.now = now ?? { Int64(Date().timeIntervalSince1970 * 1_000) }
    self.names = names
    self.model = model
    self.keys = keys
    self.folder = folder
    self.subscriber = subscriber
    self.agent = agent
    self.logger = logger
    self.firstRetry = firstRetry
    self.shared = shared
    fetcher = ArtifactFetcher(log: log, names: names)
    let accepted = try folder.loadState(of: model, from: names.models)
    state = DeploymentState(epoch: accepted.epoch, manifestDigest: accepted.manifest)
    before = accepted.deployment
    self.firstAnswer = before == nil ? nil : firstAnswer
  }

  /// The next verified release, or `nil` when none came in time.
  ///
  /// The first call hands over the newest release that is deployed, even if it was accepted before a restart.
  ///
  /// - Parameter timeout: how long to wait, once all that is there has been read; `nil` waits until one comes.
  /// - Throws: ``ClientError`` that is retriable (a full disk, a store that cannot be reached), an error of the log,
  ///   `CancellationError`; the next call tries again.
  public func next(timeout: Duration? = nil) async throws -> VerifiedRelease? {
    let deadline = timeout.map { ContinuousClock.now + $0 }
    while true {
      try await drain(waiting: deadline.map { max(.zero, min($0 - .now, .seconds(1))) } ?? .seconds(1))
      if newest == nil, let shelved, ContinuousClock.now >= shelved.due { newest = shelved.deployment }
      if let deployment = newest {
        newest = nil
        do {
          if let release = try await consider(deployment) { return release }
        } catch {
          // The log's trouble or this machine's, not the release's: it is tried again by the next call.
          newest = deployment
          throw error
        }
      }
      try await sayAgain()
      if let deadline, ContinuousClock.now >= deadline { return nil }
      try Task.checkCancellation()
    }
  }

  /// The release that was accepted last before this follower was made, verified again from the folder alone: to go on with where
  /// the newest is refused or not to be found, or the log is away. ``next(timeout:)`` goes on as if it had not been asked for.
  ///
  /// - Returns: the release; `nil` where none was accepted.
  /// - Throws: what is wrong with its signature, the runtime that it asks for, its files or its answers.
  public func acceptedBefore() throws -> VerifiedRelease? {
    guard let before else { return nil }
    try keys.verify(before)
    try checkRuntime(before.manifest)
    return try verify(
      before, files: before.manifest.files.map { ($0.role, try folder.bytes(of: $0, of: before.manifest)) })
  }

  /// Acknowledges on `adoptions` that a release runs here; ``next(timeout:)`` says so once more each day, for retention takes what is
  /// not said again.
  public func acknowledge(_ release: VerifiedRelease, reason: String? = nil) async throws {
    try await announce(release.deployment, status: .adopted, code: nil, reason: reason)
  }

  /// Ends the reading.
  public func close() async {
    await reader?.close()
    reader = nil
  }

  /// Says on `adoptions` that this subscriber ends, so that what it ran does not count as running any more.
  ///
  /// Only a service that ends asks for this, also where its task is cancelled. Where the log is away nothing is said: the record
  /// stays until the next start under this name replaces it.
  ///
  /// - Parameter limit: how long the log is waited for; 1 s by default.
  public func leave(within limit: Duration = .seconds(1)) async {
    guard var record else { return }
    record.until = RFC3339.text(milliseconds: now())
    let (log, last) = (log, RecordCoding.record(record, topic: names.adoptions, key: record.key))
    do {
      // A task of its own, as one that is cancelled waits for nothing.
      _ = try await Task { try await FirstAnswer.of(within: limit) { try await log.append([last]) } }.value
    } catch {
      logger.warning("the log has not been told that this subscriber ends", metadata: ["reason": "\(error)"])
    }
  }

  // MARK: - Reading

  private func drain(waiting: Duration) async throws {
    let reader = try await openReader()
    var timeout = waiting
    var patience = ContinuousClock.now + Self.longestSilence
    while true {
      let records = try await reader.next(maximum: 500, timeout: timeout)
      for record in records where record.value != nil { read(record) }
      if !ends.isEmpty {
        let positions = await reader.positions
        ends = ends.filter { place, end in positions[place] ?? end < end }
        if !records.isEmpty { patience = .now + Self.longestSilence }
        // Behind a transaction that nobody ends nothing comes.
        if patience <= .now { ends = [:] }
      }
      if records.isEmpty, ends.isEmpty { return }
      timeout = ends.isEmpty ? .zero : .milliseconds(20)
    }
  }

  private func openReader() async throws -> any RecordReader {
    if let reader { return reader }
    let (limit, topic) = (firstAnswer, names.models)
    firstAnswer = nil
    let ends = try await FirstAnswer.of(within: limit) { [log] in try await Self.ends(of: topic, in: log) }
    let opened = try await log.reader(
      of: ends.mapValues { _ in StartPosition.earliest }, options: ReaderOptions(onLostRange: .skip))
    (reader, self.ends) = (opened, ends)
    return opened
  }

  private static func ends(of topic: String, in log: any MessageLog) async throws -> [TopicPartition: Int64] {
    let partitions = try await log.topics().first { $0.name == topic }?.topicPartitions ?? []
    guard !partitions.isEmpty else {
      throw ClientError(
        .notFound, "the log", expected: "a topic \(topic)", found: "none",
        advice: "create the topics with `retort topics apply`", isRetriable: true)
    }
    var ends: [TopicPartition: Int64] = [:]
    for partition in partitions { ends[partition] = try await log.watermarks(of: partition).high }
    return ends
  }

  private func read(_ record: Record) {
    do {
      let deployment = try RecordCoding.value(of: record, as: DeploymentRecord.self)
      guard deployment.model == model else { return }
      // A forged record with a huge epoch must not hide a true one: only signed deployments compete.
      try keys.verify(deployment)
      if deployment.epoch >= newest?.epoch ?? 0 { newest = deployment }
    } catch {
      if !hasHandedOver, refusal == nil { refusal = String(describing: error) }
      logger.warning("deployment refused", metadata: ["reason": "\(error)"])
    }
  }

  // MARK: - Verifying

  private func consider(_ deployment: DeploymentRecord) async throws -> VerifiedRelease? {
    if deployment.epoch != shelved?.deployment.epoch { shelved = nil }
    switch state.decision(on: deployment) {
    case .accept: break
    case .current where !hasHandedOver: break
    case .current: return nil
    case .refuse(let error):
      // After a restart an older deployment can only come from a log that was put back, or from one that was begun anew.
      try await refuse(
        deployment,
        ReleaseError(
          error.code, error.subject, expected: error.expected, found: error.found,
          advice: error.advice
            + "; where the log was begun anew, stop this subscriber, delete \(folder.statePath) and start it again"))
      return nil
    }
    do {
      let release = try await verify(deployment)
      try folder.saveState(deployment, from: names.models)
      state.accept(deployment)
      hasHandedOver = true
      (shelved, refusal) = (nil, nil)
      return release
    } catch let error as CancellationError {
      throw error
    } catch let error as MessageLogError {
      throw error
    } catch let error as ClientError where error.isRetriable {
      throw error
    } catch {
      shelve(deployment, error)
      try await refuse(deployment, error)
      return nil
    }
  }

  private func shelve(_ deployment: DeploymentRecord, _ error: any Error) {
    let code = (error as? ReleaseError)?.code
    guard code == .incomplete || code == .badDigest || (error as? ClientError)?.code == .fetch else { return }
    let delay = shelved.map { min($0.delay * 2, Self.slowestRetry) } ?? firstRetry
    shelved = Shelved(deployment: deployment, delay: delay, due: .now + delay)
  }

  private var hasHandedOver = false

  private func verify(_ deployment: DeploymentRecord) async throws -> VerifiedRelease {
    let manifest = deployment.manifest
    try checkRuntime(manifest)
    var files: [(role: ManifestFile.Role, bytes: [UInt8])] = []
    for file in manifest.files { files.append((file.role, try await fetcher.fetch(file))) }
    _ = try folder.store(files, of: manifest)
    return try verify(deployment, files: files)
  }

  /// A release accepted before may ask for more than an older program has that is started in its folder.
  private func checkRuntime(_ manifest: Manifest) throws(ReleaseError) {
    guard RuntimeVersion(agent) >= RuntimeVersion(manifest.minimumRuntime) else {
      throw ReleaseError(
        .runtime, "\(model) version \(manifest.version)", expected: "a runtime of at least \(manifest.minimumRuntime)",
        found: agent, advice: "update it")
    }
  }

  /// Verifies what is in the folder, and loads it.
  private func verify(
    _ deployment: DeploymentRecord, files: [(role: ManifestFile.Role, bytes: [UInt8])]
  ) throws -> VerifiedRelease {
    let manifest = deployment.manifest
    let path = folder.folder(of: manifest)
    let probes = try files.first { $0.role == .probes }.map { try Probe.read($0.bytes, name: "\(path)/probes.jsonl") }
    let loaded = try ReleaseCheck.load("\(path)/\(ModelFolder.weightsName)", manifest: manifest, shared: shared)
    try ReleaseCheck.ask(probes ?? [], of: loaded)
    return VerifiedRelease(deployment: deployment, folder: path, model: loaded)
  }

  private func refuse(_ deployment: DeploymentRecord, _ error: any Error) async throws {
    let reason = String(describing: error)
    // Where a newer one runs, an old one that comes again is no reason for anything.
    if !hasHandedOver || deployment.epoch > state.epoch { refusal = reason }
    // Said once, however often it is tried.
    if let announced, announced == (deployment.epoch, reason) { return }
    logger.error("release refused", metadata: ["model": "\(model)", "reason": "\(reason)"])
    let code = (error as? ReleaseError)?.code.rawValue ?? (error as? ClientError)?.code.rawValue ?? "failed"
    try await announce(deployment, status: .refused, code: code, reason: reason)
    announced = (deployment.epoch, reason)
  }

  private func announce(
    _ deployment: DeploymentRecord, status: AdoptionRecord.Status, code: String?, reason: String?
  ) async throws {
    let said = AdoptionRecord(
      subscriber: subscriber, model: model, status: status, epoch: deployment.epoch,
      version: deployment.manifest.version, manifestDigest: deployment.manifestDigest,
      since: RFC3339.text(milliseconds: now()), code: code, reason: reason?.shortened(toBytes: 4_096), agent: agent)
    let entry = try RecordCoding.checked(said, topic: names.adoptions, key: said.key)
    // Before it is known to be there, as it may be all the same.
    (record, saidAt) = (said, now())
    _ = try await log.append([entry])
  }

  /// Says what was said last once more when a day has passed.
  private func sayAgain() async throws {
    guard let record, now() - saidAt >= Self.repetition else { return }
    _ = try await log.append([RecordCoding.record(record, topic: names.adoptions, key: record.key)])
    saidAt = now()
  }
}

/// `retort/0.1.0` or `0.1.0`, compared by its numbers.
struct RuntimeVersion: Comparable {
  private let numbers: [Int]

  init(_ text: String) {
    numbers = (text.split(separator: "/").last ?? "").split(separator: ".").map { Int($0.prefix { $0.isNumber }) ?? 0 }
  }

  static func < (a: RuntimeVersion, b: RuntimeVersion) -> Bool {
    for index in 0..<max(a.numbers.count, b.numbers.count) {
      let (x, y) = (index < a.numbers.count ? a.numbers[index] : 0, index < b.numbers.count ? b.numbers[index] : 0)
      if x != y { return x < y }
    }
    return false
  }
}
