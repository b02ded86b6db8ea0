import ArgumentParser
import Evaluation
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
    let log = try await wiring.openExistingLog()
    let status = try await Status.read(
      log: log, names: wiring.names, keys: try wiring.keysIfAny(), model: wiring.model)
    try await log.close()
    if global.json { Output.print(status.json) } else { Output.print(Self.text(of: status)) }
  }

  private static func text(of status: Status) -> String {
    let aboutRequests = status.areRequestsCounted ? "" : "about "
    let aboutSamples = status.areSamplesCounted ? "" : "about "
    var lines = [
      "label    \(aboutRequests)\(status.requests) requests, \(aboutRequests)\(status.unlabelled) wait for a label",
      "train    \(status.samples) samples, \(aboutSamples)\(status.untrained) wait, round \(status.round), "
        + "prequential \(status.prequential.map(Figures.percent) ?? "none")",
      "release  \(status.releases) made, \(status.deployed.map { "version \($0) deployed at epoch \(status.epoch)" } ?? "none deployed")",
    ]
    let labelling = status.labelling
    let skipped = labelling.skipped.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    lines.insert(
      "         the teacher was asked about \(labelling.asked)"
        + (skipped.isEmpty ? "" : "; skipped: " + skipped.joined(separator: ", ")), at: 1)
    for live in labelling.live {
      lines.append(
        "         version \(live.version) was right on \(Figures.percent(live.exactMatch.estimate)) of live requests "
          + "(95 %: \(Figures.percent(live.exactMatch.lower)) to \(Figures.percent(live.exactMatch.upper)); \(live.count) asked)"
      )
    }
    if labelling.missed > 0, let last = labelling.live.last {
      lines.append(
        "         of the uniform share \(labelling.missed) requests came when a day's budget was spent since version \(last.version) "
          + "was first asked: its figure is of the hours before; raise label.requests_per_day, or lower label.audit_share"
      )
    }
    for adoption in status.adoptions {
      lines.append(
        "         \(adoption.subscriber) \(adoption.status.rawValue) version \(adoption.version) since \(adoption.since)"
          + (adoption.reason.map { ": \($0)" } ?? ""))
    }
    lines += status.problems.map { "problem  " + $0 }
    return lines.joined(separator: "\n")
  }
}
