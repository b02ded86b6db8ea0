import ArgumentParser
import Evaluation
import Serving
import StudentModel
import Topics

extension BenchCommand {
  /// `retort bench serve`.
  struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Requests a second and latencies of the HTTP server over loopback.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var search: SearchOptions
    @Option(
      name: .long,
      help: ArgumentHelp("A released GGUF file; a random student of the default sizes by default.", valueName: "file"))
    var file: String?
    @Option(name: .long, help: ArgumentHelp("JSONL of requests to send; the demo's by default.", valueName: "file"))
    var data: String?
    @Option(name: .long, help: "Requests at once.")
    var concurrency = 8
    @Option(name: .long, help: "Requests.")
    var requests = 5_000

    func run() async throws {
      for (name, value, range) in [
        ("--concurrency", concurrency, 1...1_024), ("--requests", requests, 1...10_000_000),
      ] where !range.contains(value) {
        throw ConfigurationError("\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
      }
      try ConfigurationError.checkIsThere(file, "--file", "a GGUF file")
      let wiring = Wiring(try global.configuration(search.settings))
      // As `retort serve`: one thread a request, and a request on every core.
      KernelPool.setThreads(1)
      let model = try file.map { try ServedModel(file: $0) } ?? ServeBenchmark.randomModel()
      let report = try await ServeBenchmark.run(
        model, bodies: ServeBenchmark.bodies(of: data, model: model.name), requests: requests, concurrency: concurrency,
        threads: wiring.threads, decoding: wiring.decoding())
      if global.json {
        Output.print([
          "requests_per_second": .number(report.requestsPerSecond), "latency_ms": report.latency.json,
          "concurrency": .integer(Int64(concurrency)), "requests": .integer(Int64(requests)),
          "failed": .integer(Int64(report.failed)),
        ])
      } else {
        Output.print(
          "\(Figures.short(report.requestsPerSecond)) requests/s, \(Figures.short(report.latency.p50)) ms median, "
            + "\(Figures.short(report.latency.p99)) ms at 99 % (\(concurrency) at once, \(report.failed) failed)")
      }
    }
  }
}
