#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif
internal import Dispatch
internal import Synchronization

/// Runs a program with bounded time and output, without a shell.
///
/// The program gets a process group of its own, which is killed as a whole when time is up, when it writes too
/// much, when the task is cancelled, and when its leader has ended. It inherits the three standard streams, a
/// clean signal mask, and of the environment only what a program needs to start: no secrets.
///
/// Deliberately not here: pseudo-terminals, streaming, and a working folder of its own.
package struct BoundedProcess: Sendable {
  /// How the program ended.
  package enum Result: Sendable, Hashable {
    case exited(status: Int32, output: [UInt8], errors: String)
    case signalled(Int32, errors: String)
    case timedOut
    case outputTooLarge
    case cancelled
    case notStarted(String)
  }

  static let inheritedVariables = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ"]
  static let maximumErrorBytes = 4_096

  package let arguments: [String]
  package let timeout: Duration
  package let maximumOutputBytes: Int

  package init(arguments: [String], timeout: Duration, maximumOutputBytes: Int = 1 << 20) {
    self.arguments = arguments
    self.timeout = timeout
    self.maximumOutputBytes = maximumOutputBytes
  }

  #if canImport(Glibc)
    private typealias CloseFrom =
      @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
    /// `posix_spawn_file_actions_addclosefrom_np`, which glibc has since 2.34 but its Swift module does not show.
    private static let closeFrom: CloseFrom? = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np")
      .map { unsafeBitCast($0, to: CloseFrom.self) }
  #endif

  /// The absolute path of a program, found as a shell would find it, or nil.
  package static func find(_ program: String) -> String? {
    guard !program.isEmpty, !program.utf8.contains(0) else { return nil }
    if program.contains("/") { return isProgram(program) ? program : nil }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(program)" }.first(where: isProgram)
  }

  private static func isProgram(_ path: String) -> Bool {
    var information = stat()
    guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return false }
    return access(path, X_OK) == 0
  }

  /// Runs the program with `input` on its standard input, when one of the ``ProcessSlots`` is free; its time begins then.
  package func run(input: [UInt8]) async -> Result {
    await ProcessSlots.shared.run { await Task.isCancelled ? .cancelled : runNow(input: input) }
  }

  private func runNow(input: [UInt8]) async -> Result {
    let cancelled = CancellationFlag()
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        // A thread of its own: everything below blocks.
        DispatchQueue(label: "retort.process").async {
          continuation.resume(returning: self.runBlocking(input: input, cancelled: cancelled))
        }
      }
    } onCancel: {
      cancelled.set()
    }
  }

  private func runBlocking(input: [UInt8], cancelled: CancellationFlag) -> Result {
    guard let program = arguments.first.flatMap(Self.find) else {
      return .notStarted("no program \(arguments.first ?? "")")
    }
    guard let pipes = ProcessPipes() else { return .notStarted("no pipes: error \(errno)") }
    defer { pipes.closeAll() }
    var child: pid_t = 0
    let status = spawn(program, pipes, &child)
    guard status == 0 else { return .notStarted("error \(status)") }
    pipes.closeChildEnds()
    var session = ProcessSession(process: self, child: child, pipes: pipes, input: input)
    return session.run(cancelled: cancelled)
  }

  private func spawn(_ program: String, _ pipes: ProcessPipes, _ child: inout pid_t) -> Int32 {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
    #else
      var actions = posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_adddup2(&actions, pipes.childInput, 0)
    posix_spawn_file_actions_adddup2(&actions, pipes.childOutput, 1)
    posix_spawn_file_actions_adddup2(&actions, pipes.childErrors, 2)
    #if canImport(Glibc)
      // Files that another library opened without close-on-exec stay ours.
      _ = Self.closeFrom?(&actions, 3)
    #endif
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    posix_spawnattr_setflags(&attributes, Int16(flags))
    let environment = Self.inheritedVariables.compactMap { name in
      getenv(name).map { "\(name)=\(String(cString: $0))" }
    }
    return withCStrings(arguments) { argv in
      withCStrings(environment) { envp in posix_spawn(&child, program, &actions, &attributes, argv, envp) }
    }
  }

  private func withCStrings<R>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { buffer in
      // The array is never empty: it ends with nil.
      guard let base = buffer.baseAddress else { return body(UnsafeMutablePointer.allocate(capacity: 1)) }
      return body(base)
    }
  }
}

/// Set when the waiting task is cancelled.
final class CancellationFlag: Sendable {
  private let flag = Atomic(false)
  func set() { flag.store(true, ordering: .relaxed) }
  var isSet: Bool { flag.load(ordering: .relaxed) }
}
