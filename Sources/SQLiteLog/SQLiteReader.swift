import MessageLog

/// Reads given partitions, without a group.
actor SQLiteReader: RecordReader {
  private let store: Store
  private var queue: PartitionQueue
  private var isClosed = false

  init(store: Store, queue: PartitionQueue) {
    self.store = store
    self.queue = queue
  }

  func next(maximum: Int, timeout: Duration) async throws -> [Record] {
    try LogChecks.maximum(maximum)
    let deadline = ContinuousClock.now + timeout
    while true {
      try Task.checkCancellation()
      try store.check()
      if isClosed { throw MessageLogError.closed("reader") }
      let version = store.signal.version
      var records = try queue.drain(maximum)
      if !records.isEmpty { return records }
      let plan = queue.plan()
      if !plan.items.isEmpty {
        let found = try await store.read { try plan.fetch($0) }
        queue.accept(found)
        records = try queue.drain(maximum)
        if !records.isEmpty { return records }
      }
      let left = deadline - ContinuousClock.now
      if left <= .zero { return [] }
      await store.signal.wait(after: version, for: left)
    }
  }

  func seek(_ partition: TopicPartition, to position: StartPosition) async throws {
    guard let id = queue.id(of: partition) else { throw MessageLogError.notAssigned(partition) }
    let onLostRange = queue.onLostRange
    let offset = try await store.read { try PartitionRows.resolve($0, partition, id: id, position, onLostRange) }
    queue.seek(partition, to: offset)
  }

  var positions: [TopicPartition: Int64] { queue.positions }

  func close() {
    isClosed = true
    queue = PartitionQueue(options: ReaderOptions())
    store.signal.fire()
  }

  /// Bytes that wait in memory, for tests of the bound.
  var queuedBytes: Int { queue.queuedBytes }
}
