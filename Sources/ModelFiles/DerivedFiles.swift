import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

// Layout of a derived file: a heading that says what it is, padding to a multiple of 64 bytes, the contents, and the SHA-256 of all
// before it.

/// A folder of files that can be made again from others: each is made once and then mapped by every process that needs it, so
/// that all of them hold its bytes once.
///
/// A file is written beside its place and renamed. It is used only if it is a regular file of this user that nobody else may
/// write, begins with the right heading, and ends with its own digest; else it is made again. Processes make files one after
/// the other, under a lock on the folder that the system frees when a process dies. It deliberately does not keep a file that
/// is not in use: the newest few stay, and a file that is deleted lives on for those who have mapped it.
package struct DerivedFiles: Sendable {
  /// The folder; made when the first file is.
  package let folder: String
  /// How long who makes another file is waited for; the thread is blocked meanwhile.
  private let patience: Duration

  private static let ending = ".derived"
  /// How many files beside the one in use stay in the folder.
  private static let keptFiles = 2

  package init(folder: String, patience: Duration = .seconds(300)) {
    self.folder = folder
    self.patience = patience
  }

  /// The contents of a file, which is made first where it is missing or is not what it should be.
  ///
  /// - Parameters:
  ///   - name: what the file is called, without an ending.
  ///   - heading: its first bytes, which name what it was made from and in which layout.
  ///   - make: writes the contents.
  /// - Throws: ``ModelFileError`` `io` where the folder cannot be used, is full, or is locked for too long; what `make` throws.
  package func contents(
    _ name: String, heading: [UInt8], make: (AtomicFile) throws -> Void
  ) throws -> DerivedContents {
    let path = "\(folder)/\(name)\(Self.ending)"
    let heading = heading + [UInt8](repeating: 0, count: (64 - heading.count % 64) % 64)
    // Where a file system has no locks, two processes may make files at once; one whose beginning the other removes has an error.
    guard let hold = try FolderHold(.exclusive, on: folder, name: nil, patience: patience) else {
      throw ModelFileError(
        .io, context: folder, expected: "the folder's lock within \(patience.components.seconds) s",
        found: "another process that holds it",
        advice: "look for a process that uses this folder and is stopped, or waits for its disk")
    }
    defer { withExtendedLifetime(hold) {} }
    if let found = DerivedContents(path, heading: heading) {
      utimes(path, nil)
      return found
    }
    // Whatever stands in its place, a link of somebody else's for one.
    unlink(path)
    let file = try AtomicFile(path: path)
    try file.write(heading)
    try make(file)
    try file.write(file.digest().bytes)
    _ = try file.finish()
    retire(keeping: name + Self.ending)
    guard let made = DerivedContents(path, heading: heading) else {
      throw ModelFileError(
        .io, context: path, expected: "the file that was just written", found: "another one",
        advice: "check the folder's permissions, or use another state folder")
    }
    return made
  }

  /// Deletes all but the newest files, and what processes left that were killed while they wrote.
  private func retire(keeping own: String) {
    var others: [(name: String, time: Int)] = []
    for name in namesInFolder(folder) {
      var status = stat()
      guard name != own, lstat("\(folder)/\(name)", &status) == 0 else { continue }
      if name.hasSuffix(".partial") { unlink("\(folder)/\(name)") }
      if name.hasSuffix(Self.ending) { others.append((name, Int(status.st_mtim.tv_sec))) }
    }
    for other in others.sorted(by: { ($0.time, $0.name) > ($1.time, $1.name) }).dropFirst(Self.keptFiles) {
      unlink("\(folder)/\(other.name)")
    }
  }
}
