import ArgumentParser

/// `retort feedback`: outcomes of answers by hand.
struct FeedbackCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "feedback", abstract: "Say what answers were worth, and which would have been right.",
    subcommands: [Import.self])

  /// `retort feedback import FILE|-`.
  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Append JSONL feedback: {\"request_id\", \"score\", \"call\"?, \"producer\"?, \"answer\"?} a line.",
      discussion: """
        The score is a number from 0 (wrong) to 1 (right), the call the one that would have been right. `retort label` or \
        `run` joins what producers of task.trusted_producers say into samples; what others say changes nothing.
        """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "A JSONL file, or - for standard input.")
    var file: String

    func run() async throws {
      try await LineImport(kind: .feedback, file: file, global: global).run()
    }
  }
}
