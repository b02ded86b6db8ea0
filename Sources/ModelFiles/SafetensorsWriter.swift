import Topics

/// Writes tensors as one safetensors file: the same tensors give the same bytes, whatever their order.
///
/// The order in the file is that of the reference implementation (larger element types first, then by name), so that the
/// bytes equal those that Python's `safetensors` writes.
public struct SafetensorsWriter {
  private struct Entry {
    let name: String
    let type: ElementType
    let shape: [Int]
    let bytes: UnsafeRawBufferPointer
  }

  private var entries: [Entry] = []
  private var names: Set<String> = ["__metadata__"]

  /// Strings for `__metadata__`; none by default. Written in order of their keys.
  public var metadata: [String: String] = [:]

  /// A writer without tensors.
  public init() {}

  /// Adds a tensor of single-precision numbers, row-major; the memory must stay until the file is written.
  ///
  /// - Throws: ``ModelFileError`` `invalid_argument` where the count is not the shape's or the name is taken.
  public mutating func add(
    _ name: String, shape: [Int], _ values: UnsafeBufferPointer<Float>
  ) throws(ModelFileError) {
    try add(name, type: .f32, shape: shape, UnsafeRawBufferPointer(values))
  }

  /// Adds a tensor's little-endian bytes; the memory must stay until the file is written.
  ///
  /// - Throws: ``ModelFileError`` `invalid_argument` where the size is not the shape's, the type is not one of
  ///   safetensors, or the name is taken.
  public mutating func add(
    _ name: String, type: ElementType, shape: [Int], _ bytes: UnsafeRawBufferPointer
  ) throws(ModelFileError) {
    let size = elementCount(shape).flatMap { type.byteCount(elements: $0) }
    guard type.safetensorsName != nil, size == bytes.count, shape.count <= 8 else {
      throw ModelFileError(
        .invalidArgument, context: name, expected: "a plain type and \(size ?? 0) bytes for the shape \(shape)",
        found: "\(type.rawValue) and \(bytes.count) bytes", advice: "pass the whole tensor")
    }
    guard names.insert(name).inserted else {
      throw ModelFileError(
        .invalidArgument, context: name, expected: "a new name", found: "one that is taken",
        advice: "write each tensor once")
    }
    entries.append(Entry(name: name, type: type, shape: shape, bytes: bytes))
  }

  /// Writes the file, atomically and durably.
  ///
  /// - Throws: ``ModelFileError`` `io` or `not_found`.
  public func write(to path: String) throws(ModelFileError) -> WrittenFile {
    let ordered = entries.sorted { first, second in
      let (a, b) = (first.type.blockBytes, second.type.blockBytes)
      return a != b ? a > b : first.name.utf8.lexicographicallyPrecedes(second.name.utf8)
    }
    let file = try AtomicFile(path: path)
    let header = self.header(ordered)
    try file.write((0..<8).map { UInt8(truncatingIfNeeded: header.count >> ($0 * 8)) })
    try file.write(header)
    for entry in ordered { try file.write(entry.bytes) }
    return try file.finish()
  }

  private func header(_ ordered: [Entry]) -> [UInt8] {
    var object = JSONObject()
    if !metadata.isEmpty {
      var strings = JSONObject()
      for key in metadata.keys.sorted() { strings[key] = metadata[key].map(JSON.string) }
      object["__metadata__"] = .object(strings)
    }
    var offset = 0
    for entry in ordered {
      let end = offset + entry.bytes.count
      object[entry.name] = [
        "dtype": .string(entry.type.safetensorsName ?? ""),
        "shape": .array(entry.shape.map { .integer(Int64($0)) }),
        "data_offsets": [.integer(Int64(offset)), .integer(Int64(end))],
      ]
      offset = end
    }
    var bytes = JSON.object(object).bytes
    while bytes.count % 8 != 0 { bytes.append(UInt8(ascii: " ")) }
    return bytes
  }
}
