/// Whether labelling runs, and if not, why and until when.
public enum TeacherState: Sendable, Hashable, CustomStringConvertible {
  /// Why labelling waits.
  public enum PauseReason: String, Sendable, Hashable, CaseIterable {
    /// The endpoint gives 5xx, times out, or cannot be reached.
    case outage
    /// The endpoint answers 429.
    case rateLimited = "rate_limited"
    /// The endpoint refuses every request: wrong key, wrong path, unknown model, unsupported parameter.
    case configuration
    /// This hour's tokens or money are spent.
    case budget
  }

  /// Requests are being sent.
  case running
  /// Nothing is sent before `until` (milliseconds since 1970); `message` says what was found.
  case paused(reason: PauseReason, message: String, until: Int64)

  /// One sentence.
  public var description: String {
    switch self {
    case .running: "running"
    case .paused(let reason, let message, let until):
      "paused (\(reason.rawValue)) until \(until) ms since 1970: \(message)"
    }
  }
}
