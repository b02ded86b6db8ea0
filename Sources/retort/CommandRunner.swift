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
      // ArgumentParser's own errors (usage, help, version) print themselves; its usage status is 64, ours is 2.
      let status = root.exitCode(for: error)
      if status == .success {
        print(root.fullMessage(for: error))
        exit(0)
      }
      if status == .validationFailure {
        Output.write(root.fullMessage(for: error) + "\n")
        exit(ExitStatus.usage.rawValue)
      }
      Output.complain(String(describing: error))
      exit(ExitStatus.failed.rawValue)
    }
  }

  /// No option has a use for an empty value; as a folder it would be the root of the file system.
  private static func refuseEmptyValues(_ arguments: [String]) throws {
    for (option, value) in zip(arguments, arguments.dropFirst() + ["-"]) where option.hasPrefix("--") {
      guard value.isEmpty || option.hasSuffix("=") else { continue }
      throw ConfigurationError("\(option): expected a value, found an empty one; is a variable of the shell unset?")
    }
  }
}
