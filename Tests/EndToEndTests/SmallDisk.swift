import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A disk that is soon full: a tmpfs, which only root may mount.
final class SmallDisk {
  /// Whether this machine lets the tests mount one.
  static let isAvailable: Bool = {
    guard geteuid() == 0, let folder = try? TemporaryFolder() else { return false }
    return (try? SmallDisk(kilobytes: 64, at: folder.path + "/disk")) != nil
  }()

  let path: String

  /// Makes the folder and mounts the disk there.
  init(kilobytes: Int, at path: String) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard Self.system("mount", "-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", path) else {
      throw RetortProcess.Failure("a tmpfs cannot be mounted")
    }
  }

  /// Gives it more room, with all that is on it.
  func resize(megabytes: Int) throws {
    guard Self.system("mount", "-o", "remount,size=\(megabytes)m", path) else {
      throw RetortProcess.Failure("the tmpfs cannot be resized")
    }
  }

  /// Takes all the room that is left, until `free` is called.
  func fill() throws {
    _ = FileManager.default.createFile(atPath: path + "/filling", contents: nil)
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path + "/filling"))
    while (try? file.write(contentsOf: Data(count: 4_096))) != nil {}
    try file.close()
  }

  func free() throws { try FileManager.default.removeItem(atPath: path + "/filling") }

  deinit { _ = Self.system("umount", "-l", path) }

  private static func system(_ arguments: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}
