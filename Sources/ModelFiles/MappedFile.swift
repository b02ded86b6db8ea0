#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The bytes of one file, mapped read-only into memory; or of a buffer, for files that came over the network.
///
/// Files are expected to be replaced by renaming, as everything here writes them. A file that another program shortens in
/// place while it is mapped makes the operating system stop the process (SIGBUS); no reader of mapped files can prevent it.
///
/// `@unchecked Sendable`: the memory is never written after `init` and is released only in `deinit`.
final class MappedFile: @unchecked Sendable {
  /// The whole contents; valid as long as this object lives.
  let bytes: UnsafeRawBufferPointer
  /// The path, or what the buffer is, for messages.
  let name: String
  private let isMapped: Bool

  /// Maps a file.
  ///
  /// - Parameter mustBePrivate: whether the file must be this user's, no link, and such that nobody else may write it.
  init(path: String, mustBePrivate: Bool = false) throws(ModelFileError) {
    // A pipe nobody writes to would be waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (mustBePrivate ? O_NOFOLLOW : 0))
    guard descriptor >= 0 else { throw systemError("open it", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw systemError("look at it", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw ModelFileError(
        .io, context: path, expected: "a regular file", found: "a folder or device", advice: "give the path of the file"
      )
    }
    guard !mustBePrivate || (status.st_uid == geteuid() && status.st_mode & 0o022 == 0) else {
      throw ModelFileError(
        .io, context: path, expected: "a file of this user that nobody else may write", found: "another one",
        advice: "delete it")
    }
    guard status.st_size > 0 else {
      throw ModelFileError(
        .truncated, context: path, expected: "a model file", found: "an empty file", advice: "fetch or write it again")
    }
    let size = Int(status.st_size)
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw systemError("map it into memory", path)
    }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
    name = path
    isMapped = true
  }

  init(copying source: [UInt8], name: String) throws(ModelFileError) {
    guard !source.isEmpty else {
      throw ModelFileError(
        .truncated, context: name, expected: "a model file", found: "no bytes", advice: "fetch or write it again")
    }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
    memory.copyBytes(from: source)
    bytes = UnsafeRawBufferPointer(memory)
    self.name = name
    isMapped = false
  }

  /// Lets go of the pages read so far: the system has them while it has room, and they are mapped again where they are read again.
  func releasePages() {
    if isMapped { madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count, Int32(MADV_DONTNEED)) }
  }

  deinit {
    if isMapped {
      munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    } else {
      bytes.deallocate()
    }
  }
}

/// The error for a failed system call, made from `errno`; to be called at once after the failure.
///
/// - Parameter action: what was to be done, such as "open it".
func systemError(_ action: String, _ path: String) -> ModelFileError {
  let number = errno
  let reason = String(cString: strerror(number))
  return ModelFileError(
    number == ENOENT ? .notFound : .io, context: path, expected: "to \(action)", found: reason,
    advice: number == ENOSPC ? "free some space and try again" : "check the path and its permissions")
}
