import ArgumentParser
import MessageLog
import Pipeline
import RetortClient
import Topics

/// `retort status`: how far each stage is.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "How far each stage is, and who runs what.")

  @OptionGroup var global: GlobalOptions

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    let log = try await wiring.openLog()
    let status = try await Status.read(log: log, names: wiring.names, model: wiring.model)
    try await log.close()
    if global.json { Output.print(status.json) } else { Output.print(Self.text(of: status)) }
  }

  private static func text(of status: Status) -> String {
    var lines = [
      "label    \(status.requests) requests, \(status.unlabelled) wait for a label",
      "train    \(status.samples) samples, \(status.untrained) wait, round \(status.round), "
        + "prequential \(status.prequential.map(Figures.percent) ?? "none")",
      "release  \(status.releases) made, \(status.deployed.map { "version \($0) deployed at epoch \(status.epoch)" } ?? "none deployed")",
    ]
    for adoption in status.adoptions {
      lines.append(
        "         \(adoption.subscriber) \(adoption.status.rawValue) version \(adoption.version) since \(adoption.since)"
          + (adoption.reason.map { ": \($0)" } ?? ""))
    }
    return lines.joined(separator: "\n")
  }
}
