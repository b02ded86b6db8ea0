/// Bounds how many programs, or queries of one connection, run at once, in the order of arrival.
///
/// A thousand verifiers that start together share the processors so thinly that none ends in its time.
actor ProcessSlots {
  /// Those of this process: four programs a processor, so that programs that wait for something leave none idle.
  static let shared = ProcessSlots(4 * Processors.count)

  private var free: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []
  /// The first of `waiting` that still waits; those before it are removed together, now and then.
  private var first = 0

  /// - Parameter count: how many at once, 1 or more.
  init(_ count: Int) {
    free = max(1, count)
  }

  /// Runs `body` in a slot. A cancelled task waits for its turn too; `body` sees to it that it is short.
  func run<R: Sendable>(_ body: @Sendable () async -> R) async -> R {
    if free > 0 { free -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
    defer { leave() }
    return await body()
  }

  /// A slot goes straight to who has waited longest.
  private func leave() {
    guard first < waiting.count else {
      free += 1
      return
    }
    waiting[first].resume()
    first += 1
    if first == waiting.count || first >= 1_024 {
      waiting.removeFirst(first)
      first = 0
    }
  }
}
