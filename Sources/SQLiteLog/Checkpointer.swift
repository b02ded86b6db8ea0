import Dispatch
import GRDB
import Synchronization

/// Copies the write-ahead log into the main file beside the writer, so that a commit seldom waits for it.
///
/// By itself SQLite does so within the commit that makes the write-ahead log too long, and everyone waits while the main
/// file is synced. Here a connection of its own does most of that work while appends go on, and the commit that crosses the
/// bound only copies what is left. It promises nothing: where it is busy or the disk is full, the writer catches up.
final class Checkpointer: Sendable {
  /// Bytes appended between two copies.
  private static let interval = 16 << 20

  private struct State {
    var bytes = 0
    var isRunning = false
    var isClosed = false
    var connection: DatabaseQueue?
  }

  private let path: String
  private let queue = DispatchQueue(label: "retort-log-checkpoint", qos: .utility)
  private let state = Mutex(State())

  init(path: String) { self.path = path }

  /// Takes note of appended bytes, and copies in the background when they are many.
  func appended(_ bytes: Int) {
    let starts = state.withLock { state in
      state.bytes += bytes
      guard state.bytes >= Self.interval, !state.isRunning, !state.isClosed else { return false }
      state.bytes = 0
      state.isRunning = true
      return true
    }
    if starts { queue.async { self.copy() } }
  }

  /// Ends after the copy under way; then the connection is closed.
  func close() {
    state.withLock { $0.isClosed = true }
    queue.sync {
      let connection = state.withLock { state in
        defer { state.connection = nil }
        return state.connection
      }
      try? connection?.close()
    }
  }

  private func copy() {
    defer { state.withLock { $0.isRunning = false } }
    guard let connection = open() else { return }
    _ = try? connection.writeWithoutTransaction { try $0.checkpoint(.passive) }
  }

  private func open() -> DatabaseQueue? {
    let known = state.withLock { $0.isClosed ? nil : $0.connection }
    if let known { return known }
    var configuration = Configuration()
    configuration.label = "retort-log-checkpoint"
    configuration.prepareDatabase { db in
      // The main file must be durable before the write-ahead log is written over.
      try db.execute(sql: "PRAGMA synchronous = FULL")
    }
    let opened = try? DatabaseQueue(path: path, configuration: configuration)
    return state.withLock { state in
      guard !state.isClosed else { return nil }
      state.connection = opened
      return opened
    }
  }
}
