import MessageLog

/// Joins appends that arrive while a commit is under way into the next transaction.
///
/// A commit costs a sync of the disk, milliseconds, whatever its size: writers that do not wait for each other share it.
/// Reference: "group commit", DeWitt et al. 1984, "Implementation techniques for main memory database systems", §3.2.
actor CommitQueue {
  /// A transaction takes no further append beyond this size, so that readers and other processes get their turn.
  private static let maximumBytes = 16 << 20

  private struct Waiting {
    var prepared: [PreparedBatch]
    var count: Int
    var continuation: CheckedContinuation<[RecordPosition], any Error>
    var bytes: Int { prepared.reduce(0) { $0 + $1.batch.data.count } }
  }

  private let store: Store
  private var waiting: [Waiting] = []
  private var isRunning = false

  init(store: Store) { self.store = store }

  /// Appends what was prepared, durably when it returns; in the order of the calls.
  func append(_ prepared: [PreparedBatch], count: Int) async throws -> [RecordPosition] {
    try await withCheckedThrowingContinuation { continuation in
      waiting.append(Waiting(prepared: prepared, count: count, continuation: continuation))
      guard !isRunning else { return }
      isRunning = true
      Task { await run() }
    }
  }

  private func run() async {
    while !waiting.isEmpty {
      var bytes = 0
      let group = waiting.prefix { item in
        defer { bytes += item.bytes }
        return bytes == 0 || bytes + item.bytes <= Self.maximumBytes
      }
      waiting.removeFirst(group.count)
      await commit(Array(group))
    }
    isRunning = false
  }

  private func commit(_ group: [Waiting]) async {
    let work = group.map { (prepared: $0.prepared, count: $0.count) }
    do {
      let bytes = group.reduce(0) { $0 + $1.bytes }
      let positions = try await store.writeAndAnnounce(appending: bytes) { db in
        try work.map { try Appender.store(db, $0.prepared, count: $0.count) }
      }
      for (item, found) in zip(group, positions) { item.continuation.resume(returning: found) }
    } catch {
      guard group.count > 1 else {
        for item in group { item.continuation.resume(throwing: error) }
        return
      }
      // Nothing of the group was stored; what has no room together may have it alone.
      for item in group { await commit([item]) }
    }
  }
}
