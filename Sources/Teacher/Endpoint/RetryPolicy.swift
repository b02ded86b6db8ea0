/// Exponential back-off with full jitter.
///
/// Reference: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015 ("full jitter").
public struct RetryPolicy: Sendable, Hashable {
  /// Failures of one record, while the endpoint answers others, before the record is rejected. 1…100, default 6.
  public var attempts = 6
  /// The first upper bound of the random wait. Default 500 ms.
  public var base = Duration.milliseconds(500)
  /// The last upper bound, also of what `Retry-After` asks of one request; where all are refused the breaker waits, the
  /// longer the more answers in a row ask for it. Default 60 s.
  public var cap = Duration.seconds(60)

  /// Makes a policy.
  public init(attempts: Int = 6, base: Duration = .milliseconds(500), cap: Duration = .seconds(60)) {
    self.attempts = attempts
    self.base = base
    self.cap = cap
  }

  /// The wait after failure number `failure` (from 0), for a `uniform` number in 0..<1.
  package func delay(afterFailure failure: Int, uniform: Double) -> Duration {
    var bound = base
    for _ in 0..<min(failure, 40) where bound < cap { bound *= 2 }
    return min(bound, cap) * uniform
  }

  func validate() throws(TeacherError) {
    try TeacherConfiguration.require("teacher.retry.attempts", 1...100, attempts)
    try TeacherConfiguration.require("teacher.retry.base", Duration.zero...Duration.seconds(3_600), base)
    try TeacherConfiguration.require("teacher.retry.cap", Duration.zero...Duration.seconds(86_400), cap)
  }
}

/// When the circuit breaker opens and for how long.
public struct BreakerPolicy: Sendable, Hashable {
  /// Failures in a row, over all requests, that open it. 1…1,000, default 5.
  public var failures = 5
  /// The first pause; it doubles with each failed probe. Default 1 s.
  public var pause = Duration.seconds(1)
  /// The longest pause, save where `Retry-After` asks for more, again and again for more than a minute. Default 60 s.
  public var maximumPause = Duration.seconds(60)

  /// Makes a policy.
  public init(failures: Int = 5, pause: Duration = .seconds(1), maximumPause: Duration = .seconds(60)) {
    self.failures = failures
    self.pause = pause
    self.maximumPause = maximumPause
  }

  func validate() throws(TeacherError) {
    try TeacherConfiguration.require("teacher.breaker.failures", 1...1_000, failures)
    try TeacherConfiguration.require(
      "teacher.breaker.pause", Duration.milliseconds(1)...Duration.seconds(3_600), pause)
    guard pause <= maximumPause else {
      throw TeacherError(
        .invalidConfiguration, subject: "teacher.breaker.maximum_pause", expected: "at least \(pause)",
        found: "\(maximumPause)")
    }
  }
}
