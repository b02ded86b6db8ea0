/// Writes one GGUF file, version 3, alignment 32: the same metadata and tensors in the same order give the same bytes.
///
/// The layout stands at the top of `GGUFFile.swift`. Nothing is added: no date, no version of this program.
public struct GGUFWriter {
  private enum Source {
    case memory(UnsafeRawBufferPointer)
    case bytes([UInt8])
  }

  private struct Entry {
    let name: String
    let type: ElementType
    let shape: [Int]
    let source: Source
    let size: Int
  }

  private var metadata: [(key: String, value: GGUFValue)] = []
  private var keys: Set<String> = []
  private var entries: [Entry] = []
  private var names: Set<String> = []
  private static let alignment = 32

  /// A writer without metadata and tensors.
  public init() {}

  /// Adds a metadata value; values are written in the order in which they are added.
  ///
  /// - Throws: ``ModelFileError`` `invalid_argument` for a key that is empty, too long or taken, and for arrays whose
  ///   elements are not all of the stated kind.
  public mutating func set(_ key: String, _ value: GGUFValue) throws(ModelFileError) {
    var holds = (1...65535).contains(key.utf8.count) && keys.insert(key).inserted
    if case .array(let kind, let values) = value {
      holds = holds && kind != .array && values.allSatisfy { $0.kind == kind }
    }
    guard holds, key != "general.alignment" else {
      throw ModelFileError(
        .invalidArgument, context: "metadata \(key.prefix(120))", expected: "a new key and a value of one kind",
        found: "a key that is taken or reserved, or mixed kinds", advice: "set each key once")
    }
    metadata.append((key, value))
  }

  /// Adds a tensor whose memory must stay until the file is written.
  ///
  /// - Parameters:
  ///   - shape: row-major, outermost first, 1 to 4 sizes; rows of quantized types must fill whole blocks.
  ///   - bytes: the little-endian bytes.
  /// - Throws: ``ModelFileError`` `invalid_argument` where the size is not the shape's or the name is taken.
  public mutating func add(
    _ name: String, type: ElementType, shape: [Int], _ bytes: UnsafeRawBufferPointer
  ) throws(ModelFileError) {
    try add(name, type, shape, .memory(bytes), bytes.count)
  }

  /// Adds a tensor that the writer keeps.
  ///
  /// - Throws: ``ModelFileError`` as for memory.
  public mutating func add(
    _ name: String, type: ElementType, shape: [Int], _ bytes: [UInt8]
  ) throws(ModelFileError) {
    try add(name, type, shape, .bytes(bytes), bytes.count)
  }

  private mutating func add(
    _ name: String, _ type: ElementType, _ shape: [Int], _ source: Source, _ count: Int
  ) throws(ModelFileError) {
    let size = elementCount(shape).flatMap { type.byteCount(elements: $0) }
    guard type.ggufCode != nil, (1...4).contains(shape.count), let size, size == count,
      (shape.last ?? 1) % type.blockSize == 0, (1...63).contains(name.utf8.count)
    else {
      throw ModelFileError(
        .invalidArgument, context: "tensor \(name.prefix(120))",
        expected: "a name of at most 63 bytes, and \(size ?? 0) bytes for \(type.rawValue) \(shape) in whole blocks",
        found: "\(count) bytes", advice: "keep row lengths a multiple of \(type.blockSize)")
    }
    guard names.insert(name).inserted else {
      throw ModelFileError(
        .invalidArgument, context: "tensor \(name)", expected: "a new name", found: "one that is taken",
        advice: "write each tensor once")
    }
    entries.append(Entry(name: name, type: type, shape: shape, source: source, size: size))
  }

  /// The bytes that the file takes before its tensors, as it is now.
  public var metadataBytes: Int { Self.padded(encodedHeader().count) }

  /// Writes the file, atomically and durably.
  ///
  /// - Throws: ``ModelFileError`` `io` or `not_found`.
  public func write(to path: String) throws(ModelFileError) -> WrittenFile {
    let file = try AtomicFile(path: path)
    var header = encodedHeader()
    Self.pad(&header)
    try file.write(header)
    for entry in entries {
      switch entry.source {
      case .memory(let bytes): try file.write(bytes)
      case .bytes(let bytes): try file.write(bytes)
      }
      try file.write([UInt8](repeating: 0, count: Self.padded(entry.size) - entry.size))
    }
    return try file.finish()
  }

  private static func padded(_ size: Int) -> Int { (size + alignment - 1) / alignment * alignment }

  private static func pad(_ bytes: inout [UInt8]) {
    bytes.append(contentsOf: repeatElement(0, count: padded(bytes.count) - bytes.count))
  }

  private func encodedHeader() -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    Self.append(UInt32(3), to: &bytes)
    Self.append(UInt64(entries.count), to: &bytes)
    Self.append(UInt64(metadata.count), to: &bytes)
    for (key, value) in metadata {
      Self.append(key, to: &bytes)
      Self.append(value.kind.rawValue, to: &bytes)
      Self.append(value, to: &bytes)
    }
    var offset = 0
    for entry in entries {
      Self.append(entry.name, to: &bytes)
      Self.append(UInt32(entry.shape.count), to: &bytes)
      for size in entry.shape.reversed() { Self.append(UInt64(size), to: &bytes) }
      Self.append(entry.type.ggufCode ?? 0, to: &bytes)
      Self.append(UInt64(offset), to: &bytes)
      offset += Self.padded(entry.size)
    }
    return bytes
  }

  private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    append(UInt64(text.utf8.count), to: &bytes)
    bytes.append(contentsOf: text.utf8)
  }

  private static func append(_ value: GGUFValue, to bytes: inout [UInt8]) {
    switch value {
    case .uint8(let number): append(number, to: &bytes)
    case .int8(let number): append(number, to: &bytes)
    case .uint16(let number): append(number, to: &bytes)
    case .int16(let number): append(number, to: &bytes)
    case .uint32(let number): append(number, to: &bytes)
    case .int32(let number): append(number, to: &bytes)
    case .uint64(let number): append(number, to: &bytes)
    case .int64(let number): append(number, to: &bytes)
    case .float32(let number): append(number.bitPattern, to: &bytes)
    case .float64(let number): append(number.bitPattern, to: &bytes)
    case .bool(let flag): bytes.append(flag ? 1 : 0)
    case .string(let text): append(text, to: &bytes)
    case .array(let kind, let values):
      append(kind.rawValue, to: &bytes)
      append(UInt64(values.count), to: &bytes)
      for element in values { append(element, to: &bytes) }
    }
  }
}
