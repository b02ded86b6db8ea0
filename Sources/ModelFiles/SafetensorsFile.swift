// Layout of a safetensors file (little-endian):
//   8 bytes   N, the length of the header
//   N bytes   JSON object, starts with "{", may end in spaces: tensor name → {"dtype", "shape", "data_offsets": [begin, end]};
//             the key "__metadata__" holds an object of strings
//   the rest  the tensors' bytes, row-major; offsets count from here. Without gaps or overlaps, to the last byte.

import Topics

/// A safetensors file, mapped read-only, whose header has been checked completely.
///
/// Tensor bytes are not looked at before they are asked for.
public final class SafetensorsFile: Sendable {
  /// The strings of `__metadata__`; empty where there is none.
  public let metadata: [String: String]
  /// The tensors in the order of their bytes.
  public let tensors: [TensorView]
  private let index: [String: Int]
  private let file: MappedFile

  /// The longest header that is read, in bytes.
  public static let maximumHeaderBytes = 32 << 20

  /// Opens and checks the file at `path`.
  ///
  /// - Throws: ``ModelFileError`` `not_found`, `io`, `truncated`, `malformed`, `too_large`, `unsupported`.
  public convenience init(path: String) throws(ModelFileError) {
    try self.init(file: MappedFile(path: path))
  }

  /// Checks a file that is in memory; the bytes are copied.
  ///
  /// - Throws: ``ModelFileError`` as for a path.
  public convenience init(bytes: [UInt8], name: String = "safetensors bytes") throws(ModelFileError) {
    try self.init(file: MappedFile(copying: bytes, name: name))
  }

  private init(file: MappedFile) throws(ModelFileError) {
    self.file = file
    let header = try Self.header(of: file)
    let data = UnsafeRawBufferPointer(rebasing: file.bytes[header.end...])
    var metadata: [String: String] = [:]
    var tensors: [(begin: Int, view: TensorView)] = []
    for (name, value) in header.object {
      if name == "__metadata__" {
        metadata = try Self.metadata(value, file: file)
      } else {
        tensors.append(try Self.tensor(name, value, data: data, file: file))
      }
    }
    // Empty tensors share their begin with the next one: the end decides between them.
    tensors.sort {
      ($0.begin, $0.begin + $0.view.bytes.count, $0.view.name) < (
        $1.begin, $1.begin + $1.view.bytes.count, $1.view.name
      )
    }
    var end = 0
    for (begin, view) in tensors {
      guard begin == end else {
        throw Self.malformed(file, view.name, "to begin at byte \(end), where the one before ends", "\(begin)")
      }
      end += view.bytes.count
    }
    guard end == data.count else {
      throw Self.malformed(file, "the data", "\(end) bytes, as the header says", "\(data.count)")
    }
    self.metadata = metadata
    self.tensors = tensors.map(\.view)
    // Members of JSON are told apart by their bytes, keys here as Unicode has them.
    var index: [String: Int] = [:]
    for (position, tensor) in self.tensors.enumerated() {
      guard index.updateValue(position, forKey: tensor.name) == nil else {
        throw Self.malformed(file, tensor.name, "one tensor of this name", "two")
      }
    }
    self.index = index
  }

  /// The tensors' names, in the order of their bytes.
  public var names: [String] { tensors.map(\.name) }

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

  private static func header(of file: MappedFile) throws(ModelFileError) -> (object: JSONObject, end: Int) {
    let bytes = file.bytes
    guard bytes.count >= 8 else { throw truncated(file, "at least 8 bytes", bytes.count) }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(maximumHeaderBytes) else {
      throw ModelFileError(
        .tooLarge, context: file.name, expected: "a header of at most \(maximumHeaderBytes) bytes", found: "\(length)",
        advice: "check that this is a safetensors file")
    }
    let end = 8 + Int(length)
    guard end <= bytes.count else { throw truncated(file, "a header of \(length) bytes", bytes.count - 8) }
    guard length >= 2, bytes[8] == UInt8(ascii: "{") else {
      throw malformed(file, "the header", "a JSON object", "other bytes")
    }
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes[8..<end], maximumDepth: 8, maximumBytes: maximumHeaderBytes)
    } catch {
      throw malformed(file, "the header", "valid JSON", error.description)
    }
    guard let object = json.objectValue else { throw malformed(file, "the header", "a JSON object", json.typeName) }
    return (object, end)
  }

  private static func metadata(_ value: JSON, file: MappedFile) throws(ModelFileError) -> [String: String] {
    var metadata: [String: String] = [:]
    guard let object = value.objectValue else { throw malformed(file, "__metadata__", "an object", value.typeName) }
    for (key, entry) in object {
      guard let text = entry.stringValue else {
        throw malformed(file, "__metadata__.\(key)", "a string", entry.typeName)
      }
      metadata[key] = text
    }
    return metadata
  }

  private static func tensor(
    _ name: String, _ value: JSON, data: UnsafeRawBufferPointer, file: MappedFile
  ) throws(ModelFileError) -> (begin: Int, view: TensorView) {
    guard let object = value.objectValue, object.count == 3, let dtype = object["dtype"]?.stringValue,
      let sizes = object["shape"]?.arrayValue, let offsets = object["data_offsets"]?.arrayValue, offsets.count == 2
    else { throw malformed(file, name, "dtype, shape and data_offsets", "something else") }
    guard let type = ElementType(safetensorsName: dtype) else {
      throw ModelFileError(
        .unsupported, context: "\(file.name), \(name)", expected: "a plain element type such as F32 or BF16",
        found: dtype,
        advice: "convert the file to F32 or BF16")
    }
    let shape = sizes.compactMap { $0.integerValue.flatMap { Int(exactly: $0) } }
    guard shape.count == sizes.count, shape.count <= 8, let count = elementCount(shape),
      let size = type.byteCount(elements: count)
    else {
      throw malformed(file, name, "at most 8 sizes whose product does not overflow", value["shape"]?.text ?? "none")
    }
    guard let begin = offsets[0].integerValue, let end = offsets[1].integerValue, begin >= 0, begin <= end,
      end <= data.count
    else {
      throw malformed(file, name, "offsets within \(data.count) bytes of data", value["data_offsets"]?.text ?? "none")
    }
    guard Int(end - begin) == size else {
      throw malformed(file, name, "\(size) bytes, as type and shape ask for", "\(end - begin)")
    }
    let bytes = UnsafeRawBufferPointer(rebasing: data[Int(begin)..<Int(end)])
    return (Int(begin), TensorView(name: name, type: type, shape: shape, bytes: bytes, owner: file))
  }

  private static func malformed(
    _ file: MappedFile, _ part: String, _ expected: String, _ found: String
  ) -> ModelFileError {
    ModelFileError(
      .malformed, context: "\(file.name), \(part.prefix(120))", expected: expected, found: String(found.prefix(160)),
      advice: "fetch or write the file again")
  }

  private static func truncated(_ file: MappedFile, _ expected: String, _ found: Int) -> ModelFileError {
    ModelFileError(
      .truncated, context: file.name, expected: expected, found: "\(found)", advice: "fetch or write the file again")
  }
}
