#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A hold on a folder that lasts as long as this object; the system lets go of it when the process dies.
///
/// Several holds of one name may be shared, one may be exclusive. Where a network file system knows no locks everybody has
/// what they ask for.
package final class FolderHold: Sendable {
  /// Who else may hold the folder meanwhile.
  package enum Kind: Sendable {
    /// Others that share it.
    case shared
    /// Nobody.
    case exclusive

    fileprivate var operation: Int32 { self == .shared ? LOCK_SH : LOCK_EX }
  }

  private let descriptor: Int32
  /// Whether nobody else can have it too: not where the file system knows no locks.
  package let isSure: Bool

  /// Takes a hold on a folder, which is made where it is not there.
  ///
  /// - Parameters:
  ///   - name: what the hold is for, and the file that stands for it; holds of different names have nothing to do with each other.
  ///     nil: the folder as a whole, without a file in it.
  ///   - patience: how long others are waited for; the thread is blocked meanwhile.
  /// - Returns: nil where others still hold it.
  /// - Throws: ``ModelFileError`` where the folder cannot be made or written.
  package init?(
    _ kind: Kind, on folder: String, name: String?, patience: Duration = .zero
  ) throws(ModelFileError) {
    try AtomicFile.makeFolder(folder)
    let path = name.map { "\(folder)/\($0)" } ?? folder
    descriptor = open(path, name == nil ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw systemError("open it", path) }
    let deadline = ContinuousClock.now + patience
    while flock(descriptor, kind.operation | LOCK_NB) != 0 {
      let code = errno
      // EBADF: NFS locks for one alone only what is open for writing, which a folder never is.
      if code == ENOLCK || code == EOPNOTSUPP || code == ENOSYS || code == EBADF {
        isSure = false
        return
      }
      guard code == EWOULDBLOCK || code == EINTR, ContinuousClock.now < deadline else { return nil }
      // `flock` knows no time limit.
      usleep(10_000)
    }
    isSure = true
  }

  deinit { close(descriptor) }
}
