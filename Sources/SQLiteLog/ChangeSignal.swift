import Synchronization

/// Wakes the tasks of this process that wait for something new in the log.
final class ChangeSignal: Sendable {
  private enum Slot {
    /// Announced, not yet suspended.
    case pending
    /// Released before it suspended.
    case released
    case waiting(CheckedContinuation<Void, Never>)
  }

  private struct State {
    var version: UInt64 = 0
    var nextSlot: UInt64 = 0
    var slots: [UInt64: Slot] = [:]
  }

  private let state = Mutex(State())

  /// Grows with every change; take it before looking, and wait for what comes after it.
  var version: UInt64 { state.withLock { $0.version } }

  /// Wakes everyone.
  func fire() {
    let waiting = state.withLock { state in
      state.version &+= 1
      var waiting: [CheckedContinuation<Void, Never>] = []
      for (id, slot) in state.slots {
        if case .waiting(let continuation) = slot {
          waiting.append(continuation)
          state.slots[id] = .released
        }
      }
      return waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns when something changed after `version`, when the time is up, or when the task is cancelled.
  func wait(after version: UInt64, for timeout: Duration) async {
    guard timeout > .zero, !Task.isCancelled else { return }
    let id = state.withLock { state in
      state.nextSlot &+= 1
      state.slots[state.nextSlot] = .pending
      return state.nextSlot
    }
    let timer = Task { [weak self] in
      do { try await Task.sleep(for: timeout) } catch { return }
      self?.release(id)
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in suspend(id, after: version, continuation) }
    } onCancel: {
      release(id)
    }
    timer.cancel()
    state.withLock { _ = $0.slots.removeValue(forKey: id) }
  }

  private func suspend(_ id: UInt64, after version: UInt64, _ continuation: CheckedContinuation<Void, Never>) {
    let waits = state.withLock { state in
      guard state.version == version, case .pending = state.slots[id] else { return false }
      state.slots[id] = .waiting(continuation)
      return true
    }
    if !waits { continuation.resume() }
  }

  private func release(_ id: UInt64) {
    let waiting: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard let slot = state.slots[id] else { return nil }
      state.slots[id] = .released
      if case .waiting(let continuation) = slot { return continuation }
      return nil
    }
    waiting?.resume()
  }
}
