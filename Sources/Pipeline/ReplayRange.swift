public import MessageLog
import RetortClient
public import Topics

/// The samples that a replay trains on: of a range of `samples`, each id's newest version, and none that has been erased,
/// even where the newer version or the erasure lies behind the range.
///
/// That is what compaction leaves, sooner or later: so the range is the same before and after. It is named by what it
/// holds, the digests of its records in order. Offsets are hints: the same samples in another log, or with other holes
/// between them, are the same range.
public struct ReplayRange: Sendable {
  /// The offsets, from the first to one past the last.
  public let offsets: Range<Int64>
  /// SHA-256 over the digests of the records that are replayed, in order.
  public let digest: Digest
  /// Records that are replayed, cuts included.
  public let records: Int
  /// Samples of the range that have been erased.
  public let erased: Int
  /// The producers of the labels.
  public let teachers: Set<String>
  /// Calls to the teacher that the labels took.
  let teacherCalls: Int
  /// Which records are passed over.
  private let superseded: Superseded
  /// The offsets of the range that train samples had which were erased before.
  private let lost: RangeSet<Int64>

  /// Reads a range: once through `samples` to its end for what is superseded, and once through the range itself.
  ///
  /// Memory: 8 bytes and a hash table's overhead for each id from the range's start on, while this runs.
  ///
  /// - Throws: an error of the log; ``PipelineError`` with `not_enough` where nothing is left to replay.
  public init(_ offsets: Range<Int64>, log: any MessageLog, names: TopicNames) async throws {
    let partition = TopicPartition(topic: names.samples, partition: 0)
    let start = StartPosition.offset(offsets.lowerBound)
    // Before all else: what is erased from here on is seen by ``hasLostSamples(log:names:)``.
    let erasures = try await Erasures(log: log, names: names)
    var scan = Superseded.Scan()
    try await TopicScan.each(log: log, partition: partition, from: start, to: nil) { scan.add($0) }
    let superseded = scan.result
    var stream = Digest.Stream()
    var records = 0
    var erased = erasures.samples(in: offsets)
    var teachers: Set<String> = []
    var calls = 0
    try await TopicScan.each(log: log, partition: partition, from: start, to: offsets.upperBound) { record in
      if superseded.isErased(record) { erased.insert(contentsOf: record.offset..<record.offset + 1) }
      guard superseded.isNewest(record), let sample = try? RecordCoding.value(of: record, as: SampleRecord.self)
      else { return }
      stream.update(sample.digest.bytes)
      records += 1
      if let producer = sample.producer { teachers.insert(producer) }
      calls = min(calls + (sample.usage?.calls ?? 0), HeldOutSamples.maximumCalls)
    }
    guard records > 0 else {
      throw PipelineError(
        .notEnough, "\(partition)",
        expected: "samples from offset \(offsets.lowerBound) to before \(offsets.upperBound)",
        found: "none, and \(erased.offsetCount) that were erased", advice: "choose another range")
    }
    self.offsets = offsets
    self.superseded = superseded
    lost = erasures.trained(in: offsets)
    digest = stream.digest
    self.records = records
    self.erased = erased.offsetCount
    self.teachers = teachers
    teacherCalls = calls
  }

  /// Whether a record of `samples` is replayed.
  func holds(_ record: Record) -> Bool { offsets.contains(record.offset) && superseded.isNewest(record) }

  /// Whether train samples of the range were erased since it was read.
  func hasLostSamples(log: any MessageLog, names: TopicNames) async throws -> Bool {
    try await Erasures(log: log, names: names).trained(in: offsets) != lost
  }

  /// What a checkpoint of a replay says about it: only the same range goes on from there.
  var json: JSON {
    [
      "digest": .string(digest.hex), "from_offset": .integer(offsets.lowerBound),
      "to_offset": .integer(offsets.upperBound),
    ]
  }
}

/// Which records of a compacted topic a later record of the same key replaces or erases.
private struct Superseded: Sendable {
  /// The offset of the last record, of keys with several records or a tombstone.
  private let last: [UInt64: Int64]
  /// The offset of the last tombstone.
  private let tombstones: [UInt64: Int64]

  /// Whether nothing replaces or erases the record.
  func isNewest(_ record: Record) -> Bool {
    !record.isTombstone && record.offset >= last[Self.name(of: record)] ?? 0
  }

  /// Whether a tombstone follows.
  func isErased(_ record: Record) -> Bool {
    !record.isTombstone && record.offset < tombstones[Self.name(of: record)] ?? 0
  }

  /// Eight bytes of the key's SHA-256: a client that chooses keys cannot make them meet.
  private static func name(of record: Record) -> UInt64 {
    Digest.sha256(record.key ?? []).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Goes through the records in order.
  struct Scan {
    private var seen: Set<UInt64> = []
    private var last: [UInt64: Int64] = [:]
    private var tombstones: [UInt64: Int64] = [:]

    mutating func add(_ record: Record) {
      let name = Superseded.name(of: record)
      if record.isTombstone { tombstones[name] = record.offset }
      if !seen.insert(name).inserted || record.isTombstone { last[name] = record.offset }
    }

    var result: Superseded { Superseded(last: last, tombstones: tombstones) }
  }
}
