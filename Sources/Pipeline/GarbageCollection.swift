import Foundation
public import MessageLog
import ModelFiles
public import Releases
import RetortClient
public import Topics
public import Training

/// Removing what nothing refers to: chunks of old releases and of none, files of the store, checkpoints of old release points; and
/// what processes left half written that were killed.
public enum GarbageCollection {
  /// What went, or would go.
  public struct Report: Sendable, Hashable {
    /// Chunks that got a tombstone.
    public var chunks = 0
    /// Files deleted.
    public var files = 0
    /// Bytes of both.
    public var bytes = 0

    /// The report as `retort models gc --json` prints it.
    public var json: JSON {
      ["chunks": .integer(Int64(chunks)), "files": .integer(Int64(files)), "bytes": .integer(Int64(bytes))]
    }
  }

  /// Collects.
  ///
  /// What stays: the deployed release, the best, the newest promoted ones, the newest candidate, the checkpoint that training
  /// goes on from, and those of release points that wait to be released. A replay that has its candidate, or whose samples
  /// are no longer the same (one was erased), goes on from no checkpoint, so that none of its stays. Chunks that no release names
  /// stay for a day: on another machine a release may be about to name them, whose chunks come before it.
  ///
  /// - Parameters:
  ///   - keys: whose signatures count; `nil`: anybody's.
  ///   - checkpoints: those of the live students, which take turns in one folder: each keeps what it goes on from there,
  ///     whichever is `model`. `nil`: they are not collected.
  ///   - model: whose releases are collected.
  ///   - replays: students with a folder of their own, whose checkpoints are collected as well.
  ///   - keep: promoted versions that stay beside the deployed one.
  ///   - dryRun: only counts.
  public static func run(
    log: any MessageLog, names: TopicNames, keys: TrustedKeys?, store: ContentStore, checkpoints: CheckpointStore?,
    model: String, replays: [String: CheckpointStore] = [:], keep: Int, dryRun: Bool
  ) async throws -> Report {
    var report = Report()
    // What is written and not yet announced is nobody's garbage.
    let folders = ([store.folder] + ([checkpoints].compactMap { $0 } + replays.values).map(\.folder))
      .filter(FileManager.default.fileExists(atPath:))
    let holds = try folders.map(tidying(up:))
    defer { withExtendedLifetime(holds) {} }
    for (folder, hold) in zip(folders, holds) where hold.isSure {
      try removeLeftovers(in: folder, dryRun: dryRun, report: &report)
    }
    let history = DeploymentScan(log: log, names: names, keys: keys)
    let releases = try await history.releases(of: model)
    let deployed = try await history.newest(of: model)
    // What others wrote into the history keeps nothing, and takes no own release's place.
    let own = releases.filter { history.trusts($0.manifest) }
    var kept = own.filter { $0.verdict?.promoted == true }.suffix(keep).map(\.manifest)
    // The gate compares with the deployed and with the best.
    kept += [deployed?.manifest, GateContext.best(of: own), own.last?.manifest].compactMap { $0 }
    // Other models, replays for instance, share the topic and the folder: theirs is not this call's business.
    for other in try await history.models() where other != model {
      kept += try await history.releases(of: other).map(\.manifest)
    }
    let wanted = Set(kept.flatMap { $0.files.map(\.sha256) })
    let unwanted = Set(releases.flatMap { $0.manifest.files.map(\.sha256) }).subtracting(wanted)
    let named = try await named(log: log, names: names)
    let yesterday = Int64(Date().timeIntervalSince1970 * 1_000) - patience
    try await tombstone(log: log, names: names, dryRun: dryRun, report: &report) { digest, time in
      unwanted.contains(digest) || time < yesterday && named?.contains(digest) == false
    }
    try sweep(store.folder, keeping: wanted, dryRun: dryRun, report: &report)

    for (student, checkpoints) in replays {
      guard let needed = try await needed(of: student, checkpoints, log: log, names: names) else { continue }
      try sweep(checkpoints.folder, keeping: needed, dryRun: dryRun, report: &report)
    }
    let live = try await TrainStage.liveStudents(log: log, names: names)
    if let checkpoints, !live.isEmpty {
      var needed: Set<Digest> = []
      for student in live {
        needed.formUnion(try await self.needed(of: student, checkpoints, log: log, names: names) ?? [])
      }
      try sweep(checkpoints.folder, keeping: needed, dryRun: dryRun, report: &report)
    }
    return report
  }

