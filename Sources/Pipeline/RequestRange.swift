public import MessageLog
import RetortClient
public import Topics

/// The requests that a relabelling reads: a range of each partition of `requests`, without those that have been erased.
public struct RequestRange: Sendable {
  /// The offsets of each partition, from the first to one past the last.
  public let offsets: [TopicPartition: Range<Int64>]
  private var erasures: Erasures
  private let names: TopicNames

  /// The requests between two bounds.
  ///
  /// - Parameter names: the live names: their ledger says what was erased.
  /// - Throws: as ``ReplayBound/resolve(from:to:of:log:)``; ``PipelineError`` with `not_enough` where an offset is meant for
  ///   several partitions, or no partition has a request between the bounds.
  public init(from start: ReplayBound, to end: ReplayBound, log: any MessageLog, names: TopicNames) async throws {
    let partitions = try await log.topics().first { $0.name == names.requests }?.topicPartitions ?? []
    if partitions.count > 1, start.isOffset || end.isOffset {
      throw PipelineError(
        .notEnough, names.requests, expected: "one partition, for an offset to say something",
        found: "\(partitions.count)", advice: "name a time, earliest or latest")
    }
    var offsets: [TopicPartition: Range<Int64>] = [:]
    for partition in partitions {
      do {
        offsets[partition] = try await ReplayBound.resolve(from: start, to: end, of: partition, log: log)
      } catch let error as PipelineError where error.code == .notEnough && partitions.count > 1 {
        continue
      }
    }
    guard !offsets.isEmpty else {
      throw PipelineError(
        .notEnough, names.requests, expected: "requests in the range", found: "none", advice: "choose another range")
    }
    self.offsets = offsets
    erasures = try await Erasures(log: log, names: names)
    self.names = names
  }

  /// Learns what has been erased since.
  mutating func update(log: any MessageLog) async throws { try await erasures.update(log: log, names: names) }

  /// Whether a request is labelled.
  func holds(_ record: Record) -> Bool {
    offsets[record.topicPartition]?.contains(record.offset) ?? false && !isErased(record)
  }

  /// Whether a request has been erased.
  func isErased(_ record: Record) -> Bool {
    erasures.contains(RequestPlace(partition: record.partition, offset: record.offset))
  }

  /// Checks that a relabelling of this name has left none of the requests out: one of a later range has passed those before it.
  ///
  /// - Parameter names: the relabelling's.
  /// - Throws: ``PipelineError`` with `checkpoint`, naming the first; an error of the log.
  public func checkNoneIsLeftOut(by names: TopicNames, log: any MessageLog) async throws {
    // In this order: what was committed is then in the ledger.
    let committed = try await log.committedOffsets(group: names.labelGroup)
    var labelled: [Int: RangeSet<Int64>] = [:]
    try await TopicScan.each(log: log, topic: names.ledger) { record in
      guard record.value != nil, let entry = try? RecordCoding.value(of: record, as: LedgerRecord.self) else { return }
      for range in entry.ranges where range.from < range.to {
        labelled[range.partition, default: RangeSet()].insert(contentsOf: range.offsets)
      }
    }
    for (partition, range) in offsets.sorted(by: { $0.key < $1.key }) {
      let passed = range.lowerBound..<max(range.lowerBound, min(committed[partition] ?? 0, range.upperBound))
      for gap in RangeSet(passed).subtracting(labelled[partition.partition] ?? RangeSet()).ranges {
        var first: Int64?
        try await TopicScan.each(log: log, partition: partition, from: .offset(gap.lowerBound), to: gap.upperBound) {
          if first == nil, holds($0) { first = $0.offset }
        }
        guard let first else { continue }
        throw PipelineError(
          .checkpoint, "\(partition) at offset \(first)",
          expected: "a request that is labelled under this name, or will be",
          found: "one that another range under the same name has left out", advice: "choose another name")
      }
    }
  }

  /// How far a group may commit that has read to these positions: what lies behind the range is for a longer one of the same name.
  func bounded(_ positions: [TopicPartition: Int64]) -> [TopicPartition: Int64] {
    positions.reduce(into: [:]) { bounded, position in
      bounded[position.key] = offsets[position.key].map { min(position.value, $0.upperBound) }
    }
  }

  /// Whether a group has committed all of it.
  func isPassed(by committed: [TopicPartition: Int64]) -> Bool {
    offsets.allSatisfy { committed[$0.key] ?? 0 >= $0.value.upperBound }
  }
}

extension ReplayBound {
  fileprivate var isOffset: Bool {
    if case .offset = self { return true }
    return false
  }
}
