import ArgumentParser
import DemoWorld
import Foundation
import Pipeline
import Topics

/// `retort demo`: the whole loop on this machine, no configuration, ends with a report.
struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "The whole loop on this machine, no configuration; ends with a report.")

  @Flag(name: .long, help: "The report as JSON on standard output.")
  var json = false

  @Option(
    name: .long, help: ArgumentHelp("Work here and keep everything; a temporary folder by default.", valueName: "dir"))
  var dir: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Traffic in portions that stays (steady) or changes half way (drift, new-function); prints the curve.",
      valueName: "name"))
  var scenario: String?

  @Option(name: .long, help: ArgumentHelp("Portions of 800 requests in a scenario; 6 by default.", valueName: "n"))
  var portions: Int?

  @Flag(name: .long, help: "Label selectively in a scenario, instead of everything.")
  var selective = false

  func validate() throws {
    guard scenario == nil, portions != nil || selective else { return }
    throw ValidationError("--portions and --selective: expected --scenario with them")
  }

  func run() async throws {
    let temporary = FileManager.default.temporaryDirectory.appendingPathComponent("retort-demo-\(UUID().uuidString)")
      .path
    let folder = dir ?? temporary
    if dir != nil, FileManager.default.fileExists(atPath: folder + "/retort.db") {
      throw ConfigurationError("\(folder): has a log already; name a new folder")
    }
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw ConfigurationError("\(folder): the folder cannot be made; check permissions and free space")
    }
    guard FileManager.default.isWritableFile(atPath: folder) else {
      throw ConfigurationError(
        "\(folder): expected a folder that may be written to; name another, or change its permissions")
    }
    defer { if dir == nil { try? FileManager.default.removeItem(atPath: folder) } }
    if let scenario {
      try await run(scenario, folder: folder)
      return
    }
    Output.note(
      "A home's voice assistant; the teacher is a stand-in on loopback, not an LLM. About three minutes on two cores.")
    let result = try await DemoRun(folder: folder, isQuiet: false).run()
    let report = DemoReport(result: result, folder: dir)
    if json { Output.print(report.json) } else { Output.print(report.text) }
    if !result.labelled.holds { throw ExitStatus.checkFailed }
  }

  private func run(_ name: String, folder: String) async throws {
    let portions = self.portions ?? 6
    guard let scenario = Scenario(rawValue: name), (1...100).contains(portions) else {
      throw ConfigurationError(
        "--scenario: expected one of \(Scenario.allCases.map(\.rawValue).joined(separator: ", ")) with 1 to 100 "
          + "--portions, found \(name) with \(portions)")
    }
    let points = try await ScenarioRun(
      folder: folder, scenario: scenario, isSelective: selective, portions: portions
    ).run()
    Output.print(
      JSON.object([
        "scenario": .string(name), "selective": .bool(selective), "points": .array(points.map(\.json)),
      ]))
  }
}
