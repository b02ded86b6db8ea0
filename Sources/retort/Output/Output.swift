import ArgumentParser
import Foundation
import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Results go to standard output, everything else to standard error.
enum Output {
  /// A result for a person.
  static func print(_ text: String) { result(Array((text + "\n").utf8)) }

  /// A result for a program: one line of JSON.
  static func print(_ json: JSON) { result(json.bytes + [0x0A]) }

  /// Anything that is not a result.
  static func note(_ text: String) {
    write(text + "\n")
  }

  /// An error, as one line.
  static func complain(_ text: String) {
    write("retort: \(text)\n")
  }

  /// Text to standard error; where that cannot be written, nobody listens, and work goes on.
  static func write(_ text: String) { _ = put(Array(text.utf8), STDERR_FILENO) }

  /// Standard handles that came closed are opened on nothing, before a file of ours gets their numbers; writing fails as before.
  static func occupyStandardHandles() {
    for handle in STDIN_FILENO...STDERR_FILENO where fcntl(handle, F_GETFD) < 0 { _ = open("/dev/null", O_RDONLY) }
  }

  /// What the command was run for: it has failed where that cannot be written.
  private static func result(_ bytes: [UInt8]) {
    guard let code = put(bytes, STDOUT_FILENO) else { return }
    complain("standard output cannot be written (\(String(cString: strerror(code)).lowercased())); send it elsewhere")
    exit(ExitStatus.failed.rawValue)
  }

  /// - Returns: the system's error where not all could be written.
  private static func put(_ bytes: [UInt8], _ handle: Int32) -> Int32? {
    bytes.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        let count = systemWrite(handle, bytes.baseAddress! + done, bytes.count - done)
        if count >= 0 {
          done += count
        } else if errno == EAGAIN {
          // Somebody made the terminal or pipe that is shared with us non-blocking.
          var ready = pollfd(fd: handle, events: Int16(POLLOUT), revents: 0)
          poll(&ready, 1, -1)
        } else if errno != EINTR {
          return errno
        }
      }
      return nil
    }
  }
}

/// The system call, whose name the methods above would hide.
private func systemWrite(_ handle: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int {
  write(handle, start, count)
}
