package import MessageLog

/// What a reader knows of its partitions: a plain value, no I/O.
package struct ReaderState {
  private struct Entry {
    let place: TopicPartition
    /// New whenever the partition is taken.
    let number: Int64
    /// The offset after the last record delivered; nil until the first answer of the log tells where the group stands.
    var position: Int64?
    var failure: MessageLogError?
    /// The failure stays until the reader is sought elsewhere.
    var isStuck = false
  }

  /// A list, not a dictionary: records come in runs of one partition, and hashing a topic's name for each is dear.
  private var entries: [Entry] = []
  /// Where the last one that was looked for stands.
  private var last = 0
  private var taken: Int64 = 0

  package init() {}

  /// All partitions of this reader, each with a number that is new whenever the partition is taken.
  package var ownership: [TopicPartition: Int64] {
    Dictionary(uniqueKeysWithValues: entries.map { ($0.place, $0.number) })
  }
  /// All partitions of this reader.
  package var places: Set<TopicPartition> { Set(entries.map(\.place)) }
  /// The partitions whose position is known.
  package var positions: [TopicPartition: Int64] {
    Dictionary(uniqueKeysWithValues: entries.compactMap { entry in entry.position.map { (entry.place, $0) } })
  }

  package func contains(_ place: TopicPartition) -> Bool { entry(place) != nil }
  package func position(of place: TopicPartition) -> Int64? { entry(place)?.position }

  private func entry(_ place: TopicPartition) -> Entry? { entries.first { $0.place == place } }

  private mutating func index(_ topic: String, _ partition: Int) -> Int? {
    func isIt(_ place: TopicPartition) -> Bool { place.partition == partition && place.topic == topic }
    if last < entries.count, isIt(entries[last].place) { return last }
    guard let index = entries.firstIndex(where: { isIt($0.place) }) else { return nil }
    last = index
    return index
  }

  private mutating func change(_ place: TopicPartition, _ body: (inout Entry) -> Void) {
    if let index = index(place.topic, place.partition) { body(&entries[index]) }
  }

  package mutating func add(_ place: TopicPartition, at position: Int64?) {
    remove([place])
    taken += 1
    entries.append(Entry(place: place, number: taken, position: position))
  }
  package mutating func remove(_ places: some Sequence<TopicPartition>) {
    let gone = Set(places)
    entries.removeAll { gone.contains($0.place) }
  }

  /// The reader now stands elsewhere.
  package mutating func move(_ place: TopicPartition, to position: Int64) {
    change(place) { entry in
      entry.position = position
      entry.failure = nil
      entry.isStuck = false
    }
  }

  /// Whether a record is to be delivered; then it counts as read.
  package mutating func accept(_ record: Record) -> Bool {
    guard let index = index(record.topic, record.partition), record.offset >= entries[index].position ?? 0
    else { return false }
    entries[index].position = record.offset + 1
    return true
  }

  /// Everything below this offset has been read, or is not there.
  package mutating func reach(_ place: TopicPartition, _ offset: Int64) {
    change(place) { $0.position = max($0.position ?? 0, offset) }
  }

  /// Notes what is wrong with a partition; `isStuck` until it is sought elsewhere.
  package mutating func fail(_ place: TopicPartition, _ error: MessageLogError, isStuck: Bool) {
    change(place) { entry in
      entry.failure = error
      entry.isStuck = isStuck
    }
  }

  /// A failure to report, if there is one.
  package mutating func takeFailure() -> MessageLogError? {
    let failed = entries.filter { $0.failure != nil }.min { $0.place < $1.place }
    guard let failed else { return nil }
    if !failed.isStuck { change(failed.place) { $0.failure = nil } }
    return failed.failure
  }
}
