public import ModelFiles
public import Topics

/// What a compression made, and what it cost.
public struct CompressionReport: Sendable, Hashable {
  /// The parent's parameters.
  public let parametersBefore: Int
  /// The compressed student's parameters.
  public let parametersAfter: Int
  /// The sizes of the compressed student.
  public let configuration: DecoderConfiguration
  /// The feed-forward neurons of each layer of the parent.
  public let feedForwardBefore: Int
  /// How matrices are stored.
  public let weightType: CompressionPolicy.WeightType
  /// The recovery after pruning; `nil` where there was none.
  public let recovery: Recovery.Report?
  /// The error of each tensor, in canonical order.
  public let tensors: [TensorError]
  /// The model's file.
  public let model: WrittenFile
  /// The grammar's file; `nil` without functions.
  public let grammar: WrittenFile?

  /// The largest relative root mean square error of any tensor.
  public var worstRelativeRMS: Double { tensors.map(\.relativeRMS).max() ?? 0 }

  /// The report as JSON.
  public var json: JSON {
    var object = JSONObject()
    object["parameters_before"] = .integer(Int64(parametersBefore))
    object["parameters_after"] = .integer(Int64(parametersAfter))
    object["feed_forward_before"] = .integer(Int64(feedForwardBefore))
    object["feed_forward_after"] = .integer(Int64(configuration.feedForwardSize))
    object["quantize"] = .string(weightType.rawValue)
    object["bytes"] = .integer(Int64(model.bytes))
    object["sha256"] = .string(model.digest.hex)
    object["worst_relative_rms"] = .number(worstRelativeRMS)
    if let recovery {
      object["recovery"] = [
        "steps": .integer(Int64(recovery.steps)), "first_loss": .number(recovery.firstLoss),
        "final_loss": .number(recovery.finalLoss), "final_divergence": .number(recovery.finalDivergence),
      ]
    }
    if let grammar {
      object["grammar"] = ["bytes": .integer(Int64(grammar.bytes)), "sha256": .string(grammar.digest.hex)]
    }
    object["tensors"] = .array(tensors.map(\.json))
    return .object(object)
  }
}
