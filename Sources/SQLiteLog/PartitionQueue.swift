import MessageLog

/// What to fetch, and what was found: values that cross between a reader and the file.
struct FetchPlan: Sendable {
  struct Item: Sendable {
    var place: TopicPartition
    var id: Int64
    var from: Int64
    /// Tells whether the reader has moved since.
    var epoch: Int
  }
  var items: [Item]
  var maximumBytes: Int
  var maximumRecords: Int

  struct Found: Sendable {
    var item: Item
    var watermarks: Watermarks
    var batches: [StoredBatch]
  }
}

/// A reader's partitions, positions, and the bounded queue of batches that wait in memory. A plain value: no I/O.
struct PartitionQueue {
  private struct Entry {
    let id: Int64
    /// After the last record delivered.
    var position: Int64
    /// After the last batch fetched.
    var fetched: Int64
    var epoch = 0
  }

  private let options: ReaderOptions
  private var entries: [TopicPartition: Entry] = [:]
  private var order: [TopicPartition] = []
  private var turn = 0
  private var epochs = 0
  private var queue: [StoredBatch] = []
  private var failure: (place: TopicPartition, error: MessageLogError)?

  init(options: ReaderOptions) { self.options = options }

  /// What happens where records were removed before they were read.
  var onLostRange: ReaderOptions.LostRange { options.onLostRange }
  /// The offset after the last delivered record, by partition.
  var positions: [TopicPartition: Int64] { entries.mapValues(\.position) }
  /// Bytes waiting in memory.
  var queuedBytes: Int { queue.reduce(0) { $0 + $1.data.count } }

  func contains(_ place: TopicPartition) -> Bool { entries[place] != nil }
  func id(of place: TopicPartition) -> Int64? { entries[place]?.id }

  mutating func add(_ place: TopicPartition, id: Int64, at position: Int64) {
    drop(place)
    entries[place] = Entry(id: id, position: position, fetched: position, epoch: nextEpoch())
    order = entries.keys.sorted()
  }

  mutating func remove(_ place: TopicPartition) {
    drop(place)
    entries[place] = nil
    order = entries.keys.sorted()
  }

  mutating func seek(_ place: TopicPartition, to position: Int64) {
    drop(place)
    let epoch = nextEpoch()
    entries[place]?.position = position
    entries[place]?.fetched = position
    entries[place]?.epoch = epoch
  }

  /// What to fetch next; partitions take turns at being first.
  mutating func plan() -> FetchPlan {
    turn &+= 1
    let items = order.indices.compactMap { step -> FetchPlan.Item? in
      let place = order[(step + turn) % order.count]
      guard let entry = entries[place] else { return nil }
      return FetchPlan.Item(place: place, id: entry.id, from: entry.fetched, epoch: entry.epoch)
    }
    return FetchPlan(
      items: items, maximumBytes: options.maximumPrefetchBytes, maximumRecords: options.maximumPrefetch)
  }

  /// Takes in what was fetched, except for partitions that were sought or taken away meanwhile.
  mutating func accept(_ found: [FetchPlan.Found]) {
    for result in found {
      let place = result.item.place
      guard let entry = entries[place], entry.epoch == result.item.epoch, entry.fetched == result.item.from else {
        continue
      }
      if entry.fetched < result.watermarks.low || entry.fetched > result.watermarks.high {
        let isLost = entry.fetched < result.watermarks.low
        if isLost, options.onLostRange == .skip {
          seek(place, to: result.watermarks.low)
        } else if failure == nil {
          failure = (place, .outOfRange(place, offset: entry.fetched, watermarks: result.watermarks))
        }
        continue
      }
      queue.append(contentsOf: result.batches)
      if let last = result.batches.last {
        entries[place]?.fetched = last.next
      } else {
        // Only removed records lie between here and the end.
        entries[place]?.fetched = result.watermarks.high
        if !queue.contains(where: { $0.topicPartition == place }) {
          entries[place]?.position = result.watermarks.high
        }
      }
    }
  }

  /// Records that wait in memory, at most `maximum`.
  ///
  /// - Throws: `.corrupt`, `.outOfRange`: only when no record comes before the trouble.
  mutating func drain(_ maximum: Int) throws(MessageLogError) -> [Record] {
    let limit = min(maximum, options.maximumPrefetch)
    var records: [Record] = []
    var finished = 0
    defer { queue.removeFirst(finished) }
    while finished < queue.count, records.count < limit {
      let place = queue[finished].topicPartition
      guard let position = entries[place]?.position else {
        finished += 1
        continue
      }
      do {
        try queue[finished].decode(into: &records, limit: limit - records.count, from: position)
      } catch {
        if records.isEmpty { throw error }
        return records
      }
      if let last = records.last, last.topicPartition == place {
        entries[place]?.position = max(position, last.offset + 1)
      }
      if queue[finished].isExhausted {
        entries[place]?.position = max(position, queue[finished].next)
        finished += 1
      }
    }
    if records.isEmpty, let failure {
      self.failure = nil
      throw failure.error
    }
    return records
  }

  private mutating func drop(_ place: TopicPartition) {
    queue.removeAll { $0.topicPartition == place }
    if failure?.place == place { failure = nil }
  }

  private mutating func nextEpoch() -> Int {
    epochs += 1
    return epochs
  }
}
