public import Inference
public import Topics

/// A deployment whose signature, files and probe answers have been checked on this machine, by this runtime.
public struct VerifiedRelease: Sendable {
  /// What was deployed.
  public let deployment: DeploymentRecord
  /// The folder with `model.gguf`, `grammar.gbnf`, `probes.jsonl` and `manifest.json`.
  public let folder: String
  /// The loaded model, ready to serve.
  public let model: ServingModel

  /// The manifest.
  public var manifest: Manifest { deployment.manifest }
  /// The path of the weights file.
  public var weightsPath: String { folder + "/" + ModelFolder.weightsName }
}
