package import MessageLog

/// What a reader knows of its partitions: a plain value, no I/O.
package struct ReaderState {
  private struct Entry {
    /// New whenever the partition is taken.
    let number: Int64
    /// The offset after the last record delivered; nil until the first answer of the log tells where the group stands.
    var position: Int64?
    var isPaused = false
    /// Its partition goes to another member as soon as the work on it is finished: nothing more is delivered.
    var isLeaving = false
    var failure: MessageLogError?
    /// The failure stays until the reader is sought elsewhere.
    var isStuck = false
  }

  private var entries: [TopicPartition: Entry] = [:]
  private var taken: Int64 = 0

  package init() {}

  /// All partitions of this reader, each with a number that is new whenever the partition is taken.
  package var ownership: [TopicPartition: Int64] { entries.mapValues(\.number) }
  /// All partitions of this reader.
  package var places: Set<TopicPartition> { Set(entries.keys) }
  /// The partitions whose position is known.
  package var positions: [TopicPartition: Int64] { entries.compactMapValues(\.position) }
  /// The partitions that are being handed over.
  package var leaving: Set<TopicPartition> { Set(entries.filter(\.value.isLeaving).keys) }

  package func contains(_ place: TopicPartition) -> Bool { entries[place] != nil }
  package func position(of place: TopicPartition) -> Int64? { entries[place]?.position }
  package func isPaused(_ place: TopicPartition) -> Bool { entries[place]?.isPaused ?? false }

  package mutating func add(_ place: TopicPartition, at position: Int64?) {
    taken += 1
    entries[place] = Entry(number: taken, position: position)
  }
  package mutating func remove(_ places: some Sequence<TopicPartition>) { for place in places { entries[place] = nil } }
  package mutating func leave(_ places: some Sequence<TopicPartition>) {
    for place in places { entries[place]?.isLeaving = true }
  }
  package mutating func setPaused(_ place: TopicPartition, _ isPaused: Bool) { entries[place]?.isPaused = isPaused }

  /// The reader now stands elsewhere.
  package mutating func move(_ place: TopicPartition, to position: Int64) {
    entries[place]?.position = position
    entries[place]?.failure = nil
    entries[place]?.isStuck = false
  }

  /// Whether a record is to be delivered; then it counts as read.
  package mutating func accept(_ record: Record) -> Bool {
    let place = record.topicPartition
    guard let entry = entries[place], !entry.isPaused, !entry.isLeaving, record.offset >= entry.position ?? 0 else {
      return false
    }
    entries[place]?.position = record.offset + 1
    return true
  }

  /// Everything below this offset has been read, or is not there.
  package mutating func reach(_ place: TopicPartition, _ offset: Int64) {
    guard let entry = entries[place], !entry.isPaused, !entry.isLeaving else { return }
    entries[place]?.position = max(entry.position ?? 0, offset)
  }

  /// Notes what is wrong with a partition; `isStuck` until it is sought elsewhere.
  package mutating func fail(_ place: TopicPartition, _ error: MessageLogError, isStuck: Bool) {
    entries[place]?.failure = error
    entries[place]?.isStuck = isStuck
  }

  /// A failure to report, if there is one.
  package mutating func takeFailure() -> MessageLogError? {
    guard
      let (place, entry) = entries.filter({ $0.value.failure != nil && !$0.value.isPaused }).min(by: { $0.key < $1.key }
      )
    else { return nil }
    if !entry.isStuck { entries[place]?.failure = nil }
    return entry.failure
  }
}
