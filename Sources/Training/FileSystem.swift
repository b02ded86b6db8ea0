import ModelFiles
import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The few calls to the operating system that checkpoints need beyond writing one file.
enum FileSystem {
  /// Whether there is a file at `path`.
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Makes a folder, and those above it; each is durable in its parent.
  static func makeFolder(_ path: String) throws(TrainingError) {
    do throws(ModelFileError) { try AtomicFile.makeFolder(path) } catch { throw TrainingError(error) }
  }

  /// Gives a durable file its final name, durably.
  static func rename(_ old: String, to new: String) throws(TrainingError) {
    guard moveFile(old, new) == 0 else { throw failure("put it in its place", new) }
    do throws(ModelFileError) { try syncFolder(splitPath(new).folder) } catch { throw TrainingError(error) }
  }

  /// The SHA-256 and the size of a file.
  static func digest(of path: String) throws(TrainingError) -> (digest: Digest, bytes: Int) {
    var stream = Digest.Stream()
    var count = 0
    try read(path) { bytes in
      stream.update(bytes)
      count += bytes.count
    }
    return (stream.digest, count)
  }

  /// The bytes of a file.
  static func contents(of path: String) throws(TrainingError) -> [UInt8] {
    var result: [UInt8] = []
    try read(path) { result.append(contentsOf: $0) }
    return result
  }

  private static func read(_ path: String, _ body: (UnsafeRawBufferPointer) -> Void) throws(TrainingError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open it", path) }
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = readBytes(descriptor, buffer)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure("read it", path) }
      guard count > 0 else { return }
      body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }

  private static func failure(_ action: String, _ path: String) -> TrainingError {
    let number = errno
    return TrainingError(
      number == ENOENT ? .checkpointNotFound : .io, context: path, expected: "to \(action)",
      found: String(cString: strerror(number)),
      advice: number == ENOSPC ? "free some space and try again" : "check the path and its permissions")
  }
}

/// The system's `rename`, whose name the type above hides.
private func moveFile(_ old: String, _ new: String) -> Int32 { rename(old, new) }

/// The system's `read`, whose name the type above hides.
private func readBytes(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
  read(descriptor, buffer.baseAddress, buffer.count)
}
