public import MessageLog
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
