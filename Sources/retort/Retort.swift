import ArgumentParser

/// `retort`: the command line. Arguments, configuration, wiring; nothing else.
@main
struct Retort: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retort",
    abstract: "Distils the traffic of an expensive function-calling LLM into a tiny, measured, signed model.",
    discussion: """
      Start with `retort demo`: the whole loop on this machine, nothing configured. Then `retort init` in a folder of \
      your own. Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 a check did not hold.
      """,
    version: BuildVersion.text,
    subcommands: [
      DemoCommand.self, InitCommand.self, RunCommand.self, LabelCommand.self, TrainCommand.self, ReleaseCommand.self,
      ReplayCommand.self, BaseCommand.self, RequestsCommand.self, FeedbackCommand.self, TopicsCommand.self,
      ModelsCommand.self,
      SubscribeCommand.self, ServeCommand.self, PredictCommand.self, EvalCommand.self, CompressCommand.self,
      BenchCommand.self, JudgeCommand.self, DeadLettersCommand.self,
      AuditCommand.self, StatusCommand.self, DoctorCommand.self, ConfigCommand.self, KeysCommand.self,
    ])

  static func main() async {
    await CommandRunner.run(Retort.self, arguments: nil)
  }
}
