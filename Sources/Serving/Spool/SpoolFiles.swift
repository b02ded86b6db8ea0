import Foundation
import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The files of a spool: segments `<number>.spool`, and `forwarded`, which says how far they are in the log.
///
/// `@unchecked Sendable`: used by one queue at a time, the spool's own.
final class SpoolFiles: @unchecked Sendable {
  /// A place in the spool: a segment and an offset in it.
  struct Place: Sendable, Hashable {
    var segment: Int
    var offset: Int
  }

  let folder: String
  /// The segment that is written to; there may be no file yet.
  private(set) var active: Int
  /// Bytes in it.
  private(set) var length = 0
  private var descriptor: Int32 = -1

  /// Opens a folder; what is in it stays as it is, and a new segment will be begun.
  init(folder: String) throws(ServingError) {
    self.folder = folder
    active = 1
    let known = try segments()
    // Above every number ever used: a note about a deleted segment must not fit a new one.
    active = max(known.last ?? 0, forwarded?.segment ?? 0) + 1
  }

  deinit { if descriptor >= 0 { Foundation.close(descriptor) } }

  /// The numbers of the segments on disk, in order.
  func segments() throws(ServingError) -> [Int] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder)
        .compactMap { $0.hasSuffix(".spool") ? Int($0.dropLast(6)) : nil }.filter { $0 > 0 && $0 < Int.max }.sorted()
    } catch {
      throw ServingError(.folder, "\(folder): the spool's folder cannot be read; check its permissions.")
    }
  }

  func path(_ segment: Int) -> String { "\(folder)/\(segment).spool" }

  /// Appends bytes to the active segment, durably; on an error the segment is as it was before.
  func append(_ bytes: [UInt8]) throws(ServingError) {
    if descriptor < 0 {
      descriptor = open(path(active), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      length = 0
      guard descriptor >= 0 else { throw problem("cannot be created") }
      syncFolder()
    }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, bytes.count - done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw undone("cannot be written")
      }
      done += count
    }
    guard fsync(descriptor) == 0 else { throw undone("cannot be made durable") }
    length += bytes.count
  }

  /// Takes back what an append that failed has written, which would be forwarded though it is counted as dropped.
  private func undone(_ what: String) -> ServingError {
    let error = problem(what)
    if ftruncate(descriptor, off_t(length)) == 0 { lseek(descriptor, off_t(length), SEEK_SET) }
    return error
  }

  /// Ends the active segment; the next append begins another.
  func roll() {
    guard descriptor >= 0 else { return }
    Foundation.close(descriptor)
    descriptor = -1
    active += 1
    length = 0
  }

  /// The bytes of a segment from an offset on; empty where there is no such segment.
  ///
  /// - Throws: ``ServingError`` `folder` where it is there and cannot be read now.
  func read(_ place: Place) throws(ServingError) -> [UInt8] {
    let path = path(place.segment)
    do {
      return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)).dropFirst(max(0, place.offset)))
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
      return []
    } catch {
      throw ServingError(
        .folder, "\(path): cannot be read (\(error)); check the disk and permissions, or move the file away.")
    }
  }

  func delete(_ segment: Int) { unlink(path(segment)) }

  /// How far the spool is in the log, as written last. Not synced: after a loss of power a little is forwarded twice.
  var forwarded: Place? {
    get {
      guard let data = FileManager.default.contents(atPath: folder + "/forwarded"), let json = try? JSON.parse(data),
        let segment = json["segment"]?.integerValue, let offset = json["offset"]?.integerValue, segment > 0, offset >= 0
      else { return nil }
      return Place(segment: Int(segment), offset: Int(offset))
    }
    set {
      guard let newValue else { return }
      let json: JSON = ["segment": .integer(Int64(newValue.segment)), "offset": .integer(Int64(newValue.offset))]
      let temporary = folder + "/.forwarded"
      guard FileManager.default.createFile(atPath: temporary, contents: Data(json.bytes)) else { return }
      rename(temporary, folder + "/forwarded")
    }
  }

  private func syncFolder() {
    let opened = open(folder, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return }
    fsync(opened)
    Foundation.close(opened)
  }

  private func problem(_ what: String) -> ServingError {
    ServingError(
      .folder, "\(path(active)): \(what) (\(String(cString: strerror(errno)))); check free space and permissions.")
  }
}
