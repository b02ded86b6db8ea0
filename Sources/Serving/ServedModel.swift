import FoundationEssentials
public import Inference
public import Logging
public import RetortClient
public import Topics

/// A model and its identity, as one immutable value: a request takes it once and is answered by it, whatever comes after.
public final class ServedModel: Sendable {
  /// The model.
  public let model: ServingModel
  /// The name that clients use.
  public let name: String
  /// The release's number; nil for a file.
  public let version: Int?
  /// The deployment's number; nil for a file.
  public let epoch: Int64?
  /// The digest of the weights file.
  public let digest: Digest
  /// The confidence below which an answer should be escalated, 0 to 1; nil where it was not calibrated.
  public let threshold: Double?

  /// A model with its identity.
  public init(
    model: ServingModel, name: String, version: Int? = nil, epoch: Int64? = nil, digest: Digest,
    threshold: Double? = nil
  ) {
    self.model = model
    self.name = name
    self.version = version
    self.epoch = epoch
    self.digest = digest
    self.threshold = threshold
  }

  /// A release that was verified here.
  public convenience init(_ release: VerifiedRelease) {
    let manifest = release.manifest
    self.init(
      model: release.model, name: manifest.model, version: manifest.version, epoch: release.deployment.epoch,
      digest: manifest.weights?.sha256 ?? manifest.digest, threshold: manifest.confidenceThreshold)
  }

  /// A GGUF file that retort wrote; where its release's manifest lies beside it (`manifest.json`, as in a folder that `retort subscribe`
  /// keeps, or `FILE.manifest.json`, as `retort models fetch` writes it) that says which release it is.
  ///
  /// - Parameters:
  ///   - name: the name that clients use; by default the manifest's, or the file's name without its ending.
  ///   - shared: where packed weights are shared with other processes; nil: they are this process's own.
  /// - Throws: `InferenceError` as `ServingModel.init(gguf:)`.
  public convenience init(file path: String, name: String? = nil, shared: SharedWeights? = nil) throws {
    let model = try ServingModel(gguf: path, shared: shared)
    let digest = try Self.digest(of: path)
    let manifest = Self.manifest(beside: path, of: digest)
    let last = path.split(separator: "/").last.map(String.init) ?? path
    self.init(
      model: model, name: name ?? manifest?.model ?? (last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last),
      version: manifest?.version, digest: digest, threshold: manifest?.confidenceThreshold)
  }

  private static func digest(of path: String) throws -> Digest {
    try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped).withUnsafeBytes { Digest.sha256($0) }
  }

  /// The manifest of the release that a file is of, where it lies beside it; nil where there is none, or it is of other weights.
  ///
  /// - Throws: what reading the file throws.
  public static func manifest(beside path: String) throws -> Manifest? {
    manifest(beside: path, of: try digest(of: path))
  }

  private static func manifest(beside path: String, of digest: Digest) -> Manifest? {
    let file = URL(fileURLWithPath: path)
    let candidates = [
      file.deletingPathExtension().appendingPathExtension("manifest.json"),
      file.deletingLastPathComponent().appendingPathComponent("manifest.json"),
    ]
    for candidate in candidates {
      // Mapped, so that nothing too large is read.
      guard let bytes = try? Data(contentsOf: candidate, options: .alwaysMapped), bytes.count <= 8 << 20,
        let json = try? JSON.parse(Array(bytes)), let manifest = try? Manifest(json: json),
        manifest.weights?.sha256 == digest
      else { continue }
      return manifest
    }
    return nil
  }

  /// Says where the weights are, where they were to be shared.
  public func logPlacement(_ logger: Logger) {
    switch model.model.placement {
    case .own: break
    case .shared(let path): logger.notice("weights are shared", metadata: ["file": "\(path)"])
    case .unshared(let reason):
      logger.warning("weights are this process's own, not shared", metadata: ["reason": "\(reason)"])
    }
  }

  /// Who answered, as recorded requests say it: `retort/<name>@<version>`. Never on a list of trusted producers, so that the
  /// student does not teach itself.
  public var producer: String {
    "retort/\(name)@\(version.map(String.init) ?? String(digest.hex.prefix(12)))"
  }
}
