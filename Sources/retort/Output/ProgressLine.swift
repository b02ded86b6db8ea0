import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Progress of long work: one line rewritten on a terminal; elsewhere a line for each ten seconds, and so none of shorter work.
final class ProgressLine {
  private let name: String
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var last = ContinuousClock.now

  init(_ name: String) {
    self.name = name
    // On a terminal the first one is shown at once.
    if isTerminal { last -= .seconds(1) }
  }

  /// Shows where the work is, at most ten times a second on a terminal.
  func show(_ text: String) {
    guard ContinuousClock.now - last > (isTerminal ? .milliseconds(100) : .seconds(10)) else { return }
    last = .now
    Output.write(isTerminal ? "\r\u{1B}[K\(name): \(text)" : "\(name): \(text)\n")
  }

  /// Clears the line of a terminal.
  func end() {
    if isTerminal { Output.write("\r\u{1B}[K") }
  }
}
