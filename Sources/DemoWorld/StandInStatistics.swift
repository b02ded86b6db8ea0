/// What the stand-in teacher has done since it started.
public struct StandInStatistics: Sendable, Hashable {
  /// Chat completions asked for.
  public var requests = 0
  /// Turns that asked for a lookup.
  public var lookupTurns = 0
  /// Wrong calls given.
  public var wrong = 0
  /// Unusable answers given.
  public var malformed = 0
  /// Late answers given.
  public var slow = 0
  /// Requests turned away with status 429.
  public var rateLimited = 0
  /// Lookups served.
  public var lookups = 0
  /// Calls judged.
  public var verifications = 0
}
