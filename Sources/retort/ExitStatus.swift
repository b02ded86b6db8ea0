import ArgumentParser

/// The exit statuses of every command.
enum ExitStatus {
  static let failed = ExitCode(1)
  static let usage = ExitCode(2)
  static let checkFailed = ExitCode(3)
}
