public import ModelFiles

extension Student {
  /// A student with the weights of a GGUF file, as single-precision numbers.
  ///
  /// - Throws: `ModelFileError` for a file that is no decoder of a known family; ``StudentError`` `configuration`.
  public convenience init(_ file: GGUFFile) throws {
    let configuration = try file.decoderConfiguration()
    try self.init(configuration: configuration) { entry, weights in
      let values = UnsafeMutableBufferPointer(start: weights, count: entry.count)
      try file.parameter(entry.name, shape: entry.shape).copyFloats(into: values)
      guard let order = configuration.ggufRowOrder(entry.name) else { return }
      let (stored, width) = (Array(values), entry.shape[1])
      for (index, row) in order.enumerated() {
        for column in 0..<width { values[Int(row) * width + column] = stored[index * width + column] }
      }
    }
  }
}