  private static let holdName = ".use"

  /// What those hold who write into a folder first and announce it later: until then nothing is collected there.
  static func use(of folder: String) throws -> FolderHold {
    if let hold = try FolderHold(.shared, on: folder, name: holdName, patience: .seconds(600)) { return hold }
    throw PipelineError(
      .store, folder, expected: "`retort models gc` to be done with it in ten minutes", found: "it at work still",
      advice: "stop it", isRetriable: true)
  }

  /// How old a chunk is that no release names before it is garbage, in milliseconds: a day.
  static let patience: Int64 = 86_400_000

  private static let workPrefix = "incoming-"

  /// An empty folder in a store for what is made there, and the hold by which it is known that it is still being made.
  ///
  /// - Parameter name: no other process makes something under that name.
  static func workFolder(_ name: String, in store: String) throws -> (path: String, hold: FolderHold) {
    let path = "\(store)/\(workPrefix)\(name)"
    // Nothing is collected between the folder and the hold on it.
    let use = try use(of: store)
    defer { withExtendedLifetime(use) {} }
    guard let hold = try FolderHold(.exclusive, on: path, name: holdName) else {
      throw PipelineError(
        .store, path, expected: "to be the only process that makes this", found: "another",
        advice: "stop one of the two", isRetriable: true)
    }
    for file in names(in: path) where file != holdName { try FileManager.default.removeItem(atPath: "\(path)/\(file)") }
    return (path, hold)
  }

  private static func tidying(up folder: String) throws -> FolderHold {
    if let hold = try FolderHold(.exclusive, on: folder, name: holdName, patience: .seconds(60)) { return hold }
    throw PipelineError(
      .store, folder, expected: "a moment in which nothing is written there", found: "none in a minute",
      advice: "try again", isRetriable: true)
  }

  /// The files that a student's training or release goes on from; nil where nothing is known of it.
  private static func needed(
    of student: String, _ checkpoints: CheckpointStore, log: any MessageLog, names: TopicNames
  ) async throws -> Set<Digest>? {
    let announced = try await TrainStage.announced(log: log, names: names, model: student)
    guard let progress = announced.progress else { return nil }
    if try await isOver(progress, announced.releasePoint, log: log, names: names) { return [] }
    var needed: Set<Digest> = []
    let waiting = try await unreleased(of: student, log: log, names: names)
    // A release point that was released stays for nobody: it may hold a sample that was erased since.
    for record in [progress] + waiting {
      // Of one that is there and cannot be read nobody knows which files it needs.
      guard checkpoints.contains(record.digest) else { continue }
      needed.formUnion(try checkpoints.files(of: record.digest))
    }
    return needed
  }

  /// The release points that the release stage has not come to.
  private static func unreleased(
    of student: String, log: any MessageLog, names: TopicNames
  ) async throws -> [CheckpointRecord] {
    let committed = try await log.committedOffsets(group: names.releaseGroup(model: student))
    var waiting: [CheckpointRecord] = []
    try await TopicScan.each(log: log, topic: names.checkpoints) { record in
      guard record.value != nil, record.offset >= committed[record.topicPartition] ?? 0,
        let checkpoint = try? RecordCoding.value(of: record, as: CheckpointRecord.self),
        checkpoint.student == student, checkpoint.releasePoint != nil
      else { return }
      waiting.append(checkpoint)
    }
    return waiting
  }

  /// Whether a checkpoint is of a replay that does not go on.
  private static func isOver(
    _ progress: CheckpointRecord, _ releasePoint: CheckpointRecord?, log: any MessageLog, names: TopicNames
  ) async throws -> Bool {
    guard let offsets = progress.replayedOffsets else { return false }
    let candidates = try await DeploymentScan(log: log, names: names, keys: nil).releases(of: progress.student)
    if let releasePoint, candidates.contains(where: { $0.manifest.lineage.chain == releasePoint.chain }) { return true }
    let own = names.relabelled(as: progress.student)
    let isRelabelled = try await log.topics().contains { $0.name == own.samples }
    do {
      return try await !progress.isReplay(of: ReplayRange(offsets, log: log, names: isRelabelled ? own : names))
    } catch let error as PipelineError where error.code == .notEnough {
      return true
    }
  }

