import ArgumentParser
import Foundation
import MessageLog
import SQLiteLog
import Topics

extension BenchCommand {
  /// Where the benchmarks of the log run: on Kafka in topics of their own, which stay, else in a fresh embedded log.
  struct LogOptions: ParsableArguments {
    @OptionGroup var global: GlobalOptions
    @Option(
      name: .long,
      help: ArgumentHelp(
        "Kafka: what the names of the topics end with (bench log) or begin with (bench label) after the prefix.",
        valueName: "name"))
    var name = "bench-\(UUID().uuidString.prefix(8).lowercased())"

    /// Runs a benchmark on a log; `syncs` is how long the embedded log's disk takes to sync a megabyte, in milliseconds.
    func run<Result>(
      _ body: (_ log: any MessageLog, _ wiring: Wiring) async throws -> Result
    ) async throws -> (result: Result, syncs: Double?) {
      let wiring = Wiring(try global.configuration())
      if wiring.isOnKafka {
        let log = try wiring.openBareLog()
        let result = try await body(log, wiring)
        try await log.close()
        return (result, nil)
      }
      // The log of a deployment is left alone.
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent("retort-bench-\(UUID().uuidString)")
        .path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let syncs = DiskSync.milliseconds(in: folder)
      let log = try SQLiteLog(path: folder + "/bench.db")
      let result = try await body(log, wiring)
      try await log.close()
      return (result, syncs)
    }
  }

  /// `retort bench log`.
  struct Log: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Records a second of 1 KB appended in batches of 1,000, and read.")
    @OptionGroup var options: LogOptions
    @Option(name: .long, help: "Records.")
    var records = 300_000
    @Option(name: .long, help: "Bytes of a record.")
    var bytes = 1_024

    func validate() throws {
      guard records >= 1_000 else { throw ValidationError("--records: expected 1,000 or more, found \(records)") }
      guard (8...1_000_000).contains(bytes) else {
        throw ValidationError("--bytes: expected 8 to 1,000,000, found \(bytes)")
      }
    }

    func run() async throws {
      let (result, syncs) = try await options.run { log, wiring in
        try await LogBenchmark.run(
          log: log, topic: wiring.names.prefix + options.name, records: records, valueBytes: bytes)
      }
      if options.global.json {
        Output.print([
          "append_per_second": .number(result.appendPerSecond), "read_per_second": .number(result.readPerSecond),
          "records": .integer(Int64(result.records)), "disk_sync_ms": syncs.map(JSON.number) ?? .null,
          "peak_rss_bytes": .integer(Int64(PeakMemory.bytes)),
        ])
      } else {
        Output.print(
          "\(Figures.short(result.appendPerSecond)) records/s appended, \(Figures.short(result.readPerSecond)) records/s read"
            + (syncs.map { " (this disk syncs 1 MB in \(Figures.short($0)) ms)" } ?? ""))
      }
    }
  }

  /// `retort bench label`.
  struct Label: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Requests a second through the label stage, labels recorded.")
    @OptionGroup var options: LogOptions
    @Option(name: .long, help: "Requests, 2,000 or more.")
    var requests = 20_000

    func validate() throws {
      // One transaction takes up to 1,000.
      guard (2_000...100_000_000).contains(requests) else {
        throw ValidationError(
          "--requests: expected 2,000 to 100,000,000, since the speed is that from the first transaction to the last, "
            + "found \(requests)")
      }
    }

    func run() async throws {
      let (perSecond, _) = try await options.run { log, wiring in
        try await LabelBenchmark.run(
          log: log, names: TopicNames(prefix: "\(wiring.names.prefix)\(options.name)."), requests: requests,
          partitions: wiring.configuration.integer("log.partitions"))
      }
      if options.global.json {
        Output.print([
          "requests_per_second": .number(perSecond), "requests": .integer(Int64(requests)),
          "peak_rss_bytes": .integer(Int64(PeakMemory.bytes)),
        ])
      } else {
        Output.print("\(Figures.short(perSecond)) requests/s labelled")
      }
    }
  }
}
