public import MessageLog
import Topics

/// Where a replay begins or ends, as a person says it.
public enum ReplayBound: Sendable, Hashable {
  /// At the oldest record that is still there.
  case earliest
  /// After the newest record.
  case latest
  /// At an offset.
  case offset(Int64)
  /// At the first record of a moment, in milliseconds since 1970, or later.
  case time(Int64)

  /// Reads `earliest`, `latest`, an offset, an RFC 3339 time, or a day (which begins at midnight UTC).
  ///
  /// - Returns: `nil` for anything else.
  public init?(_ text: String) {
    switch text {
    case "earliest": self = .earliest
    case "latest": self = .latest
    default:
      if let offset = Int64(text), offset >= 0, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
        self = .offset(offset)
      } else if let time = RFC3339.milliseconds(of: text) ?? RFC3339.milliseconds(of: text + "T00:00:00Z") {
        self = .time(time)
      } else {
        return nil
      }
    }
  }

  /// The offsets of a partition between two bounds.
  ///
  /// - Throws: `MessageLogError` with `out_of_range` where records that were asked for are no longer there, naming the
  ///   missing range, or an offset lies beyond the end; ``PipelineError`` with `not_enough` for an empty range.
  public static func resolve(
    from start: ReplayBound, to end: ReplayBound, of partition: TopicPartition, log: any MessageLog
  ) async throws -> Range<Int64> {
    let marks = try await log.watermarks(of: partition)
    let from = try await start.offset(in: partition, marks, log)
    let to = try await end.offset(in: partition, marks, log)
    guard from < to else {
      throw PipelineError(
        .notEnough, "\(partition)", expected: "records from offset \(from) to before \(to)", found: "none",
        advice: "choose a range within offsets \(marks.low) to \(marks.high)")
    }
    return from..<to
  }

  private func offset(
    in partition: TopicPartition, _ marks: Watermarks, _ log: any MessageLog
  ) async throws -> Int64 {
    switch self {
    case .earliest: return marks.low
    case .latest: return marks.high
    case .offset(let offset):
      guard offset >= marks.low, offset <= marks.high else {
        throw MessageLogError.outOfRange(partition, offset: offset, watermarks: marks)
      }
      return offset
    case .time(let time):
      let found = try await log.offset(of: partition, at: time) ?? marks.high
      // The oldest record that is left is of this time or younger: what was lost may have been so too.
      guard found > marks.low || marks.low == 0 else {
        throw MessageLogError.outOfRange(partition, offset: 0, watermarks: marks)
      }
      return found
    }
  }
}
