/// How often the stand-in teacher misbehaves, as shares of all request texts.
///
/// Which texts are hit is a pure function of the text and the seed: a rerun meets the same faults.
public struct FaultRates: Sendable, Hashable {
  /// A well-formed call that is not the right one. Default 3 %.
  public var wrong = 0.03
  /// No usable answer: cut-off JSON, words, broken arguments, an unknown function. Default 2 %.
  public var malformed = 0.02
  /// The right answer, late. Default 2 %.
  public var slow = 0.02
  /// Status 429 with `Retry-After`, for the first attempt only. Default 2 %.
  public var rateLimited = 0.02
  /// How late a slow answer is. Default 300 ms.
  public var delay = Duration.milliseconds(300)
  /// What `Retry-After` says, in seconds. Default 1.
  public var retryAfterSeconds = 1

  /// The default rates.
  public init() {}

  /// No faults at all.
  public static let none: FaultRates = {
    var rates = FaultRates()
    rates.wrong = 0
    rates.malformed = 0
    rates.slow = 0
    rates.rateLimited = 0
    return rates
  }()
}
