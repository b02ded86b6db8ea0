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
  /// The parent's sizes.
  public let before: PruningShape
  /// What pruning was asked for.
  public let plan: PruningPlan
  /// What pruning alone did, before recovery: nats of divergence from the parent for a target token; `nil` without samples and
  /// where no size changed.
  public let harm: Double?
  /// How matrices are stored.
  public let quantize: QuantizationPlan
  /// The tokenizer in the file: another than the parent's where tokens went.
  public let tokenizerDigest: Digest
  /// The recovery after pruning; `nil` where there was none.
  public let recovery: Recovery.Report?
  /// The steps with rounded weights; `nil` where there were none.
  public let quantizationAware: Recovery.Report?
  /// The error of each tensor, in canonical order; empty for a folder, whose weights are not rounded.
  public let tensors: [TensorError]
  /// The model's file, or the weights' file of a folder.
  public let model: WrittenFile
  /// The grammar's file; `nil` without functions, and for a folder.
  public let grammar: WrittenFile?

  /// The largest relative root mean square error of any tensor.
  public var worstRelativeRMS: Double { tensors.map(\.relativeRMS).max() ?? 0 }

  /// The report as JSON.
  public var json: JSON {
    var object = JSONObject()
    object["parameters_before"] = .integer(Int64(parametersBefore))
    object["parameters_after"] = .integer(Int64(parametersAfter))
    object["prune"] = .string(plan.text)
    object["axes"] = .object(axes)
    if let harm { object["divergence_after_pruning"] = .number(harm) }
    object["quantize"] = .string(quantize.text)
    object["bytes"] = .integer(Int64(model.bytes))
    object["sha256"] = .string(model.digest.hex)
    object["tokenizer_digest"] = .string(tokenizerDigest.hex)
    object["worst_relative_rms"] = .number(worstRelativeRMS)
    if let recovery { object["recovery"] = recovery.json }
    if let quantizationAware { object["quantization_aware"] = quantizationAware.json }
    if let grammar {
      object["grammar"] = ["bytes": .integer(Int64(grammar.bytes)), "sha256": .string(grammar.digest.hex)]
    }
    object["tensors"] = .array(tensors.map(\.json))
    return .object(object)
  }

  /// Before and after of each size.
  private var axes: JSONObject {
    let after = PruningShape(configuration)
    let sizes = [
      ("layers", before.layerCount, after.layerCount), ("hidden", before.hiddenSize, after.hiddenSize),
      ("kv", before.keyValueHeadCount, after.keyValueHeadCount), ("ffn", before.feedForwardSize, after.feedForwardSize),
      ("vocabulary", before.vocabularySize, after.vocabularySize),
    ]
    var object = JSONObject()
    for (name, before, after) in sizes {
      object[name] = ["before": .integer(Int64(before)), "after": .integer(Int64(after))]
    }
    return object
  }
}

extension Recovery.Report {
  /// The report as JSON.
  var json: JSON {
    [
      "steps": .integer(Int64(steps)), "first_loss": .number(firstLoss), "final_loss": .number(finalLoss),
      "final_divergence": .number(finalDivergence),
    ]
  }
}
