import ArgumentParser
import MessageLog
import Pipeline
import Topics

extension ModelsCommand {
  /// `retort models diff A B`.
  struct Diff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compare two models on the same held-out samples, paired, with intervals; the difference is B − A.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "NAME (what is deployed or, where nothing is, the newest), NAME@VERSION, or a GGUF file.")
    var a: String

    @Argument(help: "The same for the other model.")
    var b: String

    @Option(
      name: .long,
      help: ArgumentHelp(
        "JSONL of {\"id\", \"text\" or \"messages\", \"call\"}; the gate samples of the log by default.",
        valueName: "file"))
    var data: String?

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let references = (try ModelReference(a), try ModelReference(b))
      let given = try data.map(LabelledFile.read)
      let needsLog = given == nil || references.0.isRelease || references.1.isRelease
      let log = needsLog ? try await wiring.openExistingLog() : nil
      let first = try await references.0.load(wiring, log: log)
      let second = try await references.1.load(wiring, log: log)
      let samples = try await Self.samples(given, wiring, log)
      try await log?.close()
      let report = ComparisonReport(
        first: first, second: second, questions: data.map { "requests of \($0)" } ?? "held-out samples",
        comparison: try Answering.compare(first.model, second.model, on: samples))
      if global.json { Output.print(report.json) } else { Output.print(report.text) }
    }

    private static func samples(
      _ given: [MeasuredSample]?, _ wiring: Wiring, _ log: (any MessageLog)?
    ) async throws -> [MeasuredSample] {
      if let given { return given }
      guard let log else { return [] }
      let samples = try await HeldOutSamples(log: log, names: wiring.names).gate
      guard !samples.isEmpty else {
        throw PipelineError(
          .notEnough, wiring.names.samples, expected: "held-out samples to compare on", found: "none",
          advice: "name a file with --data, or label more requests")
      }
      return samples
    }
  }
}
