import Foundation
import MessageLog
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// The file `<log>-notify`, 32 bytes, little-endian:
//
//     8 bytes  "RETORTN1"
//     u64      the log's identity, a random number made with the log
//     u64      number of commits the log had when this was written
//     u64      reserved, 0
//
// It is rewritten after every commit. Processes that wait for records watch it (inotify); since it is written only after
// the commit is durable, a log with fewer commits than its beacon has lost some, which SQLite itself cannot notice when
// its write-ahead log was damaged. It is not needed: without it, waiting readers look twice a second.

/// Tells other processes of commits, and wakes this process's waiters when another one commits.
final class CommitBeacon: Sendable {
  /// How often waiters look without having been told, for a writer that died between commit and announcement.
  private static let fallbackMilliseconds: Int32 = 500
  /// The same where the system has no inotify.
  private static let pollMilliseconds: Int32 = 10
  private static let magic: UInt64 = 0x314E_5452_4F54_4552

  private let file: Int32
  private let wakePipe: (read: Int32, write: Int32)
  private let state = Mutex<(stopped: Bool, announced: UInt64)>((false, 0))
  let signal: ChangeSignal

  /// Opens or creates the beacon beside the log at `path`, and watches it.
  ///
  /// - Throws: `.readOnly`, `.full`, `.unavailable`.
  init(path: String, signal: ChangeSignal) throws(MessageLogError) {
    self.signal = signal
    let name = path + "-notify"
    file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw Self.problem(name, errno) }
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      let code = errno
      close(file)
      throw Self.problem(name, code)
    }
    wakePipe = (ends[0], ends[1])
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let thread = Thread { [file, wakePipe, signal] in
      Self.watch(name, file: file, stop: wakePipe.read, signal: signal)
      close(wakePipe.read)
    }
    thread.name = "retort-log-watch"
    thread.stackSize = 256 << 10
    thread.start()
  }

  deinit { stop() }

  /// Stops watching; closing twice is harmless.
  func stop() {
    let first = state.withLock { state in
      defer { state.stopped = true }
      return !state.stopped
    }
    if first { close(wakePipe.write) }
    signal.fire()
  }

  /// What the beacon says, nil where it says nothing about this log.
  func commits(identity: UInt64) -> UInt64? {
    var words: [UInt64] = [0, 0, 0, 0]
    guard pread(file, &words, 32, 0) == 32, UInt64(littleEndian: words[0]) == Self.magic,
      UInt64(littleEndian: words[1]) == identity
    else { return nil }
    return UInt64(littleEndian: words[2])
  }

  /// Announces a commit that is durable. A failure is of no consequence: waiters look again after half a second.
  func announce(identity: UInt64, commits: UInt64) {
    state.withLock { state in
      // Commits of one process may be announced out of order: the highest stays. Writing under the lock: once
      // stopped, the file handle may be somebody else's.
      guard commits > state.announced, !state.stopped else { return }
      state.announced = commits
      let words: [UInt64] = [Self.magic.littleEndian, identity.littleEndian, commits.littleEndian, 0]
      _ = words.withUnsafeBytes { pwrite(file, $0.baseAddress, 32, 0) }
    }
    signal.fire()
  }

  private static func problem(_ name: String, _ code: Int32) -> MessageLogError {
    let kind: MessageLogError.Code =
      switch code {
      case EACCES, EROFS, EPERM: .readOnly
      case ENOSPC, EDQUOT: .full
      default: .unavailable
      }
    return MessageLogError(
      kind, "the file \(name) cannot be opened", found: String(cString: strerror(code)),
      advice: "make the folder of the log writable, with free space and free file handles")
  }

  /// The body of the watching thread: ends when the other end of `stop` is closed.
  private static func watch(_ name: String, file: Int32, stop: Int32, signal: ChangeSignal) {
    #if os(Linux)
      let notify = inotify_init1(O_NONBLOCK | O_CLOEXEC)
      let watching = notify >= 0 && inotify_add_watch(notify, name, UInt32(IN_MODIFY)) >= 0
    #else
      let notify: Int32 = -1
      let watching = false
    #endif
    var seen = [UInt8](repeating: 0, count: 32)
    var events = [UInt8](repeating: 0, count: 4096)
    while true {
      var handles = [
        pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
        pollfd(fd: watching ? notify : -1, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&handles, 2, watching ? fallbackMilliseconds : pollMilliseconds)
      if handles[0].revents != 0 || (ready < 0 && errno != EINTR) { break }
      if watching {
        while read(notify, &events, events.count) > 0 {}
        signal.fire()
      } else {
        var now = [UInt8](repeating: 0, count: 32)
        _ = pread(file, &now, 32, 0)
        if now != seen { signal.fire() }
        seen = now
      }
    }
    if notify >= 0 { close(notify) }
    close(file)
  }
}
