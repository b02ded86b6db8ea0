import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes one file so that its path never shows anything but the old or the complete new contents.
///
/// Bytes go to a hidden file in the same folder; ``finish()`` makes them durable (fsync), renames, and makes the renaming
/// durable (fsync of the folder). A process killed before that leaves at most the hidden `.NAME.….partial` file. Not for use
/// by several tasks at once.
public final class AtomicFile {
  private let path: String
  private let partial: String
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  private var stream = Digest.Stream()
  private var count = 0
  private static let bufferSize = 1 << 18

  /// Opens the hidden file beside `path`.
  ///
  /// - Throws: ``ModelFileError`` `io` or `not_found` where the folder cannot be written, or `path` is there and no regular
  ///   file: a device or a link would give way to one.
  public init(path: String) throws(ModelFileError) {
    self.path = path
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      throw ModelFileError(
        .io, context: path, expected: "a new or regular file", found: "a folder, device, pipe or link",
        advice: "give the path of a file")
    }
    let (folder, name) = splitPath(path)
    let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    partial = "\(folder)/.\(name).\(getpid())-\(suffix).partial"
    descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw systemError("create it", path) }
    buffer.reserveCapacity(Self.bufferSize)
  }

  /// Deletes what processes left behind that were killed while they wrote this file; for who alone writes it.
  package static func removeLeftovers(of path: String) {
    let (folder, name) = splitPath(path)
    for other in namesInFolder(folder) where other.hasPrefix(".\(name).") && other.hasSuffix(".partial") {
      unlink("\(folder)/\(other)")
    }
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(partial)
    }
  }

  /// The bytes written so far.
  public var position: Int { count }

  /// The digest of the bytes written so far.
  ///
  /// - Throws: ``ModelFileError`` `io`, a full disk for one.
  func digest() throws(ModelFileError) -> Digest {
    try flush()
    return stream.digest
  }

  /// Appends the bytes of `source`.
  ///
  /// - Throws: ``ModelFileError`` `io`, a full disk for one.
  public func write(_ source: UnsafeRawBufferPointer) throws(ModelFileError) {
    count += source.count
    if buffer.count + source.count <= Self.bufferSize {
      buffer.append(contentsOf: source)
      return
    }
    try flush()
    if source.count <= Self.bufferSize {
      buffer.append(contentsOf: source)
    } else {
      try put(source)
    }
  }

  /// Appends `bytes`.
  ///
  /// - Throws: ``ModelFileError`` `io`, a full disk for one.
  public func write(_ bytes: [UInt8]) throws(ModelFileError) {
    var failure: ModelFileError?
    bytes.withUnsafeBytes { source in
      do throws(ModelFileError) { try write(source) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Makes the file durable and gives it its name.
  ///
  /// - Throws: ``ModelFileError`` `io`; the path then still has its old contents, or the new ones where only its folder could not be
  ///   made durable.
  public func finish() throws(ModelFileError) -> WrittenFile {
    try flush()
    guard fsync(descriptor) == 0 else { throw systemError("write it to the disk", path) }
    guard rename(partial, path) == 0 else { throw systemError("put it in its place", path) }
    close(descriptor)
    descriptor = -1
    try syncFolder(splitPath(path).folder)
    return WrittenFile(path: path, bytes: count, digest: stream.digest)
  }

  private func flush() throws(ModelFileError) {
    guard !buffer.isEmpty else { return }
    var failure: ModelFileError?
    buffer.withUnsafeBytes { source in
      do throws(ModelFileError) { try put(source) } catch { failure = error }
    }
    if let failure { throw failure }
    buffer.removeAll(keepingCapacity: true)
  }

  private func put(_ source: UnsafeRawBufferPointer) throws(ModelFileError) {
    stream.update(source)
    var offset = 0
    while offset < source.count {
      let rest = UnsafeRawBufferPointer(rebasing: source[offset...])
      let done = systemWrite(descriptor, rest)
      if done < 0 {
        if errno == EINTR { continue }
        throw systemError("write it", path)
      }
      offset += done
    }
  }

  /// Makes a folder, and those above it, each durable in its parent; one that is there is fine.
  ///
  /// - Throws: ``ModelFileError`` `io`.
  public static func makeFolder(_ path: String) throws(ModelFileError) {
    guard !path.isEmpty, access(path, F_OK) != 0 else { return }
    let parent = splitPath(path).folder
    try makeFolder(parent)
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw systemError("make the folder", path) }
    try syncFolder(parent)
  }

  /// Writes a whole file at once.
  ///
  /// - Throws: ``ModelFileError`` `io` or `not_found`.
  public static func write(_ bytes: [UInt8], to path: String) throws(ModelFileError) -> WrittenFile {
    let file = try AtomicFile(path: path)
    try file.write(bytes)
    return try file.finish()
  }
}

/// The system call, whose name the methods above would hide.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, bytes.count)
}

/// The folder and the name of a path; the folder of a bare name is ".".
package func splitPath(_ path: String) -> (folder: String, name: String) {
  guard let slash = path.lastIndex(of: "/") else { return (".", path) }
  let folder = String(path[..<slash])
  return (folder.isEmpty ? "/" : folder, String(path[path.index(after: slash)...]))
}

/// The names of what is in a folder; none where it cannot be read.
func namesInFolder(_ path: String) -> [String] {
  guard let listing = opendir(path) else { return [] }
  defer { closedir(listing) }
  var names: [String] = []
  while let entry = readdir(listing) {
    names.append(
      withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      })
  }
  return names
}

/// Makes renamings and creations in a folder durable.
package func syncFolder(_ path: String) throws(ModelFileError) {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw systemError("open it", path) }
  defer { close(descriptor) }
  guard fsync(descriptor) == 0 else { throw systemError("write it to the disk", path) }
}
