public import MessageLog
public import Topics

/// What the deploy topic and the release history say now.
public enum DeploymentScan {
  /// The newest deployment of a model: the one with the highest epoch; `nil` where there is none.
  ///
  /// Records that cannot be read are passed over: a bad one must not hide a good one.
  public static func newest(
    of model: String, log: any MessageLog, names: TopicNames
  ) async throws -> DeploymentRecord? {
    var newest: DeploymentRecord?
    try await TopicScan.each(log: log, topic: names.models) { record in
      guard record.value != nil, let deployment = try? RecordCoding.value(of: record, as: DeploymentRecord.self),
        deployment.model == model, deployment.epoch > newest?.epoch ?? 0
      else { return }
      newest = deployment
    }
    return newest
  }

  /// The names of all models of which anything was released.
  public static func models(log: any MessageLog, names: TopicNames) async throws -> Set<String> {
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
  public static func releases(
    of model: String, log: any MessageLog, names: TopicNames
  ) async throws -> [(manifest: Manifest, verdict: ReleaseVerdict?)] {
    var order: [Int] = []
    var manifests: [Int: Manifest] = [:]
    var verdicts: [Int: ReleaseVerdict] = [:]
    try await TopicScan.each(log: log, topic: names.releases) { record in
      guard record.value != nil, let release = try? RecordCoding.value(of: record, as: ReleaseRecord.self),
        release.model == model
      else { return }
      switch release.content {
      case .manifest(let manifest):
        if manifests.updateValue(manifest, forKey: manifest.version) == nil { order.append(manifest.version) }
      case .verdict(let verdict): verdicts[verdict.version] = verdict
      }
    }
    return order.compactMap { version in manifests[version].map { ($0, verdicts[version]) } }
  }
}
