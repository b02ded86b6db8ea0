public import Topics

/// An external judge of calls.
///
/// It gets `{"request": {"id", "messages"}, "call": {"name", "arguments"}}` and answers
/// `{"accepted": true or false, "reason": "…"}`.
public enum Verifier: Sendable {
  /// A program, started without a shell: the question on standard input, the answer on standard output. One that fails, or
  /// does not end in time, rejects the record; one that cannot be started is waited for.
  case command([String], timeout: Duration = .seconds(10))
  /// A `POST` with the question as its body. 429, 5xx, no answer in time, no connection, and refusals other than 400, 413
  /// and 422 are waited out, save where one question fails again and again while others are answered.
  case http(url: String, timeout: Duration = .seconds(10))
  /// A function of this process, for tests and for programs that use this module.
  case inProcess(name: String, judge: @Sendable (Call, RequestRecord) async -> VerifierVerdict)

  var name: String {
    switch self {
    case .command(let arguments, _): "command " + arguments.joined(separator: " ")
    case .http(let url, _): "http " + url
    case .inProcess(let name, _): "in-process " + name
    }
  }
}

/// What a verifier said.
public struct VerifierVerdict: Sendable, Hashable {
  /// Whether the call may become a label.
  public let accepted: Bool
  /// Why, in the verifier's words.
  public let reason: String

  /// Makes a verdict.
  public init(accepted: Bool, reason: String = "") {
    self.accepted = accepted
    self.reason = reason
  }
}
