/// A release: the contract with subscribers. Immutable; named by the digest of its body.
public struct Manifest: Sendable, Hashable {
  /// The version of this format: major.minor.
  public static let schemaVersion = "1.0"

  /// The model's name, 1 to 128 bytes.
  public var model: String
  /// The release's number, from 1; grows.
  public var version: Int
  /// The files, exactly one of them with the role weights.
  public var files: [ManifestFile]
  /// The model's shape.
  public var architecture: Architecture
  /// How many parameters it has.
  public var parameters: Int64
  /// The precision it was trained in: "fp32", "bf16".
  public var precision: String
  /// The quantization of the shipped weights: "q8_0", "none".
  public var quantization: String
  /// What was pruned; nil: nothing.
  public var pruning: Pruning?
  /// The digest of the tokenizer.
  public var tokenizerDigest: Digest
  /// The template's name and version, such as "retort-1".
  public var template: String
  /// The digest of the functions.
  public var functionsDigest: Digest
  /// The lowest version of the runtime that can serve it.
  public var minimumRuntime: String
  /// The digest of the manifest of the release before, if there is one.
  public var parent: Digest?
  /// What it was made of.
  public var lineage: Lineage
  /// What was measured.
  public var evidence: [Evidence]
  /// How long an answer takes.
  public var latency: Latency?
  /// Below which confidence an answer should be escalated, 0 to 1; nil where it was not calibrated.
  public var confidenceThreshold: Double?
  /// How probable it is that an answer of some confidence is right; nil where it was not calibrated.
  public var confidenceCalibration: ConfidenceCalibration?
  /// Why it was promoted or rejected, a sentence for each rule of the gate; empty in a manifest of a program that did not say so.
  public var reasons: [String]
  /// The licence of the weights, as an SPDX expression or a sentence.
  public var licence: String
  /// When it was made, RFC 3339.
  public var created: String
  /// The signature beside the body.
  public var signature: Signature?
  /// Fields that this version does not know; they are part of the signed body.
  public var extra: JSONObject

  /// A manifest without signature.
  public init(
    model: String, version: Int, files: [ManifestFile], architecture: Architecture, parameters: Int64,
    precision: String = "fp32", quantization: String, pruning: Pruning? = nil, tokenizerDigest: Digest,
    template: String, functionsDigest: Digest, minimumRuntime: String, parent: Digest? = nil, lineage: Lineage,
    evidence: [Evidence], latency: Latency? = nil, confidenceThreshold: Double? = nil,
    confidenceCalibration: ConfidenceCalibration? = nil, reasons: [String] = [], licence: String, created: String
  ) {
    self.model = model
    self.version = version
    self.files = files
    self.architecture = architecture
    self.parameters = parameters
    self.precision = precision
    self.quantization = quantization
    self.pruning = pruning
    self.tokenizerDigest = tokenizerDigest
    self.template = template
    self.functionsDigest = functionsDigest
    self.minimumRuntime = minimumRuntime
    self.parent = parent
    self.lineage = lineage
    self.evidence = evidence
    self.latency = latency
    self.confidenceThreshold = confidenceThreshold
    self.confidenceCalibration = confidenceCalibration
    self.reasons = reasons
    self.licence = licence
    self.created = created
    signature = nil
    extra = [:]
  }

  /// The file with the role weights.
  public var weights: ManifestFile? { files.first { $0.role == .weights } }

  /// The first file with `role`.
  public func file(_ role: ManifestFile.Role) -> ManifestFile? { files.first { $0.role == role } }

  /// The size of all files together, in bytes.
  public var totalBytes: Int64 { files.reduce(0) { $0 + $1.bytes } }

  /// What is signed: the canonical JSON (RFC 8785) of the body without `signature`.
  public var signingBytes: [UInt8] { body.canonical }

  /// The manifest's name: SHA-256 of `signingBytes`.
  public var digest: Digest { .sha256(signingBytes) }
}
