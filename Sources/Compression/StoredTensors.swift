package import ModelFiles
package import StudentModel

/// Rounds a student's tensors one after the other, and measures what is lost.
package struct StoredTensors {
  let student: Student
  /// The format of a tensor.
  let elementType: (_ name: String, _ shape: [Int]) -> ElementType
  /// What the linear layers read, for compensated rounding and for errors of outputs; nil for neither.
  var grams: GramMatrices?
  /// How they are used.
  var rounding = Rounding.nearest

  /// What rounding makes of samples.
  package enum Rounding: Sendable {
    /// Nothing: each weight to the nearest, by scales that know the weights alone.
    case nearest
    /// Scales are chosen by what the layer reads, where their format leaves a choice.
    case weighted
    /// That, and errors are made up for; see ``ErrorCompensation``.
    case compensated
  }

  package init(
    student: Student, elementType: @escaping (_ name: String, _ shape: [Int]) -> ElementType,
    grams: GramMatrices? = nil, rounding: Rounding = .nearest
  ) {
    self.student = student
    self.elementType = elementType
    self.grams = grams
    self.rounding = rounding
  }

  /// One tensor as it is stored.
  package struct Stored {
    package let bytes: [UInt8]
    package let error: TensorError
  }

  /// A tensor's stored form, its rows in the order of a GGUF file.
  ///
  /// - Throws: ``CompressionError`` `diverged` for a weight that the format cannot hold.
  package func store(_ entry: ParameterLayout.Entry) throws -> Stored {
    guard let order = student.configuration.ggufRowOrder(entry.name) else {
      return try store(entry, UnsafeBufferPointer(student.parameters(entry)))
    }
    let (values, width) = (student.parameters(entry), entry.shape[1])
    let ordered = order.flatMap { row in values[(Int(row) * width)..<((Int(row) + 1) * width)] }
    return try ordered.withUnsafeBufferPointer { try store(entry, $0) }
  }

  private func store(_ entry: ParameterLayout.Entry, _ values: UnsafeBufferPointer<Float>) throws -> Stored {
    let type = elementType(entry.name, entry.shape)
    try Self.checkRange(entry.name, values, type)
    let gram = try LinearInput(parameter: entry.name, layerCount: student.configuration.layerCount)
      .flatMap { input in try grams.flatMap { try $0(input) } }
    // What is too large for a half-precision scale is refused by plain rounding in one sentence.
    if rounding == .compensated, let gram, ErrorCompensation.formats.contains(type),
      values.allSatisfy({ abs($0) < 65_504 }),
      let compensation = ErrorCompensation(gram: gram, width: entry.shape[1])
    {
      let bytes = compensation.round(values, rows: entry.shape[0], as: type)
      var sums = TensorError.Sums()
      var decoded = [Float](repeating: 0, count: entry.count)
      try decoded.withUnsafeMutableBufferPointer { target in
        try bytes.withUnsafeBytes { try Quantization.decode($0, as: type, into: target) }
        sums.add(values, UnsafeBufferPointer(target))
      }
      var error = sums.error(entry.name, type)
      error.outputError = Self.outputError(values, decoded, entry, gram)
      return Stored(bytes: bytes, error: error)
    }
    return try nearest(entry, values, type, gram)
  }

  private static func checkRange(
    _ name: String, _ values: UnsafeBufferPointer<Float>, _ type: ElementType
  ) throws(CompressionError) {
    // Half precision rounds what is above to infinity.
    let limit: Float = type == .f16 ? 65_519 : .greatestFiniteMagnitude
    guard let value = values.first(where: { !(abs($0) <= limit) }) else { return }
    throw CompressionError(
      .diverged, context: name, expected: value.isFinite ? "weights of at most 65,504 for F16" : "finite weights",
      found: "\(value)",
      advice: value.isFinite ? "choose f32 or bf16" : "the model has diverged; do not export it")
  }

  private func nearest(
    _ entry: ParameterLayout.Entry, _ values: UnsafeBufferPointer<Float>, _ type: ElementType, _ gram: [Float]?
  ) throws -> Stored {
    var sums = TensorError.Sums()
    var all: [Float] = []
    let importance = rounding == .nearest ? nil : gram.flatMap { Quantizer.importance(GramMatrices.diagonal($0)) }
    let bytes: [UInt8]
    do {
      bytes = try Quantizer.nearest(values, as: type, importance: importance) { start, decoded in
        sums.add(UnsafeBufferPointer(rebasing: values[start..<start + decoded.count]), decoded)
        if gram != nil { all += decoded }
      }
    } catch {
      throw CompressionError(
        .diverged, context: "\(entry.name), \(error.context)", expected: error.expected, found: error.found,
        advice: error.advice)
    }
    var error = sums.error(entry.name, type)
    error.outputError = gram.map { Self.outputError(values, all, entry, $0) }
    return Stored(bytes: bytes, error: error)
  }

  /// The error of each linear layer's outputs with weights rounded to the nearest, by name; empty without samples.
  package func nearestOutputErrors() throws -> [String: Double] {
    var errors: [String: Double] = [:]
    for entry in student.layout.entries {
      guard let input = LinearInput(parameter: entry.name, layerCount: student.configuration.layerCount),
        let gram = try grams.flatMap({ try $0(input) })
      else { continue }
      let values = UnsafeBufferPointer(student.parameters(entry))
      var rounded = Array(values)
      try rounded.withUnsafeMutableBufferPointer { try Quantizer.round($0, to: elementType(entry.name, entry.shape)) }
      errors[entry.name] = Self.outputError(values, rounded, entry, gram)
    }
    return errors
  }

  private static func outputError(
    _ values: UnsafeBufferPointer<Float>, _ stored: [Float], _ entry: ParameterLayout.Entry, _ gram: [Float]
  ) -> Double {
    let (rows, width) = (entry.shape[0], entry.shape[1])
    let differences = zip(values, stored).map { $0 - $1 }
    let outputs = GramMatrices.error(Array(values), rows: rows, width: width, gram: gram)
    guard outputs > 0 else { return 0 }
    return (GramMatrices.error(differences, rows: rows, width: width, gram: gram) / outputs).squareRoot()
  }
}
