import ModelFiles

/// A folder that belongs to one process as long as this object lives; the system frees it when the process dies.
public final class FolderLock: Sendable {
  /// The folder.
  public let path: String
  private let hold: FolderHold
  /// Whether nobody else can have it too: not where the file system knows no locks, as some network's.
  public var isSure: Bool { hold.isSure }

  /// Takes a folder, which is made where it is not there; nil where another process has it.
  ///
  /// - Throws: ``ServingError`` `folder` where it cannot be written.
  private init?(free path: String) throws(ServingError) {
    do throws(ModelFileError) {
      guard let hold = try FolderHold(.exclusive, on: path, name: "lock") else { return nil }
      self.hold = hold
    } catch {
      throw ServingError(.folder, error.description)
    }
    self.path = path
  }

  /// Takes a folder, which is made where it is not there.
  ///
  /// - Throws: ``ServingError`` `folder` where another process has it, or it cannot be written.
  public static func only(_ path: String) throws(ServingError) -> FolderLock {
    if let lock = try FolderLock(free: path) { return lock }
    throw ServingError(.folder, "\(path): another process uses this folder; stop it, or use another one.")
  }

  /// Takes the first free one of `path`, `path-2`, … `path-64`, so that several servers run beside each other. Where the file system
  /// knows no locks that is `path` for each of them (``isSure``).
  ///
  /// - Throws: ``ServingError`` `folder` where none is free, or they cannot be written.
  public static func first(of path: String) throws(ServingError) -> FolderLock {
    for folder in folders(path) {
      if let lock = try FolderLock(free: folder) { return lock }
    }
    throw ServingError(.folder, "\(path): more than 60 processes serve from here; use another state folder.")
  }

  /// Takes all free ones of `path`, `path-2`, … `path-64` that are wanted; where the file system knows no locks none, as each may
  /// be that of a server that runs.
  static func free(of path: String, where isWanted: (String) -> Bool) -> [FolderLock] {
    folders(path).filter(isWanted).compactMap { try? FolderLock(free: $0) }.filter(\.isSure)
  }

  private static func folders(_ path: String) -> [String] { (1...64).map { $0 == 1 ? path : "\(path)-\($0)" } }
}
