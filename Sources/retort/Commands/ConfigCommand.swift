import ArgumentParser
import Topics

/// `retort config`: looks after `retort.yaml`.
struct ConfigCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Look after retort.yaml.", subcommands: [Lint.self])

  /// `retort config lint`: everything that is wrong with the configuration.
  struct Lint: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Say everything that is wrong with the configuration.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
      let file = global.config ?? "retort.yaml"
      var problems = try Configuration.problems(in: file)
      if problems.isEmpty {
        let configuration = try global.configuration()
        problems = Wiring.problems(of: configuration) + Configuration.doubts()
      }
      if global.json {
        Output.print(["file": .string(file), "problems": .array(problems.map { .string($0) })])
      } else {
        for problem in problems { Output.print(problem) }
        if problems.isEmpty { Output.print("\(file): no problem found") }
      }
      if !problems.isEmpty { throw ExitStatus.usage }
    }
  }
}
