/// How old records leave a topic; a topic may have one, both, or neither.
public enum CleanupPolicy: String, Sendable, Hashable, CaseIterable {
  /// By age and size, oldest first.
  case delete
  /// By key: only the last record of each key stays.
  case compact
}
