/// What became of a request: exactly one of these.
public enum RequestOutcome: String, Sendable, Hashable, CaseIterable {
  /// It was labelled.
  case sampled
  /// The labelling policy left it out.
  case skipped
  /// It could not be labelled and lies in `deadletters`.
  case dead
}
