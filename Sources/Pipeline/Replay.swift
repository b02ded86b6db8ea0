import Compression
import MessageLog
import RetortClient
public import Topics
import Training

/// Retrains from a range of samples into a candidate of another name, beside the live model and without touching it.
///
/// Its checkpoints, its candidate and nothing else go to the log, all under its own name; it commits no group's position.
/// The same range and recipe give the same bytes. Killed at any moment, the same call goes on from the last checkpoint; a
/// finished one returns what it made, and with other settings of compression makes the next version. One process at a time: a newer one fences the older.
public struct Replay: Sendable {
  /// What a replay's candidate is made of.
  public struct Origin: Sendable {
    /// The live model: what the candidate is compared with, and whose name its files bear, so that the same samples and
    /// recipe give the same file.
    public var model: String
    /// The samples.
    public var range: ReplayRange

    /// An origin.
    public init(model: String, range: ReplayRange) {
      self.model = model
      self.range = range
    }
  }

  private let train: TrainStage
  private let release: ReleaseStage
  private let range: ReplayRange

  /// A replay of one range.
  ///
  /// - Parameters:
  ///   - train: trains the student of the replay's name on the range.
  ///   - release: makes the candidate of the same name, of the same range.
  public init(train: TrainStage, release: ReleaseStage, range: ReplayRange) {
    self.train = train
    self.release = release
    self.range = range
  }

  /// Trains, compresses, measures and signs.
  ///
  /// - Returns: the candidate's manifest, which is then in `releases`.
  /// - Throws: ``PipelineError``: `checkpoint` where the name stands for something else, `fenced`, `not_enough`;
  ///   `TrainingError` `checkpoint_mismatch` where it stands for another recipe; `MessageLogError` `out_of_range` where
  ///   samples were lost, naming the missing range.
  public func run() async throws -> Manifest {
    if let made = try await candidate() { return made }
    do {
      try await train.run(.untilIdle)
    } catch let error as TrainingError
      where error.code == .checkpointMismatch && error.context.hasPrefix(train.checkpoints.folder)
    {
      throw TrainingError(
        error.code, context: error.context, expected: error.expected, found: error.found,
        advice: "restore what it was, or choose another name")
    } catch let error as TrainingError
      where error.code == .checkpointNotFound && error.context.hasPrefix(train.checkpoints.folder)
    {
      throw PipelineError(
        .checkpoint, train.model, expected: "the checkpoint of this replay, to go on from",
        found: "\(error.context) gone",
        advice: "choose another name; `retort models gc` removes those of a replay that has its candidate")
    }
    let writer = try await release.log.transactionalWriter(
      id: ReleaseStage.transactionalID(of: release.model, names: release.names))
    do {
      let manifest = try await make(writer)
      await writer.close()
      return manifest
    } catch let error as MessageLogError where error.code == .fenced {
      await writer.close()
      throw PipelineError(
        .fenced, "replay", expected: "to be the only process that makes \(release.model)", found: "\(error)",
        advice: "stop one of the two")
    } catch {
      await writer.close()
      throw error
    }
  }

  private func make(_ writer: any TransactionalWriter) async throws -> Manifest {
    if let made = try await candidate() { return made }
    let announced = try await TrainStage.announced(log: train.log, names: train.names, model: train.model)
    guard let checkpoint = announced.releasePoint, let point = checkpoint.releasePoint else {
      throw PipelineError(
        .notEnough, "replay", expected: "samples to train on", found: "none in \(range.records) records",
        advice: "choose a longer range")
    }
    let finished = try await ReleaseWorker(stage: release).release(checkpoint, point: point)
    // A deletion request names the releases that hold a sample, and could not name this one.
    guard try await !range.hasLostSamples(log: train.log, names: train.names) else {
      throw PipelineError(
        .checkpoint, train.model, expected: "the samples of its range to stay until the candidate is made",
        found: "some erased by a deletion request meanwhile",
        advice: "choose another name, and `retort models gc` removes the checkpoints of this one")
    }
    _ = try await writer.commit(append: finished.records, offsets: nil)
    return finished.manifest
  }

  /// What the same replay made before: the same samples, by their chain, the same recipe, base and compression.
  private func candidate() async throws -> Manifest? {
    let announced = try await TrainStage.announced(log: train.log, names: train.names, model: train.model)
    guard let point = announced.releasePoint, point.isReplay(of: range) else { return nil }
    let compression = release.compression(of: train.recipe, hasBase: train.base != nil).digest
    // Where the checkpoint is gone the lineage says the base, but not whether it is one of layers that had lessons.
    let mayHaveLessons = train.base == nil && train.recipe.baseSteps > 0
    let made = try? train.checkpoints.summary(of: point.digest)
    if let made, try !train.startsFrom(made.modelDigest) { return nil }
    return try await release.history.releases(of: release.model)
      .map(\.manifest).last {
        let lineage = $0.lineage
        return try lineage.chain == point.chain && lineage.recipe == train.recipe.digest
          && lineage.compression ?? compression == compression
          && made.map { $0.baseDigest == lineage.base } ?? (mayHaveLessons || train.startsFrom(lineage.base))
      }
  }
}

extension CheckpointRecord {
  /// The field that names the range of a replay.
  private static let replayField = "replay"

  /// Whether this is a checkpoint of a replay of exactly these samples; with `nil`, of no replay.
  func isReplay(of range: ReplayRange?) -> Bool { extra[Self.replayField]?["digest"] == range?.json["digest"] }

  /// The offsets of `samples` that a replay's checkpoint is of; nil for the live student's.
  public var replayedOffsets: Range<Int64>? {
    guard let range = extra[Self.replayField], let from = range["from_offset"]?.integerValue,
      let to = range["to_offset"]?.integerValue, from < to
    else { return nil }
    return from..<to
  }

  /// The same checkpoint, saying of which range it is.
  func replaying(_ range: ReplayRange?) -> CheckpointRecord {
    guard let range else { return self }
    var record = self
    record.extra[Self.replayField] = range.json
    return record
  }
}
