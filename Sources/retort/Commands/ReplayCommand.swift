import ArgumentParser
import MessageLog
import Pipeline
import RetortClient
import Teacher
import Topics
import Training

/// `retort replay`: retrain from the log, beside the live model.
struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Retrain from the log under another name, and compare with the live model.",
    discussion: """
      The live model is not touched: checkpoints and the candidate go under NAME, and nothing is deployed. The same \
      range and recipe give the same bytes. Killed, the same command goes on where it was. With --relabel the requests \
      of the range are labelled again, by the teacher and functions of the configuration (override them with --set), \
      into topics of their own: all of them, whatever label.policy and label.requests_per_day say; answers that the \
      teacher's cache has cost nothing.
      """)

  @OptionGroup var global: GlobalOptions

  @Option(name: .long, help: ArgumentHelp("earliest, an offset, or a time (RFC 3339, or a day).", valueName: "bound"))
  var from = "earliest"

  @Option(name: .long, help: ArgumentHelp("latest, an offset, or a time; it is not included.", valueName: "bound"))
  var to = "latest"

  @Option(
    name: .long,
    help: ArgumentHelp("YAML or JSON in the form of train.recipe, in its place.", valueName: "file"))
  var recipe: String?

  @Option(name: .customLong("as"), help: ArgumentHelp("The name of the student and its candidate.", valueName: "name"))
  var name: String

  @Flag(name: .long, help: "Label the requests of the range again and train on these labels.")
  var relabel = false

  @Option(name: .long, help: ArgumentHelp("Threads for training and inference; 0 is one a core.", valueName: "n"))
  var threads: Int?

  func run() async throws {
    let configuration = try global.configuration(threads.map { ["threads": String($0)] } ?? [:])
    let stages: StageChoice = relabel ? .all : [.train, .release]
    if let first = Wiring.problems(of: configuration, running: stages).first { throw ConfigurationError(first) }
    let wiring = Wiring(configuration)
    try check(name, isNot: wiring.model)
    let bounds = (try Self.bound(from, "--from"), try Self.bound(to, "--to"))
    let recipe = try wiring.recipe(file: recipe)
    let log = try await wiring.openLog()
    let run = ReplayRun(wiring: wiring, log: log, name: name, recipe: recipe)
    let report = try await run.run(from: bounds.0, to: bounds.1, relabel: relabel)
    try await log.close()
    if global.json { Output.print(report.json) } else { Output.print(report.text) }
  }

  private func check(_ name: String, isNot live: String) throws {
    guard Setting.isName(name) else {
      throw ConfigurationError("--as \(name.prefix(80)): expected \(Setting.nameExpectation)")
    }
    guard name != live else {
      throw ConfigurationError("--as \(name): that is the live model's name; choose another")
    }
  }

  private static func bound(_ text: String, _ option: String) throws -> ReplayBound {
    guard let bound = ReplayBound(text) else {
      throw ConfigurationError(
        "\(option) \(text.prefix(80)): expected earliest, latest, an offset, a time such as 2026-11-24T08:00:00Z, or a day"
      )
    }
    return bound
  }
}
