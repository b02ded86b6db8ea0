/// Reads the parts of a GGUF file one after the other, checking every count and size before using it.
struct GGUFReader {
  struct TensorEntry {
    let name: String
    let type: ElementType
    let shape: [Int]
    let offset: UInt64
    let size: Int
  }

  private let file: MappedFile
  private var position = 0
  /// Elements of arrays so far: each takes some 30 bytes of memory, where the file may have one.
  private var elements = 0

  init(file: MappedFile) { self.file = file }

  private var remaining: Int { file.bytes.count - position }

  func malformed(_ part: String, _ expected: String, _ found: String) -> ModelFileError {
    ModelFileError(
      .malformed, context: "\(file.name), \(part.prefix(120))", expected: expected, found: String(found.prefix(160)),
      advice: "fetch or write the file again")
  }

  private func needs(_ bytes: Int, for part: String) throws(ModelFileError) {
    guard bytes <= remaining else {
      throw ModelFileError(
        .truncated, context: "\(file.name), \(part.prefix(120)) at byte \(position)", expected: "\(bytes) more bytes",
        found: "\(remaining)", advice: "fetch or write the file again")
    }
  }

  private mutating func number<T: FixedWidthInteger>(_ type: T.Type, _ part: String) throws(ModelFileError) -> T {
    try needs(MemoryLayout<T>.size, for: part)
    defer { position += MemoryLayout<T>.size }
    return T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  /// A count of things that take at least `minimum` bytes each, so that no count can ask for more memory than the file has.
  private mutating func count(_ part: String, minimum: Int) throws(ModelFileError) -> Int {
    let value = try number(UInt64.self, part)
    guard value <= UInt64(remaining / minimum) else {
      throw ModelFileError(
        .truncated, context: "\(file.name), \(part.prefix(120)) at byte \(position)",
        expected: "a count that fits into the remaining \(remaining) bytes", found: "\(value)",
        advice: "fetch or write the file again")
    }
    return Int(value)
  }

  mutating func header() throws(ModelFileError) -> (tensors: Int, entries: Int) {
    try needs(4, for: "the magic")
    guard file.bytes[0..<4].elementsEqual("GGUF".utf8) else { throw malformed("the magic", "\"GGUF\"", "other bytes") }
    position = 4
    let version = try number(UInt32.self, "the version")
    guard version == 3 || version == 2 else {
      throw ModelFileError(
        .unsupported, context: file.name, expected: "version 3 (or 2), little-endian", found: "version \(version)",
        advice: "convert the file with a current llama.cpp")
    }
    let tensors = try count("the number of tensors", minimum: 1)
    let entries = try count("the number of metadata entries", minimum: 1)
    guard tensors <= GGUFFile.maximumCount, entries <= GGUFFile.maximumCount else {
      throw ModelFileError(
        .tooLarge, context: file.name, expected: "at most \(GGUFFile.maximumCount) tensors and entries",
        found: "\(tensors) and \(entries)", advice: "check that this is a model file")
    }
    return (tensors, entries)
  }

  mutating func string(_ part: String) throws(ModelFileError) -> String {
    let length = try count(part, minimum: 1)
    let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[position..<(position + length)])
    guard let text = String(validating: bytes, as: UTF8.self) else { throw malformed(part, "UTF-8", "other bytes") }
    position += length
    return text
  }

