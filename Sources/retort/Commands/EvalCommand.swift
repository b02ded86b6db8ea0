import ArgumentParser
import Evaluation
import Foundation
import Inference
import Pipeline
import Topics

/// `retort eval`: exact match, function accuracy, argument F1, with intervals.
struct EvalCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval", abstract: "Measure a model on labelled requests, or its perplexity on a text.")

  @OptionGroup var global: GlobalOptions
  @OptionGroup var which: ModelOptions
  @OptionGroup var search: SearchOptions

  @Option(
    name: .long,
    help: ArgumentHelp(
      "JSONL of {\"id\", \"text\" or \"messages\", \"call\"}; with --perplexity any text.", valueName: "file"))
  var data: String

  @Flag(name: .long, help: "The perplexity of the file's text instead.")
  var perplexity = false

  @Option(name: .long, help: ArgumentHelp("At most so many tokens for the perplexity.", valueName: "n"))
  var maxTokens: Int?

  @Flag(name: .long, help: "Plain greedy decoding, not held to the functions' schemas.")
  var unconstrained = false

  @Option(name: .long, help: ArgumentHelp("Exit with status 3 below this exact match (0 to 1).", valueName: "share"))
  var threshold: Double?

  func validate() throws {
    if let threshold, !(0...1).contains(threshold) {
      throw ValidationError("--threshold: expected a share from 0 to 1, found \(threshold)")
    }
    if let maxTokens, maxTokens < 2 { throw ValidationError("--max-tokens: expected 2 or more, found \(maxTokens)") }
  }

  func run() async throws {
    let wiring = Wiring(try global.configuration(search.settings))
    if perplexity {
      try await measurePerplexity(wiring)
      return
    }
    let samples = try LabelledFile.read(data)
    let (model, manifest) = try await which.loadWithManifest(wiring)
    let cases = try Answering.evaluate(
      samples, model: model, options: wiring.decoding(constrained: !unconstrained))
    let report = EvaluationReport(cases)
    let cost = manifest.flatMap(LabelCost.init)
    let fallback = Fallback(
      cases, threshold: wiring.configuration.optionalNumber("serve.threshold") ?? manifest?.confidenceThreshold)
    if !unconstrained { warnOfUnsayable(samples, model) }
    if global.json {
      var object = report.json.objectValue ?? [:]
      object["labels"] = cost.map { .integer(Int64($0.samples)) }
      object["teacher_calls"] = cost.map { .integer(Int64($0.calls)) }
      object["answered_alone"] = fallback.threshold.map { SelectivePrediction(cases, threshold: $0).json }
      object["thresholds"] = .array(fallback.offers.map(\.json))
      Output.print(.object(object))
    } else {
      Output.print(Self.text(of: report) + (cost.map { "\n\($0.text)" } ?? ""))
      Output.print(fallback.text)
    }
    if let threshold, report.exactMatch.estimate < threshold {
      Output.complain(
        "exact match \(Figures.percent(report.exactMatch.estimate)) is below \(Figures.percent(threshold))")
      throw ExitStatus.checkFailed
    }
  }

  private func warnOfUnsayable(_ samples: [MeasuredSample], _ model: ServingModel) {
    let labels = model.sayable(samples.map { ($0.messages, $0.call) })
    guard labels.pieces < labels.count else { return }
    Output.complain(
      "\(labels.count - labels.pieces) of the \(labels.count) labels can be no answer of this model: they name what its functions do "
        + "not have, a string that is no piece of the request, or a number of too many digits")
  }

  private func measurePerplexity(_ wiring: Wiring) async throws {
    let bytes = try InputFile.bytes(data, limit: 1 << 32)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ConfigurationError("\(data): expected text in UTF-8, found other bytes; convert it")
    }
    let model: DecoderModel
    if let file = which.file {
      try ConfigurationError.checkIsThere(file, "--file", "a GGUF file or a Hugging Face folder")
      // Any decoder has a perplexity, one without functions too, and one in a Hugging Face folder.
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: file, isDirectory: &isFolder)
      model = try isFolder.boolValue ? DecoderModel(folder: file) : DecoderModel(gguf: file)
    } else {
      model = try await which.load(wiring).model
    }
    let report = try Perplexity.evaluate(model, text: text, maximumTokens: maxTokens ?? .max)
    if global.json {
      Output.print(report.json)
    } else {
      Output.print(
        "\(report.tokens) tokens, \(Figures.fixed(report.nll, 4)) nats each, perplexity \(Figures.short(report.perplexity))"
      )
    }
  }

  private static func text(of report: EvaluationReport) -> String {
    func line(_ name: String, _ value: Interval) -> String {
      "\(name)  \(Figures.percent(value.estimate))  (95 %: \(Figures.percent(value.lower)) to \(Figures.percent(value.upper)))"
    }
    return [
      "n                  \(report.count)", line("exact match      ", report.exactMatch),
      line("function accuracy", report.functionAccuracy), line("argument F1      ", report.argumentF1),
      "invalid            \(report.invalid)",
      "latency            \(Figures.short(report.latency.p50)) ms median, \(Figures.short(report.latency.p99)) ms at 99 %",
    ].joined(separator: "\n")
  }
}

