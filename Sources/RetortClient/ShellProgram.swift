import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A command that `/bin/sh` runs, in a process group of its own.
///
/// Its end is that of the shell: what it leaves in the background is not waited for. Foundation's `Process` waits for all that
/// have inherited its socket.
struct ShellProgram: Sendable {
  let command: String
  /// Variables besides those of this process.
  let variables: [String: String]

  /// How often it is looked whether the shell has ended.
  private static let look = Duration.milliseconds(20)
  /// When it is first said that it still runs; from then on each time it has taken twice as long.
  private static let patience = Duration.seconds(60)
  /// How long it has to end when this task is cancelled.
  private static let grace = Duration.seconds(5)

  /// Runs it to its end; a cancellation passes SIGTERM on, and SIGKILL after five seconds.
  ///
  /// - Parameter stillRuns: called where it takes long.
  /// - Returns: what went wrong, to be read after a subject; nil where it ended with status 0.
  func run(stillRuns: (Duration) -> Void) async -> String? {
    let process: pid_t
    switch start() {
    case .success(let started): process = started
    case .failure(let error): return "did not start: \(String(cString: strerror(error.number)))"
    }
    let began = ContinuousClock.now
    var (next, deadline) = (Self.patience, ContinuousClock.Instant?.none)
    while true {
      var status: Int32 = 0
      let ended = waitpid(process, &status, WNOHANG)
      if ended == process { return Self.failure(status) }
      if ended < 0, errno != EINTR { return "was lost: \(String(cString: strerror(errno)))" }
      if ContinuousClock.now - began > next {
        stillRuns(ContinuousClock.now - began)
        next *= 2
      }
      if Task.isCancelled {
        if deadline == nil {
          deadline = .now + Self.grace
          kill(-process, SIGTERM)
        } else if let deadline, ContinuousClock.now > deadline {
          kill(-process, SIGKILL)
        }
        // A cancelled task does not sleep.
        await Task.detached { try? await Task.sleep(for: Self.look) }.value
      } else {
        try? await Task.sleep(for: Self.look)
      }
    }
  }

  private struct SystemError: Error {
    let number: Int32
  }

  private func start() -> Result<pid_t, SystemError> {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    // What this process ignores or handles the program does not know of.
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    let environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }.map { "\($0.key)=\($0.value)" }
    let (arguments, pairs) = (Self.copies(of: ["/bin/sh", "-c", command]), Self.copies(of: environment))
    defer { (arguments + pairs).forEach { free($0) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, "/bin/sh", &actions, &attributes, arguments + [nil], pairs + [nil])
    return code == 0 ? .success(process) : .failure(SystemError(number: code))
  }

  private static func copies(of texts: [String]) -> [UnsafeMutablePointer<CChar>?] { texts.map { strdup($0) } }

  /// What a status of `waitpid` says; nil for an end with 0.
  private static func failure(_ status: Int32) -> String? {
    if status & 0x7F != 0 { return "was ended by signal \(status & 0x7F)" }
    let code = status >> 8 & 0xFF
    return code == 0 ? nil : "ended with status \(code)"
  }
}
