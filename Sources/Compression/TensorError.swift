public import ModelFiles
public import Topics

/// What storing one tensor cost in accuracy.
public struct TensorError: Sendable, Hashable {
  /// The tensor's canonical name.
  public let name: String
  /// How it is stored.
  public let type: ElementType
  /// The root mean square of the errors over that of the values; 0 for a tensor of zeros.
  public let relativeRMS: Double
  /// The largest absolute error.
  public let maximum: Double

  init(name: String, type: ElementType, original: [Float], stored: [Float]) {
    var (errors, squares, largest) = (0.0, 0.0, 0.0)
    for (a, b) in zip(original, stored) {
      let difference = Double(a) - Double(b)
      errors += difference * difference
      squares += Double(a) * Double(a)
      largest = max(largest, abs(difference))
    }
    self.name = name
    self.type = type
    relativeRMS = squares > 0 ? (errors / squares).squareRoot() : 0
    maximum = largest
  }

  /// The error as JSON.
  public var json: JSON {
    [
      "tensor": .string(name), "type": .string(type.rawValue), "relative_rms": .number(relativeRMS),
      "maximum": .number(maximum),
    ]
  }
}
