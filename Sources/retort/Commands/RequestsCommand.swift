import ArgumentParser
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
      try await LineImport(kind: .requests, file: file, global: global).run()
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