  mutating func value(_ key: String) throws(ModelFileError) -> GGUFValue {
    let kind = try kind(key)
    guard kind == .array else { return try scalar(kind, key) }
    let element = try self.kind(key)
    guard element != .array else {
      throw ModelFileError(
        .unsupported, context: "\(file.name), \(key)", expected: "an array of plain values",
        found: "an array of arrays",
        advice: "remove this entry")
    }
    let count = try count(key, minimum: element.minimumBytes)
    elements += count
    guard elements <= GGUFFile.maximumElements else {
      throw ModelFileError(
        .tooLarge, context: "\(file.name), \(key.prefix(120))",
        expected: "at most \(GGUFFile.maximumElements) elements in all metadata", found: "\(elements)",
        advice: "check that this is a model file")
    }
    var values: [GGUFValue] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try scalar(element, key)) }
    return .array(element, values)
  }

  private mutating func kind(_ key: String) throws(ModelFileError) -> GGUFValue.Kind {
    let code = try number(UInt32.self, key)
    guard let kind = GGUFValue.Kind(rawValue: code) else { throw malformed(key, "a kind in 0…12", "\(code)") }
    return kind
  }

  private mutating func scalar(_ kind: GGUFValue.Kind, _ key: String) throws(ModelFileError) -> GGUFValue {
    switch kind {
    case .uint8: return .uint8(try number(UInt8.self, key))
    case .int8: return .int8(try number(Int8.self, key))
    case .uint16: return .uint16(try number(UInt16.self, key))
    case .int16: return .int16(try number(Int16.self, key))
    case .uint32: return .uint32(try number(UInt32.self, key))
    case .int32: return .int32(try number(Int32.self, key))
    case .uint64: return .uint64(try number(UInt64.self, key))
    case .int64: return .int64(try number(Int64.self, key))
    case .float32: return .float32(Float(bitPattern: try number(UInt32.self, key)))
    case .float64: return .float64(Double(bitPattern: try number(UInt64.self, key)))
    case .bool:
      let byte = try number(UInt8.self, key)
      guard byte <= 1 else { throw malformed(key, "a Boolean, 0 or 1", "\(byte)") }
      return .bool(byte == 1)
    case .string: return .string(try string(key))
    case .array: throw malformed(key, "a plain value", "an array")
    }
  }

  func alignment(_ value: GGUFValue?) throws(ModelFileError) -> Int {
    guard let value else { return 32 }
    guard let alignment = value.integer, (8...65536).contains(alignment), alignment & (alignment - 1) == 0 else {
      throw malformed("general.alignment", "a power of two in 8…65536", "\(value)")
    }
    return alignment
  }

  mutating func tensorEntry() throws(ModelFileError) -> TensorEntry {
    let name = try string("a tensor's name")
    let rank = try number(UInt32.self, name)
    guard (1...4).contains(rank) else { throw malformed(name, "1 to 4 sizes", "\(rank)") }
    var shape: [Int] = []
    for _ in 0..<rank {
      guard let size = Int(exactly: try number(UInt64.self, name)) else {
        throw malformed(name, "a size", "2^63 or more")
      }
      shape.insert(size, at: 0)
    }
    let code = try number(UInt32.self, name)
    guard let type = ElementType(ggufCode: code) else {
      throw ModelFileError(
        .unsupported, context: "\(file.name), \(name)", expected: "a known element type", found: "type \(code)",
        advice: "quantize the model to Q8_0, F16 or F32")
    }
    guard let count = elementCount(shape), let row = shape.last, row % type.blockSize == 0,
      let size = type.byteCount(elements: count)
    else { throw malformed(name, "sizes that fill whole \(type.rawValue) blocks and do not overflow", "\(shape)") }
    let offset = try number(UInt64.self, name)
    return TensorEntry(name: name, type: type, shape: shape, offset: offset, size: size)
  }

  mutating func tensors(_ table: [TensorEntry], alignment: Int) throws(ModelFileError) -> [TensorView] {
    guard !table.isEmpty else { return [] }
    let start = (position + alignment - 1) / alignment * alignment
    position = min(start, file.bytes.count)
    let data = UnsafeRawBufferPointer(rebasing: file.bytes[position...])
    var views: [TensorView] = []
    for entry in table {
      guard entry.offset % UInt64(alignment) == 0 else {
        throw malformed(entry.name, "an offset that is a multiple of \(alignment)", "\(entry.offset)")
      }
      guard entry.offset <= UInt64(data.count), entry.size <= data.count - Int(entry.offset) else {
        throw ModelFileError(
          .truncated, context: "\(file.name), \(entry.name)",
          expected: "\(entry.size) bytes from \(entry.offset)", found: "\(data.count) bytes of data",
          advice: "fetch or write the file again")
      }
      let bytes = UnsafeRawBufferPointer(rebasing: data[Int(entry.offset)..<(Int(entry.offset) + entry.size)])
      views.append(TensorView(name: entry.name, type: entry.type, shape: entry.shape, bytes: bytes, owner: file))
    }
    try checkOverlaps(table)
    return views
  }

  private func checkOverlaps(_ table: [TensorEntry]) throws(ModelFileError) {
    let ordered = table.filter { $0.size > 0 }.sorted { $0.offset < $1.offset }
    for (first, second) in zip(ordered, ordered.dropFirst()) where first.offset + UInt64(first.size) > second.offset {
      throw malformed(second.name, "to begin after \(first.name) ends", "an overlap")
    }
  }
}
