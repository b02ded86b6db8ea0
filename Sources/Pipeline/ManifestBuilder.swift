import Compression
import Evaluation
import Inference
import ModelFiles
import Releases
import StudentModel
import Tokenization
import Topics
import Training

/// The manifest of a measured candidate.
struct ManifestBuilder {
  let stage: ReleaseStage
  let checkpoint: CheckpointRecord
  let version: Int
  let made: MadeCandidate
  let samples: HeldOutSamples
  let files: [ManifestFile]
  let verdict: Gate.Verdict
  let context: GateContext
  let measured: GateMeasurement
  let confidence: ConfidenceThreshold
  let parent: Digest?
  let created: String

  var manifest: Manifest {
    let latency = measured.report.latency
    return Manifest(
      model: stage.model, version: version, files: files, architecture: architecture,
      parameters: Int64(made.report.parametersAfter), precision: made.recipe.precision.rawValue,
      quantization: quantization, pruning: pruning,
      // Of what is shipped: subscribers compare it with what they read.
      tokenizerDigest: measured.candidateModel.tokenizer.digest, template: made.parent.codec.template.name,
      functionsDigest: made.functions.digest,
      minimumRuntime: stage.policy.codeVersion, parent: parent, lineage: lineage, evidence: evidence,
      latency: isMeasured ? Latency(p50: latency.p50, p99: latency.p99, n: latency.count) : nil,
      confidenceThreshold: confidence.threshold,
      confidenceCalibration: confidence.calibration, reasons: verdict.reasons, licence: stage.policy.licence,
      created: created)
  }

  /// Whether there was a gate sample.
  private var isMeasured: Bool { measured.report.count > 0 }

  private var architecture: Architecture {
    let configuration = measured.candidateModel.configuration
    return Architecture(
      layers: configuration.layerCount, hiddenSize: configuration.hiddenSize, heads: configuration.headCount,
      keyValueHeads: configuration.keyValueHeadCount, feedForwardSize: configuration.feedForwardSize,
      vocabularySize: configuration.vocabularySize, maximumPositions: configuration.maximumPositions)
  }

  private var quantization: String {
    let (plan, calibration) = (made.report.quantize, made.compression.calibrate)
    var name = "mixed"
    if case .uniform(let type) = plan { name = type.rawValue }
    return calibration == .nearest ? name : "\(name) \(calibration.rawValue)"
  }

  private var pruning: Pruning? {
    let (before, after) = (made.report.before, PruningShape(made.report.configuration))
    var axes: [String: Pruning.Change] = [:]
    for (name, size) in [
      ("layers", \PruningShape.layerCount), ("hidden", \.hiddenSize), ("kv", \.keyValueHeadCount),
      ("vocabulary", \.vocabularySize),
    ] where after[keyPath: size] < before[keyPath: size] {
      axes[name] = Pruning.Change(before: before[keyPath: size], after: after[keyPath: size])
    }
    guard before != after else { return nil }
    let source = made.compression.importance == .gradients ? "gradient" : "activation"
    return Pruning(
      method: "\(axes.isEmpty ? "ffn" : "structured")-\(source)", feedForwardBefore: before.feedForwardSize,
      feedForwardAfter: after.feedForwardSize, recoverySteps: made.report.recovery?.steps ?? 0, axes: axes)
  }

  private var lineage: Lineage {
    let range = stage.replay?.range
    return Lineage(
      base: made.baseDigest, chain: checkpoint.chain,
      topic: stage.names.isRelabelled ? stage.names.samples : nil,
      fromOffset: range?.offsets.lowerBound ?? min(samples.firstOffset, checkpoint.position),
      toOffset: checkpoint.position, samples: checkpoint.samplesSeen, erased: range?.erased ?? samples.erased,
      recipe: made.recipe.digest, compression: made.compression.digest, seed: UInt64(made.recipe.seed),
      numerics: made.recipe.numerics,
      code: stage.policy.codeVersion,
      teachers: Array((range?.teachers ?? samples.teachers).sorted().prefix(Lineage.maximumTeachers)))
  }

  private var evidence: [Evidence] {
    let report = measured.report
    let shares =
      isMeasured
      ? [evidence("function_accuracy", report.functionAccuracy), evidence("argument_f1", report.argumentF1)] : []
    return verdict.evidence + context.evidence + confidence.evidence + shares + [
      Evidence(
        metric: "teacher_calls", value: Double(stage.replay?.range.teacherCalls ?? samples.teacherCalls),
        n: checkpoint.samplesSeen, subject: .candidate)
    ]
  }

  private func evidence(_ metric: String, _ interval: Interval) -> Evidence {
    Evidence(
      metric: metric, value: interval.estimate, n: measured.report.count, low: min(interval.lower, interval.estimate),
      high: max(interval.upper, interval.estimate), subject: .candidate)
  }
}