/// What the labels of a release took: the other side of its accuracy.
private struct LabelCost {
  let samples: Int
  let calls: Int

  /// `nil` where the manifest does not say.
  init?(_ manifest: Manifest) {
    guard let calls = manifest.evidence.first(where: { $0.metric == "teacher_calls" }) else { return nil }
    samples = manifest.lineage.samples
    self.calls = Int(calls.value)
  }

  var text: String { "labels             \(samples), for \(calls) calls to the teacher" }
}

/// What a service that asks the LLM below a threshold would get: at that of the release, and at those that these requests ask for.
private struct Fallback {
  let threshold: Double?
  private let cases: [EvaluationCase]

  /// How right answers are wanted that nobody checks.
  private static let wanted = [0.9, 0.95, 0.98, 0.99]

  init(_ cases: [EvaluationCase], threshold: Double?) {
    self.cases = cases
    self.threshold = threshold
  }

  /// The most that can be answered with so many right, by the lowest threshold that gives it; each threshold once.
  var offers: [SelectivePrediction] {
    var offers: [SelectivePrediction] = []
    for precision in Self.wanted {
      guard let lowest = SelectivePrediction.threshold(for: precision, of: cases) else { continue }
      if offers.last?.threshold != lowest { offers.append(SelectivePrediction(cases, threshold: lowest)) }
    }
    return offers
  }

  /// A threshold to copy: never above the one that was measured, and with as many places as it takes to answer the same requests.
  private func threshold(of answers: SelectivePrediction) -> String {
    for places in 4...15 {
      for rounding in [FloatingPointRoundingRule.toNearestOrAwayFromZero, .down] {
        let text = Figures.fixed(answers.threshold, places, rounding)
        guard let rounded = Double(text), rounded <= answers.threshold else { continue }
        if SelectivePrediction(cases, threshold: rounded).count == answers.count { return text }
      }
    }
    return "\(answers.threshold)"
  }

  var text: String {
    func line(_ answers: SelectivePrediction) -> String {
      let right = answers.exactMatch
      return "\(Figures.percent(answers.coverage.estimate)) answered from \(threshold(of: answers)) on, "
        + "\(Figures.percent(right.estimate)) of them right (95 %: \(Figures.percent(right.lower)) to \(Figures.percent(right.upper)))"
    }
    let own =
      threshold.map { line(SelectivePrediction(cases, threshold: $0)) }
      ?? "no threshold is known, so that a server says to ask the LLM each time"
    return (["answered alone     \(own)"] + offers.map { "  by these requests \(line($0))" }).joined(separator: "\n")
  }
}
