import ArgumentParser
import Foundation
import Logging
import MessageLog
import Pipeline
import RetortClient
import Synchronization
import Topics

/// `retort requests`: requests in and out of the log by hand.
struct RequestsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "requests", abstract: "Put requests into the log, and take them out.",
    subcommands: [Import.self, Export.self, Forget.self])

  /// `retort requests import FILE|-`.
  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Append JSONL requests: {\"id\", \"text\" or \"messages\", \"call\"?} a line.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "A JSONL file, or - for standard input.")
    var file: String

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let lines = try LineReader(path: file)
      let log = try await wiring.openLog()
      // A read of standard input may last for ever: there a signal ends the process at once.
      let report =
        file == "-"
        ? try await append(lines, to: log, names: wiring.names)
        : try await appendUnlessStopped(lines, to: log, names: wiring.names)
      try await log.close()
      for problem in report.problems { Output.complain(problem) }
      if global.json {
        Output.print(["imported": .integer(Int64(report.imported)), "refused": .integer(Int64(report.refused))])
      } else {
        Output.print("imported \(report.imported) requests, refused \(report.refused) lines")
      }
      guard report.refused > 0 else { return }
      Output.complain(
        "\(report.refused) lines of \(file) are not requests and were left out; correct them and import the file again: "
          + "requests that are in already are recognized")
      throw ExitStatus.failed
    }

    /// The same, with a signal as one of the ways to end early.
    private func appendUnlessStopped(
      _ lines: LineReader, to log: any MessageLog, names: TopicNames
    ) async throws -> RequestImport.Report {
      let found = Mutex<RequestImport.Report?>(nil)
      // The service alone reads the lines.
      nonisolated(unsafe) let own = lines
      let service = StageService(name: "import", isLast: true) { [self] in
        let report = try await append(own, to: log, names: names)
        found.withLock { $0 = report }
      }
      try await StageServices.run([service], logger: Wiring.logger("retort.import", level: .error))
      guard let report = found.withLock({ $0 }) else { throw CancellationError() }
      return report
    }

    /// Appends the lines; where that ends early, says how many are in.
    private func append(_ lines: LineReader, to log: any MessageLog, names: TopicNames) async throws
      -> RequestImport.Report
    {
      let bar = ProgressLine("import")
      var imported = 0
      do {
        let report = try await RequestImport.run(lines, name: file, log: log, names: names) { count in
          imported = count
          bar.show("\(count) requests")
        }
        bar.end()
        if let failure = lines.failure { throw ConfigurationError(failure) }
        return report
      } catch {
        bar.end()
        Output.complain(
          "the first \(imported) requests of \(file) are in the log; import it again when the cause is mended: "
            + "those that are in are recognized")
        throw error
      }
    }
  }

  /// `retort requests export`.
  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every request in the log as JSONL.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      try await TopicScan.each(log: log, topic: wiring.names.requests) { record in
        do {
          Output.print(try RequestRecord(json: RecordCoding.json(of: record, as: RequestRecord.topic)).json)
        } catch {
          Output.complain("\(error)")
        }
      }
      try await log.close()
    }
  }
}
