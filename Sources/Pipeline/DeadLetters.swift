public import MessageLog
import RetortClient
public import Topics

/// Looking at dead letters, and putting them back.
public enum DeadLetters {
  /// A dead letter with its own offset.
  public struct Entry: Sendable {
    /// The partition of `deadletters` in which it lies.
    public let position: TopicPartition
    /// Its offset there.
    public let offset: Int64
    /// What it says.
    public let letter: DeadLetterRecord
    /// Whether it has been put back already.
    public let isRedriven: Bool
  }

  /// All dead letters in the log, oldest first.
  public static func list(log: any MessageLog, names: TopicNames) async throws -> [Entry] {
    let done = try await redriven(log: log, names: names)
    var entries: [Entry] = []
    try await TopicScan.each(log: log, topic: names.deadLetters) { record in
      guard record.value != nil else { return }
      let letter = try RecordCoding.value(of: record, as: DeadLetterRecord.self)
      let position = TopicPartition(topic: record.topic, partition: record.partition)
      entries.append(
        Entry(
          position: position, offset: record.offset, letter: letter,
          isRedriven: done.contains(name(position, record.offset))))
    }
    return entries
  }

  /// Puts dead letters back into `requests`, with their original key, bytes and headers, each once and only once.
  ///
  /// - Parameter select: which ones; those already put back are never chosen again.
  /// - Returns: how many were put back.
  public static func redrive(
    log: any MessageLog, names: TopicNames, where select: (Entry) -> Bool
  ) async throws -> Int {
    let writer = try await log.transactionalWriter(id: names.prefix + "redrive")
    // Listed after taking over the transactional id: whoever redrove before has finished or is fenced.
    let chosen = try await list(log: log, names: names).filter { !$0.isRedriven && select($0) }
    for entry in chosen {
      let mark = Header("redriven-from", name(entry.position, entry.offset))
      var headers = entry.letter.headers.map { Header($0.name, bytes: $0.value) }
      headers.removeAll { $0.name == mark.name }
      headers.append(mark)
      _ = try await writer.commit(
        append: [
          NewRecord(topic: names.requests, key: entry.letter.key, value: entry.letter.value ?? [], headers: headers)
        ], offsets: nil)
    }
    await writer.close()
    return chosen.count
  }

  /// The names of the dead letters that requests say they came from.
  private static func redriven(log: any MessageLog, names: TopicNames) async throws -> Set<String> {
    var done: Set<String> = []
    try await TopicScan.each(log: log, topic: names.requests) { record in
      for header in record.headers where header.name == "redriven-from" {
        done.insert(String(decoding: header.value.prefix(300), as: UTF8.self))
      }
    }
    return done
  }

  private static func name(_ position: TopicPartition, _ offset: Int64) -> String {
    "\(position.partition)/\(offset)"
  }
}
