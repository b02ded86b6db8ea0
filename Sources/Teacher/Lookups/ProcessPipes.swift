#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The three pipes between this process and a child.
///
/// One owner: the thread that runs the child.
final class ProcessPipes {
  private(set) var childInput: Int32 = -1
  private(set) var childOutput: Int32 = -1
  private(set) var childErrors: Int32 = -1
  private(set) var input: Int32 = -1
  private(set) var output: Int32 = -1
  private(set) var errors: Int32 = -1

  /// Nil when the process has no file descriptors left.
  init?() {
    guard Self.open(&childInput, &input), Self.open(&output, &childOutput), Self.open(&errors, &childErrors) else {
      closeAll()
      return nil
    }
    for end in [input, output, errors] { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }
  }

  private static func open(_ readEnd: inout Int32, _ writeEnd: inout Int32) -> Bool {
    var ends: [Int32] = [-1, -1]
    // Between these two calls another thread may start a program that inherits the ends; `BoundedProcess`
    // closes what it does not need, so its own children never do.
    guard pipe(&ends) == 0 else { return false }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    readEnd = ends[0]
    writeEnd = ends[1]
    return true
  }

  func closeChildEnds() {
    Self.close(&childInput)
    Self.close(&childOutput)
    Self.close(&childErrors)
  }

  func closeInput() { Self.close(&input) }

  func closeAll() {
    closeChildEnds()
    Self.close(&input)
    Self.close(&output)
    Self.close(&errors)
  }

  private static func close(_ end: inout Int32) {
    guard end >= 0 else { return }
    #if canImport(Glibc)
      _ = Glibc.close(end)
    #elseif canImport(Musl)
      _ = Musl.close(end)
    #else
      _ = Darwin.close(end)
    #endif
    end = -1
  }
}
