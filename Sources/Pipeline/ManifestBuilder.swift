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
  let measured: GateMeasurement
  let threshold: Double?
  let parent: Digest?
  let created: String

  var manifest: Manifest {
    let latency = measured.report.latency
    return Manifest(
      model: stage.model, version: version, files: files, architecture: architecture,
      parameters: Int64(made.report.parametersAfter), quantization: made.report.weightType.rawValue, pruning: pruning,
      tokenizerDigest: made.tokenizerDigest, template: "retort-1", functionsDigest: stage.functions.digest,
      minimumRuntime: stage.policy.codeVersion, parent: parent, lineage: lineage, evidence: evidence,
      latency: Latency(p50: latency.p50, p99: latency.p99, n: measured.report.count), confidenceThreshold: threshold,
      licence: stage.policy.licence, created: created)
  }

  private var architecture: Architecture {
    let configuration = measured.candidateModel.configuration
    return Architecture(
      layers: configuration.layerCount, hiddenSize: configuration.hiddenSize, heads: configuration.headCount,
      keyValueHeads: configuration.keyValueHeadCount, feedForwardSize: configuration.feedForwardSize,
      vocabularySize: configuration.vocabularySize, maximumPositions: configuration.maximumPositions)
  }

  private var pruning: Pruning? {
    let before = made.parent.configuration.feedForwardSize
    let after = measured.candidateModel.configuration.feedForwardSize
    guard after < before else { return nil }
    return Pruning(
      method: "ffn-activation", feedForwardBefore: before, feedForwardAfter: after,
      recoverySteps: made.report.recovery?.steps ?? 0)
  }

  private var lineage: Lineage {
    let range = stage.replay?.range
    return Lineage(
      base: made.baseDigest, chain: checkpoint.chain,
      topic: stage.names.isRelabelled ? stage.names.samples : nil,
      fromOffset: range?.offsets.lowerBound ?? min(samples.firstOffset, checkpoint.position),
      toOffset: checkpoint.position, samples: checkpoint.samplesSeen, erased: range?.erased ?? samples.erased,
      recipe: made.recipe.digest, seed: UInt64(made.recipe.seed), numerics: made.recipe.numerics,
      code: stage.policy.codeVersion, teachers: (range?.teachers ?? samples.teachers).sorted())
  }

  private var evidence: [Evidence] {
    let report = measured.report
    return verdict.evidence + [
      evidence("function_accuracy", report.functionAccuracy), evidence("argument_f1", report.argumentF1),
    ]
  }

  private func evidence(_ metric: String, _ interval: Interval) -> Evidence {
    Evidence(
      metric: metric, value: interval.estimate, n: measured.report.count, low: min(interval.lower, interval.estimate),
      high: max(interval.upper, interval.estimate), subject: .candidate)
  }
}
