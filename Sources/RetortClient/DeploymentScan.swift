public import MessageLog
public import Releases
public import Topics

/// What the deploy topic and the release history say now, to one who trusts certain keys.
///
/// Whoever may write to a topic can write anything there. A deployment counts only if a trusted key signed it; of the history
/// what is unsigned, or signed wrongly by a trusted key, is passed over. What another key signed stays in the history, since a
/// deployment's key may have been exchanged, but takes no trusted one's place.
public struct DeploymentScan: Sendable {
  private let log: any MessageLog
  private let names: TopicNames
  private let keys: TrustedKeys?

  /// A reader of a deployment's topics.
  ///
  /// - Parameter keys: whose signatures count; `nil`: everything is believed, for whoever only looks and has no key.
  public init(log: any MessageLog, names: TopicNames, keys: TrustedKeys?) {
    self.log = log
    self.names = names
    self.keys = keys
  }

  /// What is deployed of a model.
  public struct Standing: Sendable {
    /// The deployment with the highest epoch among those that count; `nil` where there is none.
    public var newest: DeploymentRecord?
    /// What is wrong with the one that has a higher epoch and does not count.
    public var refused: ReleaseError?
    /// How many records of the topic cannot be read at all.
    public var unreadable = 0
    fileprivate var refusedEpoch: Int64 = 0
  }

  /// The newest deployment of a model that counts; `nil` where there is none.
  public func newest(of model: String) async throws -> DeploymentRecord? { try await standing(of: model).newest }

  /// What is deployed of a model, and what says so without being believed.
  ///
  /// Records that cannot be read are passed over: a bad one must not hide a good one.
  public func standing(of model: String) async throws -> Standing {
    var standing = Standing()
    try await eachDeployment(of: model) {
      standing.unreadable += 1
    } body: { deployment in
      guard deployment.epoch > standing.newest?.epoch ?? 0 else { return }
      guard let problem = keys?.problem(with: deployment) else {
        standing.newest = deployment
        return
      }
      if deployment.epoch > standing.refusedEpoch {
        (standing.refused, standing.refusedEpoch) = (problem, deployment.epoch)
      }
    }
    if standing.refusedEpoch < standing.newest?.epoch ?? 0 { standing.refused = nil }
    return standing
  }

  /// The epoch of a model's next deployment: above all that the topic holds and all that subscribers have accepted.
  ///
  /// Signatures do not matter here, as a number too high harms nobody; so it does not matter either whether a forged record made
  /// the log's compaction remove the true one. What nobody could count up to is no epoch.
  public func nextEpoch(of model: String) async throws -> Int64 {
    var highest: Int64 = 0
    try await eachDeployment(of: model) {
    } body: {
      highest = max(highest, Self.counted($0.epoch))
    }
    try await TopicScan.each(log: log, topic: names.adoptions) { record in
      guard record.value != nil, let adoption = try? RecordCoding.value(of: record, as: AdoptionRecord.self),
        adoption.model == model, adoption.status == .adopted
      else { return }
      highest = max(highest, Self.counted(adoption.epoch))
    }
    return max(highest, try await newest(of: model)?.epoch ?? 0) + 1
  }

  /// Versions and epochs from here on were not counted up to; after them there might be no next one.
  private static let countable = 1 << 52
  /// The same of versions that another key signed: own ones are numbered on from them.
  private static let countableByOthers = 1_000_000_000

  private static func counted(_ epoch: Int64) -> Int64 { epoch < countable ? epoch : 0 }

  private func eachDeployment(
    of model: String, unreadable: () -> Void, body: (DeploymentRecord) -> Void
  ) async throws {
    try await TopicScan.each(log: log, topic: names.models) { record in
      guard record.value != nil else { return }
      guard let deployment = try? RecordCoding.value(of: record, as: DeploymentRecord.self) else { return unreadable() }
      if deployment.model == model { body(deployment) }
    }
  }

  /// The names of all models of which anything was released.
  public func models() async throws -> Set<String> {
    var models: Set<String> = []
    try await TopicScan.each(log: log, topic: names.releases) { record in
      guard record.value != nil, let release = try? RecordCoding.value(of: record, as: ReleaseRecord.self) else {
        return
      }
      models.insert(release.model)
    }
    return models
  }

  /// Every manifest of a model with its verdict, oldest first.
  ///
  /// Verdicts are not signed: the first of a manifest, which its release stage writes together with it, counts.
  public func releases(of model: String) async throws -> [(manifest: Manifest, verdict: ReleaseVerdict?)] {
    var order: [Int] = []
    var manifests: [Int: Manifest] = [:]
    var verdicts: [Digest: ReleaseVerdict] = [:]
    try await TopicScan.each(log: log, topic: names.releases) { record in
      guard record.value != nil, let release = try? RecordCoding.value(of: record, as: ReleaseRecord.self),
        release.model == model
      else { return }
      switch release.content {
      case .manifest(let manifest):
        let end = trusts(manifest) ? Self.countable : Self.countableByOthers
        guard manifest.version < end, !isForged(manifest) else { return }
        if let before = manifests[manifest.version], trusts(before), !trusts(manifest) { return }
        if manifests.updateValue(manifest, forKey: manifest.version) != nil {
          order.removeAll { $0 == manifest.version }
        }
        order.append(manifest.version)
      case .verdict(let verdict):
        if verdicts[verdict.manifestDigest] == nil { verdicts[verdict.manifestDigest] = verdict }
      }
    }
    return order.compactMap { version in manifests[version].map { ($0, verdicts[$0.digest]) } }
  }

  /// Whether a trusted key signed a manifest; where nobody is known to trust, every one counts.
  public func trusts(_ manifest: Manifest) -> Bool { keys?.problem(with: manifest) == nil }

  private func isForged(_ manifest: Manifest) -> Bool {
    guard let problem = keys?.problem(with: manifest) else { return false }
    return problem.code != .unknownKey
  }
}