  /// The files that any release or deployment names, whoever signed it; nil where one cannot be read, as one of a newer program.
  private static func named(log: any MessageLog, names: TopicNames) async throws -> Set<Digest>? {
    var named: Set<Digest>? = []
    try await TopicScan.each(log: log, topic: names.releases) { record in
      guard record.value != nil else { return }
      guard let release = try? RecordCoding.value(of: record, as: ReleaseRecord.self) else { return named = nil }
      if case .manifest(let manifest) = release.content { named?.formUnion(manifest.files.map(\.sha256)) }
    }
    // The history of a deployed release may be gone.
    try await TopicScan.each(log: log, topic: names.models) { record in
      guard record.value != nil else { return }
      guard let deployment = try? RecordCoding.value(of: record, as: DeploymentRecord.self) else { return named = nil }
      named?.formUnion(deployment.manifest.files.map(\.sha256))
    }
    return named
  }

  /// Removes the chunks of the files that are garbage, as their digest and the chunk's time tell.
  private static func tombstone(
    log: any MessageLog, names: TopicNames, dryRun: Bool, report: inout Report,
    _ isGarbage: (Digest, Int64) -> Bool
  ) async throws {
    var alive: [[UInt8]: Int] = [:]
    var seen: [TopicPartition: Int64] = [:]
    // The second time only for what came during the first: chunks may be written anew at any moment.
    for _ in 0..<2 {
      seen = try await TopicScan.news(log: log, topic: names.artifacts, after: seen, anew: { alive = [:] }) { record in
        guard let key = record.key, let place = ArtifactChunk.place(key: key) else { return }
        // The last copy counts.
        alive[key] = isGarbage(place.digest, record.timestamp) ? record.value?.count : nil
      }
    }
    report.chunks += alive.count
    report.bytes += alive.values.reduce(0, +)
    guard !dryRun, !alive.isEmpty else { return }
    let records = alive.keys.sorted { $0.lexicographicallyPrecedes($1) }.map {
      NewRecord(
        topic: names.artifacts, partition: 0, key: $0, value: nil,
        headers: RecordCoding.headers(of: ArtifactChunk.topic))
    }
    _ = try await log.append(records)
  }

  /// Deletes the files of a content-addressed folder that are not kept.
  private static func sweep(_ folder: String, keeping wanted: Set<Digest>, dryRun: Bool, report: inout Report) throws {
    for file in files(in: folder) where !wanted.contains(file.digest) {
      try remove(file.path, dryRun: dryRun, report: &report)
    }
  }

  /// The files of a content-addressed folder.
  static func files(in folder: String) -> [(digest: Digest, path: String)] {
    names(in: folder).filter { $0.count == 2 }.flatMap { group in
      names(in: "\(folder)/\(group)").compactMap { name in
        Digest(hex: name).map { (digest: $0, path: "\(folder)/\(group)/\(name)") }
      }
    }
  }

  /// Deletes what processes left half written that were killed: who has the folder alone knows that nobody writes there, but for the
  /// folders of work that somebody holds.
  private static func removeLeftovers(in folder: String, dryRun: Bool, report: inout Report) throws {
    for name in names(in: folder) {
      let path = "\(folder)/\(name)"
      if name.count == 2 {
        for file in names(in: path) where isPartial(file) {
          try remove("\(path)/\(file)", dryRun: dryRun, report: &report)
        }
      } else if isPartial(name) || name == CheckpointStore.incomingName {
        try remove(path, dryRun: dryRun, report: &report)
      } else if name.hasPrefix(workPrefix),
        let hold = try? FolderHold(.exclusive, on: path, name: holdName), hold.isSure
      {
        for file in names(in: path) where file != holdName {
          try remove("\(path)/\(file)", dryRun: dryRun, report: &report)
        }
        if !dryRun { try? FileManager.default.removeItem(atPath: path) }
        withExtendedLifetime(hold) {}
      }
    }
  }

  /// Whether a file is one that `AtomicFile` has not given its name.
  private static func isPartial(_ name: String) -> Bool { name.hasPrefix(".") && name.hasSuffix(".partial") }

  private static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private static func remove(_ path: String, dryRun: Bool, report: inout Report) throws {
    let files = FileManager.default
    // The trainer tidies up too.
    guard let size = ((try? files.attributesOfItem(atPath: path))?[.size] as? NSNumber)?.intValue else { return }
    if !dryRun {
      do { try files.removeItem(atPath: path) } catch CocoaError.fileNoSuchFile { return }
    }
    report.files += 1
    report.bytes += size
  }
}
