public import MessageLog
import RetortClient
public import Topics

/// Looking at dead letters, and putting them back.
///
/// What has been done with a dead letter is said by a marker: a record of the same topic without a value, whose header
/// names the letter's place. It is written in the transaction that does it, and since it lies behind its letter in the same
/// partition, retention never removes it before its letter.
public enum DeadLetters {
  /// The header of a marker that says: this dead letter has been put back.
  static let redrivenMark = "redriven"
  /// The header of a marker that says: this dead letter was erased, and must never be put back.
  static let erasedMark = "erased"
  /// On a request that was put back: the place of its dead letter.
  static let originHeader = "redriven-from"
  /// On a request that was put back: how often it had been tried.
  static let attemptsHeader = "redriven-attempts"

  /// Most dead letters, and most bytes of them, in one transaction.
  private static let transaction = (letters: 100, bytes: 4 << 20)

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

    /// The place as markers name it.
    var name: String { DeadLetters.name(position, offset) }
  }

  /// All dead letters in the log that were not erased, oldest first.
  ///
  /// A record that cannot be read is passed over: it must not hide the others (`retort topics check` names it).
  public static func list(log: any MessageLog, names: TopicNames) async throws -> [Entry] {
    var found: [(position: TopicPartition, offset: Int64, letter: DeadLetterRecord)] = []
    var marks: [String: Set<String>] = [:]
    try await TopicScan.each(log: log, topic: names.deadLetters) { record in
      guard record.value != nil else {
        for header in record.headers { marks[header.name, default: []].insert(header.text ?? "") }
        return
      }
      guard let letter = try? RecordCoding.value(of: record, as: DeadLetterRecord.self) else { return }
      found.append((record.topicPartition, record.offset, letter))
    }
    let redriven = marks[redrivenMark] ?? []
    let erased = marks[erasedMark] ?? []
    return found.compactMap { position, offset, letter in
      let name = name(position, offset)
      guard !erased.contains(name) else { return nil }
      return Entry(position: position, offset: offset, letter: letter, isRedriven: redriven.contains(name))
    }
  }

  /// Puts dead letters back into `requests`, with their original key, bytes and headers, each once and only once.
  ///
  /// The request and the marker are one transaction. Whoever redrives takes over the transactional id first, and only
  /// then looks at what is left to do: one that was killed has either done a letter wholly or not at all, and one that
  /// still runs is fenced.
  ///
  /// - Parameter select: which ones; those already put back are never chosen again, nor those that hold the beginning of a
  ///   record alone.
  /// - Returns: how many were put back.
  /// - Throws: ``PipelineError`` with `fenced` when another redrive took over.
  public static func redrive(
    log: any MessageLog, names: TopicNames, where select: (Entry) -> Bool
  ) async throws -> Int {
    let writer = try await log.transactionalWriter(id: names.prefix + "redrive")
    var count = 0
    do {
      let chosen = try await list(log: log, names: names).filter { select($0) && !$0.isRedriven && !$0.letter.isCut }
      for batch in batches(chosen) {
        _ = try await writer.commit(
          append: batch.flatMap { [request($0, names: names), marker(redrivenMark, $0, names: names)] }, offsets: nil)
        count += batch.count
      }
    } catch let error as MessageLogError where error.code == .fenced {
      await writer.close()
      throw PipelineError(
        .fenced, "redrive", expected: "to be the only one", found: "another, after \(count) were put back here",
        advice: "run it again when the other has ended")
    } catch {
      await writer.close()
      throw error
    }
    await writer.close()
    return count
  }

  /// The record that says what was done with a dead letter.
  static func marker(_ mark: String, _ entry: Entry, names: TopicNames) -> NewRecord {
    NewRecord(
      topic: names.deadLetters, partition: entry.position.partition, key: nil, value: nil,
      headers: [Header(mark, entry.name)])
  }

  /// How often a request had been tried before it was put back; 0 for one that never was.
  static func earlierAttempts(_ record: Record) -> Int {
    record.headers.text(attemptsHeader).flatMap { Int($0) }.map { min(max($0, 0), 999_000) } ?? 0
  }

  private static func request(_ entry: Entry, names: TopicNames) -> NewRecord {
    let letter = entry.letter
    var headers = letter.headers.map { Header($0.name, bytes: $0.value) }
    headers.removeAll { $0.name == originHeader || $0.name == attemptsHeader }
    headers.append(Header(originHeader, entry.name))
    headers.append(Header(attemptsHeader, String(letter.attempts)))
    return NewRecord(topic: names.requests, key: letter.key, value: letter.value, headers: headers)
  }

  private static func batches(_ entries: [Entry]) -> [[Entry]] {
    var batches: [[Entry]] = []
    var bytes = 0
    for entry in entries {
      let size = entry.letter.value?.count ?? 0
      if let last = batches.last, last.count < transaction.letters, bytes + size <= transaction.bytes {
        batches[batches.count - 1].append(entry)
        bytes += size
      } else {
        batches.append([entry])
        bytes = size
      }
    }
    return batches
  }

  private static func name(_ position: TopicPartition, _ offset: Int64) -> String {
    "\(position.partition)/\(offset)"
  }
}
