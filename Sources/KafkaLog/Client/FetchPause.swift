import CRdKafka

/// Notices that librdkafka has stopped fetching because its queue was full, and has room again.
///
/// Before 2.2 librdkafka looks at a full queue again only after a second, unless something else has its broker's thread look
/// around: a fast reader has then emptied the queue long since, and waits. Later ones have `fetch.queue.backoff.ms`.
package struct FetchPause {
  /// Whether this librdkafka needs to be told.
  package static let isLong = rd_kafka_version() < 0x0202_0000

  /// Records and bytes that are taken without anything coming after which nothing is being fetched.
  private let records: Int
  private let bytes: Int
  private var left = 0
  private var takenRecords = 0
  private var takenBytes = 0

  /// - Parameters:
  ///   - records: how many the queue holds, at least 1.
  ///   - bytes: how many bytes of them, at least 1.
  package init(records: Int, bytes: Int) {
    self.records = max(1, records / 8)
    self.bytes = max(1, bytes / 8)
  }

  /// Whether it is time to say that there is room: an eighth of the queue was taken and nothing came. At most once for each
  /// such eighth.
  ///
  /// - Parameters:
  ///   - records: how many were taken since the last call.
  ///   - bytes: how many bytes they had.
  ///   - left: how many are in the queue now.
  package mutating func ends(taking records: Int, bytes: Int, left: Int) -> Bool {
    let hasCome = left > self.left - records
    self.left = left
    takenRecords = hasCome ? 0 : takenRecords + records
    takenBytes = hasCome ? 0 : takenBytes + bytes
    guard takenRecords >= self.records || takenBytes >= self.bytes else { return false }
    (takenRecords, takenBytes) = (0, 0)
    return true
  }
}
