/// Reads partitions in order, committed records only; for one consumer task.
///
/// Ordering: within a partition, by offset; across partitions none is promised. Back-pressure: nothing is fetched beyond
/// the options' bounds. Cancellation: a waiting `next` throws `CancellationError` at once and loses no record.
public protocol RecordReader: AnyObject, Sendable {
  /// The next records, as soon as there is one: at least 1, at most `maximum`; empty when `timeout` passed first.
  ///
  /// A record that another process commits is seen within 20 ms, without polling.
  ///
  /// - Throws: ``MessageLogError`` with `.outOfRange` (removed before it was read), `.corrupt`, `.unavailable`,
  ///   `.closed`; `CancellationError`.
  func next(maximum: Int, timeout: Duration) async throws -> [Record]

  /// Goes on reading elsewhere; records waiting in memory for this partition are dropped.
  ///
  /// - Throws: ``MessageLogError`` with `.outOfRange` where an offset lies outside the watermarks (some logs find out
  ///   only in `next`), save before the oldest record where the options skip what is lost; `.invalid` where the partition is not assigned.
  func seek(_ partition: TopicPartition, to position: StartPosition) async throws

  /// The offset after the last record that `next` returned, by partition.
  var positions: [TopicPartition: Int64] { get async }

  /// Ends reading; a group member leaves its group and its partitions go to others at once. Closing twice is harmless.
  func close() async
}
