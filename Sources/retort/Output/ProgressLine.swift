import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Progress of long work: one line rewritten on a terminal, nothing elsewhere.
final class ProgressLine {
  private let name: String
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var last = ContinuousClock.now - .seconds(1)

  init(_ name: String) {
    self.name = name
  }

  /// Shows where the work is, at most ten times a second.
  func show(_ text: String) {
    guard isTerminal, ContinuousClock.now - last > .milliseconds(100) else { return }
    last = .now
    Output.write("\r\u{1B}[K\(name): \(text)")
  }

  /// Clears the line.
  func end() {
    if isTerminal { Output.write("\r\u{1B}[K") }
  }
}
