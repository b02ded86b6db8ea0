// Layout of a GGUF file, version 3 (little-endian; string = u64 length, then UTF-8):
//   "GGUF", u32 version, u64 number of tensors, u64 number of metadata entries
//   per entry:   string key, u32 kind, value       (array: u32 kind of elements, u64 count, elements)
//   per tensor:  string name, u32 number of sizes (1…4), u64 each size, INNERMOST first, u32 element type, u64 offset
//   padding to `general.alignment` (32 unless said); here the data begins, and offsets count from here
//   per tensor:  its bytes, then padding to the alignment
// Version 2 has the same layout; version 1 (32-bit counts) and big-endian files are refused.

public import Topics

/// A GGUF file, mapped read-only, whose metadata and tensor table have been checked completely.
///
/// Tensor bytes are not looked at before they are asked for.
public final class GGUFFile: Sendable {
  /// The metadata by key.
  public let metadata: [String: GGUFValue]
  /// The metadata keys in the order of the file.
  public let keys: [String]
  /// The tensors in the order of the file's table.
  public let tensors: [TensorView]
  private let index: [String: Int]
  private let file: MappedFile

  /// The most metadata entries, and the most tensors, that are read.
  public static let maximumCount = 1 << 16
  /// The most elements that all arrays of the metadata have together.
  public static let maximumElements = 1 << 24

  /// Opens and checks the file at `path`.
  ///
  /// - Throws: ``ModelFileError`` `not_found`, `io`, `truncated`, `malformed`, `too_large`, `unsupported`.
  public convenience init(path: String) throws(ModelFileError) {
    try self.init(file: MappedFile(path: path))
  }

  /// Checks a file that is in memory; the bytes are copied.
  ///
  /// - Throws: ``ModelFileError`` as for a path.
  public convenience init(bytes: [UInt8], name: String = "GGUF bytes") throws(ModelFileError) {
    try self.init(file: MappedFile(copying: bytes, name: name))
  }

  private init(file: MappedFile) throws(ModelFileError) {
    var reader = GGUFReader(file: file)
    let counts = try reader.header()
    var metadata: [String: GGUFValue] = [:]
    var keys: [String] = []
    for _ in 0..<counts.entries {
      let key = try reader.string("a metadata key")
      let value = try reader.value(key)
      guard metadata.updateValue(value, forKey: key) == nil else { throw reader.malformed(key, "one value", "two") }
      keys.append(key)
    }
    let alignment = try reader.alignment(metadata["general.alignment"])
    var table: [GGUFReader.TensorEntry] = []
    for _ in 0..<counts.tensors { table.append(try reader.tensorEntry()) }
    self.tensors = try reader.tensors(table, alignment: alignment)
    self.metadata = metadata
    self.keys = keys
    self.file = file
    var index: [String: Int] = [:]
    for (position, tensor) in tensors.enumerated() {
      guard index.updateValue(position, forKey: tensor.name) == nil else {
        throw reader.malformed(tensor.name, "one tensor of this name", "two")
      }
    }
    self.index = index
  }

  /// The path the file was opened from, for messages.
  public var name: String { file.name }

  /// The size of the file in bytes.
  public var byteCount: Int { file.bytes.count }

  /// The SHA-256 of the whole file, which is read for it.
  public func digest() -> Digest { withExtendedLifetime(file) { Digest.sha256(file.bytes) } }

  /// Says that what was read of the file is not needed soon: it no longer counts as this process's memory.
  public func releasePages() { file.releasePages() }

  /// The tensor called `name`.
  ///
  /// - Throws: ``ModelFileError`` `missing`.
  public func tensor(_ name: String) throws(ModelFileError) -> TensorView {
    guard let position = index[name] else {
      throw ModelFileError(
        .missing, context: file.name, expected: "a tensor \(name)", found: "\(tensors.count) others",
        advice: "check that this is the right model")
    }
    return tensors[position]
  }

  /// Whether there is a tensor called `name`.
  public func contains(_ name: String) -> Bool { index[name] != nil }
}
