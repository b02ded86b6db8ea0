/// When a stage ends.
public enum RunMode: Sendable, Hashable {
  /// At a graceful shutdown.
  case forever
  /// When everything that is in the log now, and all that follows from it, is done.
  case untilIdle
}

/// Whether the stage before this one has nothing more to give; asked at the end of the log.
public typealias UpstreamCheck = @Sendable () async throws -> Bool
