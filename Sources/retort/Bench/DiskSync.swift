import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the disk asks for a sync, which every acknowledged append waits for at least once.
enum DiskSync {
  /// The median time of appending a megabyte to a new file and syncing it, in milliseconds; nil where the file cannot be
  /// written.
  static func milliseconds(in folder: String, rounds: Int = 32) -> Double? {
    let path = folder + "/sync"
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { return nil }
    defer {
      close(file)
      unlink(path)
    }
    let bytes = [UInt8](repeating: 0x5A, count: 1 << 20)
    var times: [Double] = []
    for _ in 0..<max(1, rounds) {
      guard write(file, bytes, bytes.count) == bytes.count else { return nil }
      let began = ContinuousClock.now
      guard fsync(file) == 0 else { return nil }
      times.append((ContinuousClock.now - began) / .milliseconds(1))
    }
    return times.sorted()[times.count / 2]
  }
}
