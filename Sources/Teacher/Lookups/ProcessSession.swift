#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Feeds one running child, reads it, and ends it. Blocks its thread.
struct ProcessSession {
  private static let pollMilliseconds: Int32 = 20

  private let process: BoundedProcess
  private let child: pid_t
  private let pipes: ProcessPipes
  private let input: [UInt8]
  private var written = 0
  private var output: [UInt8] = []
  private var errors: [UInt8] = []
  private var outputOpen = true
  private var errorsOpen = true
  private var status: Int32?

  init(process: BoundedProcess, child: pid_t, pipes: ProcessPipes, input: [UInt8]) {
    self.process = process
    self.child = child
    self.pipes = pipes
    self.input = input
  }

  mutating func run(cancelled: CancellationFlag) -> BoundedProcess.Result {
    let previous = blockBrokenPipeSignal()
    defer { restore(previous) }
    let deadline = ContinuousClock.now + process.timeout
    var failure: BoundedProcess.Result?
    while failure == nil {
      if cancelled.isSet {
        failure = .cancelled
      } else if ContinuousClock.now >= deadline {
        failure = .timedOut
      } else if status != nil {
        drain()
        break
      } else {
        step()
      }
      if output.count > process.maximumOutputBytes { failure = .outputTooLarge }
    }
    end()
    if output.count > process.maximumOutputBytes { return .outputTooLarge }
    return failure ?? result()
  }

  /// Waits a little for any stream, moves what can be moved, and looks whether the child has ended.
  private mutating func step() {
    var watched: [pollfd] = []
    if pipes.input >= 0 { watched.append(pollfd(fd: pipes.input, events: Int16(POLLOUT), revents: 0)) }
    if outputOpen { watched.append(pollfd(fd: pipes.output, events: Int16(POLLIN), revents: 0)) }
    if errorsOpen { watched.append(pollfd(fd: pipes.errors, events: Int16(POLLIN), revents: 0)) }
    // With every stream closed this is a plain wait for the child's end.
    _ = poll(&watched, nfds_t(watched.count), watched.isEmpty ? 2 : Self.pollMilliseconds)
    feed()
    drain()
    reap(options: WNOHANG)
  }

  private mutating func feed() {
    guard pipes.input >= 0 else { return }
    while written < input.count {
      let count = input.withUnsafeBytes { bytes -> Int in
        write(pipes.input, bytes.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if count > 0 {
        written += count
      } else if errno == EAGAIN || errno == EINTR {
        return
      } else {
        break  // The program does not want to read: its right.
      }
    }
    pipes.closeInput()
  }

  private mutating func drain() {
    outputOpen = outputOpen && Self.read(pipes.output, into: &output, keep: process.maximumOutputBytes + 1)
    errorsOpen = errorsOpen && Self.read(pipes.errors, into: &errors, keep: BoundedProcess.maximumErrorBytes)
  }

  /// Reads what is there, keeping a bounded part; false at the end of the stream.
  private static func read(_ end: Int32, into bytes: inout [UInt8], keep: Int) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 16_384)
    // Bounded, so that a program that writes without pause cannot keep us from looking at the clock.
    for _ in 0..<64 {
      #if canImport(Glibc)
        let count = Glibc.read(end, &buffer, buffer.count)
      #elseif canImport(Musl)
        let count = Musl.read(end, &buffer, buffer.count)
      #else
        let count = Darwin.read(end, &buffer, buffer.count)
      #endif
      if count == 0 { return false }
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      if bytes.count < keep { bytes.append(contentsOf: buffer[0..<min(count, keep - bytes.count)]) }
      if bytes.count >= keep { return true }
    }
    return true
  }

  private mutating func reap(options: Int32) {
    guard status == nil else { return }
    var code: Int32 = 0
    if waitpid(child, &code, options) == child { status = code }
  }

  /// Kills what is left of the group and collects the child.
  private mutating func end() {
    kill(-child, SIGKILL)
    reap(options: 0)
  }

  private func result() -> BoundedProcess.Result {
    let words = String(decoding: errors, as: UTF8.self)
    let code = status ?? 0
    let signal = code & 0x7f
    return signal == 0
      ? .exited(status: (code >> 8) & 0xff, output: output, errors: words) : .signalled(signal, errors: words)
  }

  /// A program that does not read its input must not end this process.
  private func blockBrokenPipeSignal() -> sigset_t {
    var blocked = sigset_t()
    var previous = sigset_t()
    sigemptyset(&blocked)
    sigaddset(&blocked, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &blocked, &previous)
    return previous
  }

  private func restore(_ previous: sigset_t) {
    var blocked = sigset_t()
    sigemptyset(&blocked)
    sigaddset(&blocked, SIGPIPE)
    #if !canImport(Darwin)
      var zero = timespec()
      while sigtimedwait(&blocked, nil, &zero) == SIGPIPE {}
    #endif
    var mask = previous
    pthread_sigmask(SIG_SETMASK, &mask, nil)
  }
}
