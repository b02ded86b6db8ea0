import ArgumentParser
import Foundation
import MessageLog
import Pipeline
import Topics

extension RequestsCommand {
  /// `retort requests forget ID`.
  struct Forget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Honour a deletion request: erase a request, its samples, dead letters and cached answers.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The request's id.")
    var id: String

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let report = try await Forgetting.forget(
        id: id, log: log, names: wiring.names, model: wiring.model, cachePath: wiring.teacherCache,
        now: Int64(Date().timeIntervalSince1970 * 1_000))
      try await log.close()
      if global.json { Output.print(report.json) } else { Output.print(Self.text(of: report, wiring)) }
      if report.waiting > 0 {
        Output.complain(
          "\(report.waiting) records of \(id) wait to be labelled; run `retort label --until-idle`, then forget it again"
        )
        throw ExitStatus.checkFailed
      }
    }

    private static func text(of report: ForgettingReport, _ wiring: Wiring) -> String {
      guard report.isKnown else { return "nothing is known of \(report.id)" }
      var lines = [
        "erased \(report.samples) samples and \(report.deadLetters) dead letters of \(report.id), and "
          + "\(report.cached) answers in \(wiring.teacherCache); other machines that label have caches of their own"
      ]
      if let removed = report.removed {
        lines.append("\(removed) records were removed from the log, those in \(wiring.names.requests) too")
      } else {
        let time = report.keptUntil.map { RFC3339.text(milliseconds: $0) }
        lines.append(
          "this log cannot remove single records: the sample goes when the log compacts; \(report.requests) records in "
            + "\(wiring.names.requests) and the dead letters are never used again, and stay until "
            + (time ?? "retention removes them"))
      }
      let names = report.models.map { "\($0.name)@\($0.version)" }.joined(separator: ", ")
      lines.append(
        names.isEmpty
          ? "no released model was trained on it"
          : "trained on it: \(names). Weights do not forget; `retort replay --as NAME` makes a model without it")
      if report.isInCheckpoints {
        lines.append("checkpoints in \(wiring.state) may hold it until training goes on and `retort models gc` has run")
      }
      return lines.joined(separator: "\n")
    }
  }
}
