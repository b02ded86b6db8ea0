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

  /// Takes a hold on a folder, which is made where it is not there.
  ///
  /// - Parameters:
  ///   - name: what the hold is for; holds of different names have nothing to do with each other.
  ///   - patience: how long others are waited for; the thread is blocked meanwhile.
  /// - Returns: nil where others still hold it.
  /// - Throws: ``ModelFileError`` where the folder cannot be made or written.
  package init?(
    _ kind: Kind, on folder: String, name: String, patience: Duration = .zero
  ) throws(ModelFileError) {
    try AtomicFile.makeFolder(folder)
    let path = "\(folder)/\(name)"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw systemError("opening", path) }
    let deadline = ContinuousClock.now + patience
    while flock(descriptor, kind.operation | LOCK_NB) != 0 {
      if errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS { return }
      guard errno == EWOULDBLOCK || errno == EINTR, ContinuousClock.now < deadline else { return nil }
      // `flock` knows no time limit.
      usleep(10_000)
    }
  }

  deinit { close(descriptor) }
}
