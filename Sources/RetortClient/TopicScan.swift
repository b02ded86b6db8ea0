public import MessageLog

/// Reading a topic from its beginning to where it ends now.
public enum TopicScan {
  /// Calls `body` with every record of a topic, partition by partition, in order.
  ///
  /// - Parameters:
  ///   - log: the log.
  ///   - topic: the full name; a topic that does not exist is empty.
  ///   - from: where to start in each partition; the earliest record by default.
  ///   - body: what to do with a record.
  /// - Throws: what the log or `body` throws.
  public static func each(
    log: any MessageLog, topic: String, from: StartPosition = .earliest, _ body: (Record) throws -> Void
  ) async throws {
    guard let configuration = try await log.topics().first(where: { $0.name == topic }) else { return }
    for partition in configuration.topicPartitions {
      try await each(log: log, partition: partition, from: from, to: nil, body)
    }
  }

  /// The same for one partition, up to an offset.
  public static func each(
    log: any MessageLog, partition: TopicPartition, from: StartPosition = .earliest, to end: Int64?,
    _ body: (Record) throws -> Void
  ) async throws {
    let marks = try await log.watermarks(of: partition)
    let last = min(end ?? marks.high, marks.high)
    guard marks.low < last else { return }
    // Nothing but removed or aborted records may lie before the end: that only the position tells.
    let reader = try await log.reader(
      of: [partition: from],
      options: ReaderOptions(
        onLostRange: .skip, maximumPrefetch: 100_000, maximumPrefetchBytes: 64 << 20, endNotice: .milliseconds(10)))
    do {
      while (await reader.positions[partition] ?? last) < last {
        let records = try await reader.next(maximum: 5_000, timeout: .milliseconds(20))
        for record in records where record.offset < last { try body(record) }
      }
    } catch {
      await reader.close()
      throw error
    }
    await reader.close()
  }
}
