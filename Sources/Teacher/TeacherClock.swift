#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Time and chance as the teacher sees them; tests put in their own.
///
/// Neither reaches a label: they only decide when something is tried again.
public struct TeacherClock: Sendable {
  /// Time since an arbitrary origin; never goes back.
  public var monotonic: @Sendable () -> Duration
  /// Milliseconds since 1970, for `Retry-After` dates and for spending that was recorded before a restart.
  public var wallMilliseconds: @Sendable () -> Int64
  /// Waits, or throws when the task is cancelled.
  public var sleep: @Sendable (Duration) async throws -> Void
  /// A number in 0..<1, for jitter.
  public var uniform: @Sendable () -> Double

  /// Makes a clock from its parts.
  public init(
    monotonic: @escaping @Sendable () -> Duration, wallMilliseconds: @escaping @Sendable () -> Int64,
    sleep: @escaping @Sendable (Duration) async throws -> Void, uniform: @escaping @Sendable () -> Double
  ) {
    self.monotonic = monotonic
    self.wallMilliseconds = wallMilliseconds
    self.sleep = sleep
    self.uniform = uniform
  }

  /// The machine's clock.
  public static let system: TeacherClock = {
    let origin = ContinuousClock.now
    return TeacherClock(
      monotonic: { ContinuousClock.now - origin },
      wallMilliseconds: { Int64(Date().timeIntervalSince1970 * 1_000) },
      sleep: { try await Task.sleep(for: $0, clock: .continuous) },
      uniform: { Double.random(in: 0..<1) })
  }()
}

extension Duration {
  /// In seconds.
  package var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }

  /// Whole milliseconds, rounded down.
  package var wholeMilliseconds: Int64 {
    components.seconds.multipliedReportingOverflow(by: 1_000).partialValue
      + components.attoseconds / 1_000_000_000_000_000
  }
}
