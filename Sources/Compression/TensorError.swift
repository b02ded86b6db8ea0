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
  /// The error of the layer's outputs on samples, root mean square relative to the outputs, with every weight rounded to
  /// the nearest; nil without samples, and for tensors that are no linear layer.
  public var outputErrorNearest: Double?
  /// The same as it is stored, after scaling and compensation.
  public var outputError: Double?

  /// The error as JSON.
  public var json: JSON {
    var object: JSONObject = [
      "tensor": .string(name), "type": .string(type.rawValue), "relative_rms": .number(relativeRMS),
      "maximum": .number(maximum),
    ]
    if let outputErrorNearest { object["output_error_nearest"] = .number(outputErrorNearest) }
    if let outputError { object["output_error"] = .number(outputError) }
    return .object(object)
  }

  /// Sums of differences, taken piece by piece.
  struct Sums {
    private var (errors, squares, largest) = (0.0, 0.0, 0.0)

    mutating func add(_ original: UnsafeBufferPointer<Float>, _ stored: UnsafeBufferPointer<Float>) {
      for index in stored.indices {
        let difference = Double(original[index]) - Double(stored[index])
        errors += difference * difference
        squares += Double(original[index]) * Double(original[index])
        largest = max(largest, abs(difference))
      }
    }

    func error(_ name: String, _ type: ElementType) -> TensorError {
      TensorError(
        name: name, type: type, relativeRMS: squares > 0 ? (errors / squares).squareRoot() : 0, maximum: largest)
    }
  }
}
