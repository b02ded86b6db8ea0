import ArgumentParser
import Foundation
import MessageLog
import Pipeline
import RetortClient
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
      let bar = ProgressLine("import")
      let report = try await RequestImport.run(lines, name: file, log: log, names: wiring.names) { count in
        bar.show("\(count) requests")
      }
      bar.end()
      if let failure = lines.failure { throw ConfigurationError(failure) }
      try await log.close()
      for problem in report.problems { Output.complain(problem) }
      if global.json {
        Output.print(["imported": .integer(Int64(report.imported)), "refused": .integer(Int64(report.refused))])
      } else {
        Output.print("imported \(report.imported) requests, refused \(report.refused) lines")
      }
      if report.refused > 0 && report.imported == 0 { throw ExitStatus.failed }
    }
  }

  /// `retort requests export`.
  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every request in the log as JSONL.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openLog()
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
