import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A folder that belongs to one process as long as this object lives; the system frees it when the process dies.
public final class FolderLock: Sendable {
  /// The folder.
  public let path: String
  private let descriptor: Int32

  /// Takes a folder, which is made where it is not there.
  ///
  /// - Throws: ``ServingError`` `folder` where another process has it, or it cannot be written.
  public init(_ path: String) throws(ServingError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw ServingError(.folder, "\(path): the folder cannot be made; check permissions and free space.")
    }
    let opened = open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard opened >= 0 else {
      throw ServingError(.folder, "\(path)/lock: \(String(cString: strerror(errno))); check the folder's permissions.")
    }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      Foundation.close(opened)
      throw ServingError(.folder, "\(path): another process uses this folder; stop it, or use another one.")
    }
    self.path = path
    descriptor = opened
  }

  /// Takes the first free one of `path`, `path-2`, … `path-64`, so that several servers run beside each other.
  ///
  /// - Throws: ``ServingError`` `folder` where none is free, or they cannot be written.
  public static func first(of path: String) throws(ServingError) -> FolderLock {
    for number in 2...64 {
      do throws(ServingError) {
        return try FolderLock(number == 2 ? path : "\(path)-\(number - 1)")
      } catch {
        guard error.description.contains("another process uses") else { throw error }
      }
    }
    throw ServingError(.folder, "\(path): more than 60 processes serve from here; use another state folder.")
  }

  deinit { Foundation.close(descriptor) }
}
