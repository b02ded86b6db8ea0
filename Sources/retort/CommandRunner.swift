import ArgumentParser
import Foundation

/// Parses the arguments, runs the command, and turns what it throws into one sentence and an exit status.
enum CommandRunner {
  static func run(_ root: Retort.Type, arguments: [String]?) async -> Never {
    Output.occupyStandardHandles()
    do {
      try OpenFiles.raiseLimit()
      let arguments = arguments ?? Array(CommandLine.arguments.dropFirst())
      try refuseEmptyValues(arguments)
      var command = try root.parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      exit(0)
    } catch let code as ExitCode {
      exit(code.rawValue)
    } catch let error as ConfigurationError {
      Output.complain(error.description)
      exit(ExitStatus.usage.rawValue)
    } catch is CancellationError {
      Output.complain("stopped")
      exit(ExitStatus.failed.rawValue)
    } catch {
      // Help and version are such errors too; ArgumentParser's status of wrong usage is 64, ours is 2.
      let status = root.exitCode(for: error)
      if status == .success {
        print(root.fullMessage(for: error))
        exit(0)
      }
      if status == .validationFailure {
        Output.complain(usage(error, of: root))
        exit(ExitStatus.usage.rawValue)
      }
      Output.complain(String(describing: error))
      exit(ExitStatus.failed.rawValue)
    }
  }

  /// What is wrong with the arguments, and whose help says what may be given: ArgumentParser has several lines for that, of which the
  /// last is "See 'retort models gc --help' for more information."
  private static func usage(_ error: any Error, of root: Retort.Type) -> String {
    let lines = root.message(for: error).split(whereSeparator: \.isNewline)
    var problem = lines.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
      .replacing(". Did you mean", with: "; did you mean").replacing(". Please", with: "; please")
    if problem.hasSuffix(".") { problem.removeLast() }
    let last = root.fullMessage(for: error).split(whereSeparator: \.isNewline).last ?? ""
    let help = last.split(separator: "'").dropFirst().first ?? "retort --help"
    let advice = problem.hasSuffix("?") ? " See" : "; see"
    return "\(problem.prefix(1).lowercased())\(problem.dropFirst())\(advice) `\(help)`"
  }

  /// No option has a use for an empty value; as a folder it would be the root of the file system.
  private static func refuseEmptyValues(_ arguments: [String]) throws {
    for (option, value) in zip(arguments, arguments.dropFirst() + ["-"]) where option.hasPrefix("--") {
      guard value.isEmpty || option.hasSuffix("=") else { continue }
      throw ConfigurationError("\(option): expected a value, found an empty one; is a variable of the shell unset?")
    }
  }
}
