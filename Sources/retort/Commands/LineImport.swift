import Foundation
import Logging
import MessageLog
import Pipeline
import Synchronization
import Topics

/// Appending a JSONL file to a topic.
struct LineImport {
  /// What a line is.
  enum Kind: String {
    case requests
    case feedback = "feedback records"

    /// Why the file may be imported again.
    var again: String {
      switch self {
      case .requests: "requests that are in already are recognized"
      case .feedback: "what is said twice counts once"
      }
    }
  }

  let kind: Kind
  /// The file, or - for standard input.
  let file: String
  let global: GlobalOptions

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    let lines = try LineReader(path: file)
    let log = try await wiring.openLog()
    // A read of standard input may last for ever: there a signal ends the process at once.
    let report =
      file == "-"
      ? try await append(lines, to: log, names: wiring.names)
      : try await appendUnlessStopped(lines, to: log, names: wiring.names)
    try await log.close()
    for problem in report.problems { Output.complain(problem) }
    if global.json {
      Output.print(["imported": .integer(Int64(report.imported)), "refused": .integer(Int64(report.refused))])
    } else {
      Output.print("imported \(report.imported) \(kind.rawValue), refused \(report.refused) lines")
    }
    guard report.refused > 0 else { return }
    Output.complain(
      "\(report.refused) lines of \(file) are not \(kind.rawValue) and were left out; correct them and import the file "
        + "again: \(kind.again)")
    throw ExitStatus.failed
  }

  /// The same, with a signal as one of the ways to end early.
  private func appendUnlessStopped(
    _ lines: LineReader, to log: any MessageLog, names: TopicNames
  ) async throws -> RequestImport.Report {
    let found = Mutex<RequestImport.Report?>(nil)
    // The service alone reads the lines.
    nonisolated(unsafe) let own = lines
    let service = StageService(name: "import", isLast: true) { [self] in
      let report = try await append(own, to: log, names: names)
      found.withLock { $0 = report }
    }
    try await StageServices.run([service], logger: Wiring.logger("retort.import", level: .error))
    guard let report = found.withLock({ $0 }) else { throw CancellationError() }
    return report
  }

  /// Appends the lines; where that ends early, says how many are in.
  private func append(_ lines: LineReader, to log: any MessageLog, names: TopicNames) async throws
    -> RequestImport.Report
  {
    let bar = ProgressLine("import")
    var imported = 0
    func show(_ count: Int) {
      imported = count
      bar.show("\(count) \(kind.rawValue)")
    }
    do {
      let report =
        switch kind {
        case .requests: try await RequestImport.run(lines, name: file, log: log, names: names, progress: show)
        case .feedback: try await FeedbackImport.run(lines, name: file, log: log, names: names, progress: show)
        }
      bar.end()
      if let failure = lines.failure { throw ConfigurationError(failure) }
      return report
    } catch {
      bar.end()
      Output.complain(
        "the first \(imported) \(kind.rawValue) of \(file) are in the log; import it again when the cause is mended: "
          + kind.again)
      throw error
    }
  }
}
