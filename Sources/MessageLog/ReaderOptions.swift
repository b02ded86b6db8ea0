/// How a reader behaves.
public struct ReaderOptions: Sendable {
  /// Where a group starts in a partition for which it has committed nothing.
  public enum InitialPosition: String, Sendable, Hashable {
    /// At the oldest record.
    case earliest
    /// After the newest record.
    case latest
  }

  /// What happens when records were removed before they were read.
  public enum LostRange: String, Sendable, Hashable {
    /// `next` throws `.outOfRange`, naming the missing range, until the reader is sought elsewhere.
    case fail
    /// Reading goes on at the oldest record that is left.
    case skip
  }

  /// Where a group without a committed offset starts. Default: earliest.
  public var startWhenNoCommit: InitialPosition
  /// What to do when retention overtook the reader. Default: fail.
  public var onLostRange: LostRange
  /// The most records that wait in memory, 1 to 1,000,000; exceeded by at most one batch. Default: 10,000.
  public var maximumPrefetch: Int
  /// The most bytes that wait in memory; exceeded by at most one batch. Default: 16 MiB.
  public var maximumPrefetchBytes: Int
  /// How long a silent group member keeps its partitions, 0.1 s to 1 h. Default: 10 s. Heartbeats are sent in the
  /// background: slow processing costs no membership.
  public var sessionTimeout: Duration
  /// How late a reader may notice that nothing but removed or aborted records lies between its position and the end, in
  /// logs that must ask for it: short for reading to the end and stopping, long for waiting cheaply. Default: 0.5 s.
  public var endNotice: Duration

  /// Options; every one has a default.
  public init(
    startWhenNoCommit: InitialPosition = .earliest, onLostRange: LostRange = .fail, maximumPrefetch: Int = 10_000,
    maximumPrefetchBytes: Int = 16 << 20, sessionTimeout: Duration = .seconds(10),
    endNotice: Duration = .milliseconds(500)
  ) {
    self.startWhenNoCommit = startWhenNoCommit
    self.onLostRange = onLostRange
    self.maximumPrefetch = maximumPrefetch
    self.maximumPrefetchBytes = maximumPrefetchBytes
    self.sessionTimeout = sessionTimeout
    self.endNotice = endNotice
  }

  /// Says whether the bounds hold.
  ///
  /// - Throws: ``MessageLogError`` with `.invalid`, naming the option.
  public func validate() throws(MessageLogError) {
    guard (1...1_000_000).contains(maximumPrefetch) else {
      throw MessageLogError(
        .invalid, "a reader's options do not hold", expected: "maximumPrefetch from 1 to 1,000,000",
        found: "\(maximumPrefetch)", advice: "correct the option")
    }
    guard maximumPrefetchBytes > 0 else {
      throw MessageLogError(
        .invalid, "a reader's options do not hold", expected: "maximumPrefetchBytes above 0",
        found: "\(maximumPrefetchBytes)", advice: "correct the option")
    }
    guard sessionTimeout >= .milliseconds(100), sessionTimeout <= .seconds(3600) else {
      throw MessageLogError(
        .invalid, "a reader's options do not hold", expected: "sessionTimeout from 0.1 s to 1 h",
        found: "\(sessionTimeout)", advice: "correct the option")
    }
    guard endNotice >= .zero, endNotice <= .seconds(60) else {
      throw MessageLogError(
        .invalid, "a reader's options do not hold", expected: "endNotice from 0 to 60 s", found: "\(endNotice)",
        advice: "correct the option")
    }
  }
}
