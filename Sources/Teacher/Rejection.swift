import Topics

/// Why one record is a dead letter, with what the teacher said.
public struct Rejection: Error, Sendable, Hashable, CustomStringConvertible {
  /// The bounded reason.
  public let code: RejectionCode
  /// One sentence: what was expected and what was found. At most 1,000 characters, secrets masked.
  public let message: String
  /// HTTP calls to the teacher that were made for this record.
  public var attempts: Int
  /// The last answer as it came, at most 64 KB, if there was one.
  public let rawAnswer: String?

  /// The largest raw answer kept, in bytes.
  public static let maximumRawAnswerBytes = 64 << 10

  /// Makes a rejection, shortening what is too long.
  public init(code: RejectionCode, message: String, attempts: Int = 0, rawAnswer: String? = nil) {
    self.code = code
    self.message = String(message.prefix(1_000))
    self.attempts = attempts
    self.rawAnswer = rawAnswer.map { $0.shortened(toBytes: Self.maximumRawAnswerBytes) }
  }

  /// The code and the message.
  public var description: String { "\(code.rawValue): \(message)" }
}
