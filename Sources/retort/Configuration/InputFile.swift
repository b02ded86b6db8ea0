import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file that a person has named, read from beginning to end; a pipe will do.
final class InputFile {
  private let path: String
  private let descriptor: Int32

  /// - Throws: ``ConfigurationError`` with the system's reason, and what to do.
  init(_ path: String, advice: String = InputFile.usualAdvice) throws {
    guard !path.isEmpty else { throw ConfigurationError("expected a file, found an empty name; \(advice)") }
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure(path, errno, advice) }
    var isFolder: ObjCBool = false
    guard !FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) || !isFolder.boolValue else {
      throw Self.failure(path, EISDIR, advice)
    }
  }

  private init(standardInput descriptor: Int32) {
    path = "standard input"
    self.descriptor = descriptor
  }

  static func standardInput() -> InputFile { InputFile(standardInput: dup(STDIN_FILENO)) }

  deinit { close(descriptor) }

  /// The next bytes, at most this many; none at the end.
  ///
  /// - Throws: ``ConfigurationError`` where the system cannot read them.
  func next(atMost limit: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: limit) { bytes, count in
      var result = read(descriptor, bytes.baseAddress, limit)
      while result < 0, errno == EINTR { result = read(descriptor, bytes.baseAddress, limit) }
      guard result >= 0 else { throw Self.failure(path, errno, Self.usualAdvice) }
      count = result
    }
  }

  /// All bytes of a file.
  ///
  /// - Parameters:
  ///   - limit: most bytes that make sense.
  ///   - advice: what to do where it cannot be read.
  /// - Throws: ``ConfigurationError``.
  static func bytes(_ path: String, limit: Int, advice: String = usualAdvice) throws -> [UInt8] {
    let file = try InputFile(path, advice: advice)
    var all: [UInt8] = []
    while case let piece = try file.next(atMost: 1 << 20), !piece.isEmpty {
      all += piece
      guard all.count <= limit else {
        throw ConfigurationError("\(path): expected at most \(limit) bytes, found more; \(usualAdvice)")
      }
    }
    return all
  }

  /// A secret: a small file, without the space around it.
  ///
  /// - Throws: ``ConfigurationError``.
  static func secret(_ path: String) throws -> String {
    String(decoding: try bytes(path, limit: 65_536), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Text without the byte order mark that some programs write before it.
  static func withoutMark(_ bytes: [UInt8]) -> [UInt8] {
    bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
  }

  static let usualAdvice = "check the path and its permissions"

  private static func failure(_ path: String, _ code: Int32, _ advice: String) -> ConfigurationError {
    ConfigurationError("\(path) cannot be read (\(String(cString: strerror(code)).lowercased())); \(advice)")
  }
}
