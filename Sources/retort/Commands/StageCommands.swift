import ArgumentParser
import Logging
import MessageLog
import Metrics
import Pipeline
import Serving
import Teacher
import Topics
import Training

/// The options of every command that runs stages.
struct StageOptions: ParsableArguments {
  @OptionGroup var global: GlobalOptions

  @Flag(name: .long, help: "End when everything in the log has gone through.")
  var untilIdle = false

  @Flag(name: .long, help: "The same as --until-idle.")
  var once = false

  @Option(name: .long, help: ArgumentHelp("Threads for training and inference; 0 is one a core.", valueName: "n"))
  var threads: Int?

  var mode: RunMode { untilIdle || once ? .untilIdle : .forever }

  /// Runs stages and prints what came of it.
  func run(_ choice: StageChoice, mayTrainAnew: Bool = false) async throws {
    let configuration = try global.configuration(threads.map { ["threads": String($0)] } ?? [:])
    let problems = Wiring.problems(of: configuration, running: choice)
    if let first = problems.first { throw ConfigurationError(first) }
    let wiring = Wiring(configuration)
    let logger = Wiring.logger("retort")
    let port = configuration.integer("metrics.port")
    guard port > 0 else { return try await run(choice, mayTrainAnew, wiring, logger) }
    let registry = PrometheusRegistry()
    for (name, help) in Self.help { registry.describe(name, help) }
    MetricsSystem.bootstrap(registry)
    let server = MetricsServer(
      host: configuration.text("metrics.host"), port: port, registry: registry, logger: logger)
    try await server.whileServing { try await run(choice, mayTrainAnew, wiring, logger) }
  }

  /// What stands above each metric of a stage.
  private static let help = [
    "retort_requests_total": "Requests that went through labelling, by outcome and reason.",
    "retort_samples_trained_total": "New samples that were trained on.",
    "retort_samples_logprobs_total": "Samples with the teacher's log-probabilities, by whose tokens these are of.",
    "retort_prequential_exact_match":
      "Share of a round's new samples that were answered rightly before training on them, but for those chosen out of interest.",
    "retort_releases_total": "Candidates, by the gate's verdict.",
    "retort_stage_lag_records": "Records from what a stage has finished to the end of what it reads.",
    "retort_kafka_send_queue_records": "Records that wait to be sent or acknowledged.",
    "retort_kafka_send_queue_bytes": "Bytes of those records.",
    "retort_kafka_fetch_queue_records": "Records that were fetched and wait to be read.",
    "retort_kafka_fetch_queue_bytes": "Bytes of those records.",
    "retort_kafka_lag_records": "Records from what a client has read to the end of a partition.",
    "retort_kafka_round_trip_seconds": "Time to a broker's answer, by quantile.",
    "retort_kafka_broker_errors_total": "Errors in talking to a broker, by kind.",
    "retort_kafka_rebalances_total": "Rebalances of the group.",
  ]

  private func run(_ choice: StageChoice, _ mayTrainAnew: Bool, _ wiring: Wiring, _ logger: Logger) async throws {
    let log = try await wiring.openLog()
    let teacher = choice.contains(.label) ? try wiring.teacher(logger: logger) : nil
    let report = RunReport()
    let endedByItself: Bool
    do {
      endedByItself = try await wiring.run(
        choice, mode: mode, log: log, teacher: teacher, mayTrainAnew: mayTrainAnew, logger: logger
      ) { report.take($0) }
    } catch {
      await teacher?.shutdown()
      try? await log.close()
      throw error
    }
    await teacher?.shutdown()
    try await log.close()
    report.end()
    if global.json { Output.print(report.json) } else { Output.print(report.text) }
    // Whoever waits for the end of all work must not take this for it.
    if mode == .untilIdle, !endedByItself { throw CancellationError() }
    // Of the whole pipeline a rejected candidate is an ordinary outcome; whoever asks for a release alone asks for the verdict.
    if choice == .release, mode == .untilIdle, report.releases.last?.isPromoted == false {
      throw ExitStatus.checkFailed
    }
  }
}

/// `retort run`: every stage in one process.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run the whole pipeline: label, train, release.")

  @OptionGroup var options: StageOptions

  func run() async throws { try await options.run(.all) }
}

/// `retort label`: stage 1 alone.
struct LabelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "label", abstract: "Label requests; nothing else.")

  @OptionGroup var options: StageOptions

  func run() async throws { try await options.run(.label) }
}

/// `retort train`: stage 2 alone.
struct TrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "train", abstract: "Train on samples; nothing else.")

  @OptionGroup var options: StageOptions

  @Flag(
    name: .long,
    help: """
      Start over from the first sample where the checkpoint is lost, or of another recipe or base than is configured now.
      """)
  var anew = false

  @Flag(name: .long, help: "Print the recipe with every default, and end.")
  var showRecipe = false

  func run() async throws {
    guard !showRecipe else {
      Output.print(try Wiring(try options.global.configuration()).recipe().json)
      return
    }
    try await options.run(.train, mayTrainAnew: anew)
  }
}

/// `retort release`: stage 3 alone.
struct ReleaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "release", abstract: "Compress, measure and release; nothing else.",
    discussion: "With --until-idle the exit status is 3 where the gate rejected the last candidate that was made.")

  @OptionGroup var options: StageOptions

  func run() async throws { try await options.run(.release) }
}
