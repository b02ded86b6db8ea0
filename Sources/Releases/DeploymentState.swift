public import Topics

/// What a subscriber has accepted so far; decides what it may accept next.
public struct DeploymentState: Sendable, Hashable {
  /// What to do with a deployment.
  public enum Decision: Sendable, Hashable {
    /// Fetch, verify and run it.
    case accept
    /// It is the one that runs.
    case current
    /// Ignore it, for this reason.
    case refuse(ReleaseError)
  }

  /// The epoch of the deployment accepted last; 0 for none.
  public private(set) var epoch: Int64
  /// The manifest accepted last.
  public private(set) var manifestDigest: Digest?

  /// Nothing accepted, or what was remembered.
  public init(epoch: Int64 = 0, manifestDigest: Digest? = nil) {
    self.epoch = epoch
    self.manifestDigest = manifestDigest
  }

  /// What to do with a deployment whose signature holds: epochs only grow.
  public func decision(on deployment: DeploymentRecord) -> Decision {
    if deployment.epoch > epoch { return .accept }
    if deployment.epoch == epoch, deployment.manifestDigest == manifestDigest { return .current }
    return .refuse(
      ReleaseError(
        .staleEpoch, "deployment of \(deployment.model)", expected: "an epoch above \(epoch), which was accepted",
        found: "\(deployment.epoch)", advice: "find out who sends old deployments again"))
  }

  /// Remembers an accepted deployment.
  public mutating func accept(_ deployment: DeploymentRecord) {
    epoch = deployment.epoch
    manifestDigest = deployment.manifestDigest
  }
}
