/// Why a request was not answered, or serving could not start.
public struct ServingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded set of kinds; also the metric label and the `code` of the HTTP error.
  public enum Code: String, Sendable, Hashable, CaseIterable {
    /// The body is not JSON, or a field is not what the API asks for.
    case invalidRequest = "invalid_request"
    /// The body is longer than allowed.
    case tooLarge = "request_too_large"
    /// The body did not come in time.
    case tooSlow = "request_too_slow"
    /// The model that was asked for is not served here.
    case modelNotFound = "model_not_found"
    /// As many requests are in flight as may be.
    case busy = "rate_limit_exceeded"
    /// No model has been released yet.
    case notReady = "model_not_ready"
    /// The server is shutting down.
    case stopping = "shutting_down"
    /// There is nothing at this path.
    case notFound = "not_found"
    /// What is at this path does not do what this method asks for.
    case methodNotAllowed = "method_not_allowed"
    /// The address or port cannot be listened on.
    case address = "address"
    /// A folder or file of the server cannot be used.
    case folder = "folder"
    /// The model contradicts itself.
    case failed = "internal_error"
  }

  /// The kind of error.
  public let code: Code
  /// One sentence: where, what was expected, what was found, what to do.
  public let description: String
  /// The field of the request that is wrong, where one is.
  public let parameter: String?

  /// An error with its sentence.
  public init(_ code: Code, _ description: String, parameter: String? = nil) {
    self.code = code
    self.description = String(description.prefix(600))
    self.parameter = parameter.map { String($0.prefix(100)) }
  }

  /// Whether the same request may succeed later without anyone changing it.
  public var isRetriable: Bool {
    switch code {
    case .busy, .notReady, .stopping: true
    default: false
    }
  }
}
