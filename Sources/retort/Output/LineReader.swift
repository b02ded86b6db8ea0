import Foundation

/// The lines of a file or of standard input, read in pieces, each of bounded length.
final class LineReader: Sequence, IteratorProtocol {
  private let file: InputFile
  private let path: String
  private var buffer: [UInt8] = []
  private var start = 0
  private var scanned = 0
  private var isAtEnd = false
  private var count = 0
  private static let maximumLine = 64 << 20

  /// Why reading stopped early, if it did.
  private(set) var failure: String?

  /// - Throws: ``ConfigurationError`` where the file cannot be opened.
  init(path: String) throws {
    self.path = path
    file = try path == "-" ? .standardInput() : InputFile(path)
  }

  func next() -> [UInt8]? {
    let line = stretch()
    count += 1
    return count == 1 ? line.map(InputFile.withoutMark) : line
  }

  private func stretch() -> [UInt8]? {
    while true {
      if let end = buffer[scanned...].firstIndex(of: 0x0A) {
        let line = Array(buffer[start..<end])
        start = end + 1
        scanned = start
        return line
      }
      scanned = buffer.count
      if isAtEnd {
        guard start < buffer.count else { return nil }
        let line = Array(buffer[start...])
        start = buffer.count
        return line
      }
      guard fill() else { return nil }
    }
  }

  private func fill() -> Bool {
    if start > 0 {
      buffer.removeFirst(start)
      scanned -= start
      start = 0
    }
    guard buffer.count <= Self.maximumLine else {
      failure = "\(path), line \(count + 1): longer than \(Self.maximumLine) bytes; expected JSON Lines"
      return false
    }
    do {
      let piece = try file.next(atMost: 1 << 20)
      isAtEnd = piece.isEmpty
      buffer += piece
      return true
    } catch {
      failure = String(describing: error)
      return false
    }
  }
}
