/// One tensor inside an open file: its name, type, shape and bytes.
///
/// The view keeps the file's memory alive, so that it may outlive the file object that gave it.
///
/// `@unchecked Sendable`: the bytes are read-only memory held by an immutable owner.
public struct TensorView: @unchecked Sendable {
  /// The name, as the file has it.
  public let name: String
  /// How the elements are stored.
  public let type: ElementType
  /// The sizes, row-major, outermost first; empty for a scalar.
  public let shape: [Int]
  /// The stored bytes, exactly as many as type and shape ask for; not necessarily aligned.
  public let bytes: UnsafeRawBufferPointer
  private let owner: MappedFile

  init(name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer, owner: MappedFile) {
    self.name = name
    self.type = type
    self.shape = shape
    self.bytes = bytes
    self.owner = owner
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// The elements as numbers, row-major.
  ///
  /// - Throws: ``ModelFileError`` `unsupported` for types other than F64, F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K.
  public func floats() throws(ModelFileError) -> [Float] {
    let size = count
    var failure: ModelFileError?
    let values = [Float](unsafeUninitializedCapacity: size) { buffer, written in
      do throws(ModelFileError) {
        try copyFloats(into: UnsafeMutableBufferPointer(rebasing: buffer[0..<size]))
        written = size
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return values
  }

  /// Writes the elements as numbers, row-major, to a buffer of exactly ``count`` elements.
  ///
  /// - Throws: ``ModelFileError`` `invalid_argument` where the buffer's size differs; `unsupported` as ``floats()``.
  public func copyFloats(into target: UnsafeMutableBufferPointer<Float>) throws(ModelFileError) {
    guard target.count == count else {
      throw ModelFileError(
        .invalidArgument, context: name, expected: "a buffer of \(count) elements", found: "one of \(target.count)",
        advice: "allocate the buffer from the tensor's shape")
    }
    defer { withExtendedLifetime(owner) {} }
    if type == .f64 {
      for index in target.indices { target[index] = Float(Double(bitPattern: load(UInt64.self, index))) }
      return
    }
    do throws(ModelFileError) {
      try Quantization.decode(bytes, as: type, into: target)
    } catch {
      throw ModelFileError(
        error.code, context: name, expected: error.expected, found: error.found, advice: error.advice)
    }
  }

  private func load<T: FixedWidthInteger>(_ type: T.Type, _ index: Int) -> T {
    T(littleEndian: bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: T.self))
  }
}
