extension JSON {
  /// Parses one JSON text (RFC 8259), strictly.
  ///
  /// - Parameters:
  ///   - bytes: UTF-8 without a byte-order mark.
  ///   - maximumDepth: How deep arrays and objects may nest, 1 to 512; default 64.
  ///   - maximumBytes: How many bytes are looked at before giving up; default 16 MiB.
  /// - Throws: `JSONError`: invalid syntax or UTF-8, duplicate keys, trailing bytes, numbers beyond a double, or a bound.
  public static func parse(
    _ bytes: some Sequence<UInt8>, maximumDepth: Int = 64, maximumBytes: Int = 16 << 20
  ) throws(JSONError) -> JSON {
    let attempt = bytes.withContiguousStorageIfAvailable {
      parse(buffer: $0, maximumDepth: maximumDepth, maximumBytes: maximumBytes)
    }
    if let attempt { return try attempt.get() }
    var copy: [UInt8] = []
    for byte in bytes {
      guard copy.count < maximumBytes else { throw Self.tooLarge(maximumBytes) }
      copy.append(byte)
    }
    let result = copy.withUnsafeBufferPointer {
      parse(buffer: $0, maximumDepth: maximumDepth, maximumBytes: maximumBytes)
    }
    return try result.get()
  }

  /// Parses one JSON text, strictly.
  ///
  /// - Throws: `JSONError` as for bytes.
  public static func parse(
    _ text: String, maximumDepth: Int = 64, maximumBytes: Int = 16 << 20
  ) throws(JSONError) -> JSON {
    try parse(text.utf8, maximumDepth: maximumDepth, maximumBytes: maximumBytes)
  }

  private static func tooLarge(_ maximum: Int) -> JSONError {
    JSONError(code: .tooLarge, offset: maximum, detail: "it is longer than the \(maximum) bytes allowed")
  }

  private static func parse(
    buffer: UnsafeBufferPointer<UInt8>, maximumDepth: Int, maximumBytes: Int
  ) -> Result<JSON, JSONError> {
    guard buffer.count <= maximumBytes else { return .failure(tooLarge(maximumBytes)) }
    var parser = JSONParser(buffer: buffer, maximumDepth: min(max(maximumDepth, 1), 512))
    do throws(JSONError) {
      return .success(try parser.document())
    } catch {
      return .failure(error)
    }
  }
}
