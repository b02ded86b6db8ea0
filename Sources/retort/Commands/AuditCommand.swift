import ArgumentParser
import MessageLog
import Pipeline

/// `retort audit`: conservation, proved from the log.
struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "Prove from the log that every request has exactly one outcome.")

  @OptionGroup var global: GlobalOptions

  @Flag(name: .long, help: "Every request in the log must have its outcome: none may wait.")
  var all = false

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    let log = try await wiring.openExistingLog()
    let audit = try await Audit.run(log: log, names: wiring.names, all: all)
    try await log.close()
    if global.json {
      Output.print(audit.json)
    } else {
      Output.print(
        "\(audit.requests) requests = \(audit.samples) samples + \(audit.skipped) skipped + \(audit.deadLetters) dead letters"
      )
      Output.print(
        "\(audit.waiting) waiting, \(audit.missing) missing, \(audit.duplicates) duplicates, \(audit.removed) removed unlabelled"
      )
      for finding in audit.findings { Output.print("  " + finding) }
      Output.print(audit.holds ? "conservation holds" : "conservation does not hold")
    }
    if !audit.holds { throw ExitStatus.checkFailed }
  }
}
