import MessageLog
import Topics

/// The sets of functions that a task has had, by digest: their definitions stand in the ledger, in the account of the first
/// samples that name them.
///
/// A task may gain functions, and a function may get another description. None goes and no parameters change: samples are
/// labels for what they were, and the student's language is made of them.
struct TaskFunctions {
  /// The functions of the configuration.
  let configured: FunctionSet
  private let ledger: String
  private var known: [Digest: FunctionSet]

  /// - Parameter view: what the ledger has.
  init(_ configured: FunctionSet, in view: LedgerView, names: TopicNames) {
    self.configured = configured
    ledger = names.ledger
    known = view.functions
  }

  /// Reads what the ledger has.
  init(_ configured: FunctionSet, log: any MessageLog, names: TopicNames) async throws {
    self.init(configured, in: try await LedgerView(log: log, names: names), names: names)
  }

  /// The configured functions, where the ledger does not have them yet: whoever writes samples of them writes them along.
  var unwritten: FunctionSet? { known[configured.digest] == nil ? configured : nil }

  /// Says that the configured functions are in the ledger now.
  mutating func haveBeenWritten() { known[configured.digest] = configured }

  /// The functions that a digest names, if the configuration or the ledger, as it was when it was read, has them.
  subscript(digest: Digest) -> FunctionSet? { digest == configured.digest ? configured : known[digest] }

  /// What is wrong where samples or a checkpoint name functions that nobody has.
  func unknown(_ digest: Digest) -> PipelineError {
    PipelineError(
      .functions, "task.functions", expected: "the functions \(digest.hex), which samples here are of",
      found: "\(configured.digest.hex), and \(known.count) other sets in \(ledger)",
      advice: "label once with the functions as they were, so that the log has them, or start another deployment")
  }

  /// Checks that the configured functions are all that the task has had, or those and more.
  ///
  /// - Throws: ``PipelineError`` `functions`.
  func checkNoneIsMissing() throws(PipelineError) {
    for set in known.values.sorted(by: { $0.digest.hex < $1.digest.hex }) {
      guard let name = configured.missing(of: set).first else { continue }
      let found = configured[name] == nil ? "no such function" : "it with other parameters"
      throw PipelineError(
        .functions, "task.functions", expected: "\(name) as this deployment has had it", found: found,
        advice: "put it back (functions can be added, not removed or changed), add the new form under another name, "
          + "or start another deployment with another log.prefix")
    }
  }
}
