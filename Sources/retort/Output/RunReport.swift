import Foundation
import Pipeline
import Synchronization
import Topics
import Training

/// Follows a running pipeline: one line for each thing it did and, while one takes long, for each ten seconds; a summary at the end.
final class RunReport: Sendable {
  private struct State {
    var labelled = LabelProgress()
    var lastLabelLine = ContinuousClock.now - .seconds(10)
    var lastStepLines: [StepReport.Phase: ContinuousClock.Instant] = [:]
    var samplesSeen = 0
    var rounds = 0
    var releases: [ReleaseSummary] = []
    var started = ContinuousClock.now
  }

  private let state = Mutex(State())
  private let isQuiet: Bool

  init(isQuiet: Bool = false) {
    self.isQuiet = isQuiet
  }

  /// Takes an event from any thread.
  func take(_ event: PipelineEvent) {
    guard let line = line(for: event), !isQuiet else { return }
    Output.note(line)
  }

  /// Says the last counts that were held back.
  func end() {
    let labelled = state.withLock { $0.labelled }
    if labelled.requests > 0, !isQuiet { Output.note(Self.text(labelled)) }
  }

  private func line(for event: PipelineEvent) -> String? {
    state.withLock { state in
      switch event {
      case .labelled(let progress):
        state.labelled = progress
        guard ContinuousClock.now - state.lastLabelLine > .seconds(2) else { return nil }
        state.lastLabelLine = .now
        return Self.text(progress)
      case .studentStarted(let vocabulary, let parameters):
        return "train    student of \(parameters) parameters, vocabulary \(vocabulary)"
      case .functionsAdded(let names, let parameters):
        let size = parameters > 0 ? ", a student of \(parameters) parameters" : ""
        return "train    the task has more functions: \(names.joined(separator: ", "))\(size)"
      case .step(let step): return Self.text(step, &state.lastStepLines)
      case .round(let report, let samples, let recent):
        state.samplesSeen = samples
        state.rounds = report.round
        let score = recent.map { ", prequential \(Figures.percent($0.exactMatch))" } ?? ""
        return
          "train    round \(report.round): \(samples) samples, \(report.steps) steps, loss \(Figures.short(report.meanLoss))"
          + score + Self.text(soft: report.softSamples, unlike: report.unlikeSamples)
      case .releasePoint(let point): return "train    release point \(point.number)"
      case .candidate(let version, let part): return "release  version \(version): \(part)"
      case .released(let release):
        state.releases.append(release)
        return Self.text(release)
      }
    }
  }

  /// A phase's first step, save where the line before says what begins, and one each ten seconds.
  private static func text(
    _ step: StepReport, _ lastLines: inout [StepReport.Phase: ContinuousClock.Instant]
  ) -> String? {
    let now = ContinuousClock.now
    let name: String
    var isAnnounced = false
    switch step.phase {
    case .lessons: name = "train    lessons"
    case .round: (name, isAnnounced) = ("train    round", true)
    case .branch: (name, isAnnounced) = ("release  branch", true)
    case .imitation: name = "release  on-policy distillation"
    case .rejection: name = "release  rejection sampling"
    case .reward: name = "release  reinforcement learning"
    case .recovery: name = "release  recovery"
    }
    if step.step == 1 || lastLines[step.phase] == nil {
      lastLines[step.phase] = now
      if isAnnounced { return nil }
    } else if let last = lastLines[step.phase], now - last < .seconds(10) {
      return nil
    }
    lastLines[step.phase] = now
    return "\(name): step \(step.step) of \(step.steps), loss \(Figures.short(step.meanLoss))"
  }

  /// How many new samples brought log-probabilities, of their answer's tokens and of others only; nothing where none did.
  private static func text(soft: Int, unlike: Int) -> String {
    soft + unlike > 0 ? ", log-probabilities used in \(soft) (of other tokens in \(unlike))" : ""
  }

  private static func text(_ progress: LabelProgress) -> String {
    let skipped = progress.skipped.values.reduce(0, +)
    let dead = progress.dead.values.reduce(0, +)
    return "label    \(progress.requests) requests: \(progress.sampled) sampled, \(skipped) skipped, \(dead) dead"
  }

  private static func text(_ release: ReleaseSummary) -> String {
    let verdict = release.isPromoted ? "promoted" : "rejected (\(release.reasons.first ?? ""))"
    let file = "release  version \(release.version) \(verdict): \(Figures.bytes(release.bytes)), "
    guard let exact = release.exactMatch, let parent = release.parentExactMatch, let latency = release.latencyP50 else {
      return file + "not measured: no gate samples"
    }
    return file + "exact match \(Figures.percent(exact)) of \(release.gateSamples) "
      + "(uncompressed \(Figures.percent(parent))), \(Figures.short(latency)) ms"
  }

  /// Every release so far.
  var releases: [ReleaseSummary] { state.withLock { $0.releases } }

  var text: String {
    state.withLock { state in
      let seconds = (ContinuousClock.now - state.started).components.seconds
      let promoted = state.releases.count { $0.isPromoted }
      return
        "done in \(seconds) s: \(state.labelled.requests) requests labelled, "
        + (state.rounds > 0 ? "\(state.samplesSeen) samples read for training in all, " : "nothing new to train on, ")
        + "\(state.releases.count) releases made, \(promoted) promoted"
    }
  }

  var json: JSON {
    state.withLock { state in
      var object = JSONObject()
      object["requests"] = .integer(Int64(state.labelled.requests))
      object["samples"] = .integer(Int64(state.labelled.sampled))
      object["skipped"] = .integer(Int64(state.labelled.skipped.values.reduce(0, +)))
      object["deadletters"] = .integer(Int64(state.labelled.dead.values.reduce(0, +)))
      object["trained"] = .integer(Int64(state.samplesSeen))
      object["rounds"] = .integer(Int64(state.rounds))
      object["releases"] = .array(state.releases.map(\.json))
      return .object(object)
    }
  }
}

extension ReleaseSummary {
  /// The summary as the commands print it.
  var json: JSON {
    func number(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
    return [
      "version": .integer(Int64(version)), "promoted": .bool(isPromoted), "sha256": .string(sha256.hex),
      "bytes": .integer(Int64(bytes)), "parameters": .integer(Int64(parameters)), "exact_match": number(exactMatch),
      "parent_exact_match": number(parentExactMatch), "gate_samples": .integer(Int64(gateSamples)),
      "latency_ms_p50": number(latencyP50), "reasons": .array(reasons.map { .string($0) }),
    ]
  }
}
