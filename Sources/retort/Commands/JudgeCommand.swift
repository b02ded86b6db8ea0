import ArgumentParser
import Inference
import MessageLog
import Pipeline
import Teacher
import Topics

/// `retort judge`: the verifier's verdicts on what a student answers, as data.
struct JudgeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "judge",
    abstract: "Have the verifier judge a student's answers to training requests, for sample_judge: recorded.",
    discussion: "The verdicts are appended to the topic feedback; `retort label` or `run` joins them into samples.")

  @OptionGroup var global: GlobalOptions
  @OptionGroup var which: ModelOptions

  @Option(name: .long, help: ArgumentHelp("The newest so many training samples.", valueName: "n"))
  var limit = 512

  @Option(name: .long, help: ArgumentHelp("Answers to each request.", valueName: "n"))
  var samples = 8

  @Option(name: .long, help: ArgumentHelp("What logits are divided by before answers are drawn.", valueName: "t"))
  var temperature = 1.0

  @Option(name: .long, help: ArgumentHelp("Names the draws.", valueName: "n"))
  var seed: UInt64 = 0

  func validate() throws {
    guard (1...1_000_000).contains(limit) else {
      throw ValidationError("--limit: expected 1 to 1000000, found \(limit)")
    }
    guard (1...1_024).contains(samples) else {
      throw ValidationError("--samples: expected 1 to 1024, found \(samples)")
    }
    guard (0.05...10).contains(temperature) else {
      throw ValidationError("--temperature: expected 0.05 to 10, found \(temperature)")
    }
  }

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    let logger = Wiring.logger("retort")
    guard try wiring.task().verifier != nil else {
      throw ConfigurationError(
        "task.verifier: expected a command or a url that judges calls, found neither; set task.verifier.command")
    }
    guard wiring.configuration.flag("label.join_scores") else {
      throw ConfigurationError(
        "label.join_scores: expected true, or the verdicts would join no sample, found false; set it in retort.yaml")
    }
    let model = try await which.load(wiring)
    let teacher = try wiring.teacher(logger: logger)
    let log = try await wiring.openLog()
    let judging = AnswerJudging(
      log: log, names: wiring.names, teacher: teacher, draws: samples, temperature: temperature, seed: seed)
    let line = ProgressLine("judge")
    let report: AnswerJudging.Report
    do {
      report = try await judging.run(model, limit: limit) { line.show("\($0) of \($1) samples") }
    } catch {
      line.end()
      await teacher.shutdown()
      try? await log.close()
      throw error
    }
    line.end()
    await teacher.shutdown()
    try await log.close()
    show(report)
    guard report.answers == 0 || report.failed < report.answers else {
      Output.complain("the verifier failed on every answer\(report.failure.map { ": \($0)" } ?? "")")
      throw ExitStatus.failed
    }
  }

  private func show(_ report: AnswerJudging.Report) {
    guard global.json else {
      Output.print(
        "\(report.answers) answers to \(report.samples) samples judged: \(report.accepted) accepted, "
          + "\(report.refused) refused, \(report.failed) unknown, as the verifier failed on them")
      return
    }
    Output.print([
      "samples": .integer(Int64(report.samples)), "answers": .integer(Int64(report.answers)),
      "accepted": .integer(Int64(report.accepted)), "refused": .integer(Int64(report.refused)),
      "failed": .integer(Int64(report.failed)),
    ])
  }
}
