import ModelFiles
package import StudentModel

/// Takes whole parts out of a student, along every axis at once, so that any Qwen2 runtime runs the result.
package enum Pruner {
  /// A smaller student: the most important blocks, heads, neurons and channels, in their order.
  ///
  /// Where channels go, each norm's weights are scaled by the root of the mean square that stays per channel, so that what
  /// stays of its output keeps its size; channels that are always zero go without any change.
  ///
  /// - Parameters:
  ///   - shape: What it becomes.
  ///   - importance: Of this student's parts.
  ///   - rows: The rows of the embedding that stay, ascending, as many as the shape says; `nil` for all or the first.
  /// - Throws: ``CompressionError`` `mismatch` for a shape that is not possible.
  package static func prune(
    _ student: Student, to shape: PruningShape, importance: Importance, rows: [Int32]? = nil
  ) throws -> Student {
    let configuration = try shape.configuration(prunedFrom: student.configuration)
    let plan = Selection(student.configuration, configuration, importance, rows)
    let pruned = try Student(configuration: configuration, precision: student.precision) { entry, into in
      guard let source = plan.source(of: entry.name, in: student.layout) else { return }
      copy(student.parameters(source.entry), source, entry.shape, into)
    }
    pruned.recomputesActivations = student.recomputesActivations
    return pruned
  }

  private static func copy(
    _ from: UnsafeMutableBufferPointer<Float>, _ source: Selection.Source, _ shape: [Int],
    _ into: UnsafeMutablePointer<Float>
  ) {
    let width = source.entry.shape.count == 2 ? source.entry.shape[1] : 1
    let columns = shape.count == 2 ? shape[1] : 1
    for row in 0..<shape[0] {
      let start = (source.rows.map { $0[row] } ?? row) * width
      if let kept = source.columns {
        for column in 0..<columns { into[row * columns + column] = from[start + kept[column]] }
      } else {
        for column in 0..<columns { into[row * columns + column] = from[start + column] * source.scale }
      }
    }
  }
}

/// What stays of each tensor.
private struct Selection {
  /// A tensor of the parent, and which of its rows and columns stay; nil for all.
  struct Source {
    let entry: ParameterLayout.Entry
    let rows: [Int]?
    let columns: [Int]?
    var scale: Float = 1
  }

  private let layers: [Int]
  private let channels: [Int]?
  private let neurons: [[Int]?]
  /// By kept block: the rows of q and the columns of o; the rows of k and v.
  private let queries: [[Int]?]
  private let keys: [[Int]?]
  private let vocabulary: [Int]?
  private let scales: [Float]

  init(
    _ before: DecoderConfiguration, _ after: DecoderConfiguration, _ importance: Importance, _ rows: [Int32]?
  ) {
    layers = Importance.largest(after.layerCount, importance.blocks)
    let kept = Importance.largest(after.hiddenSize, importance.channels)
    channels = after.hiddenSize < before.hiddenSize ? kept : nil
    neurons = layers.map {
      after.feedForwardSize < before.feedForwardSize
        ? Importance.largest(after.feedForwardSize, importance.neurons[$0]) : nil
    }
    let heads = layers.map { Self.heads(before, after, importance.heads[$0]) }
    queries = heads.map { $0.map { Self.spread($0.queries, before.headSize) } }
    keys = heads.map { $0.map { Self.spread($0.groups, before.headSize) } }
    vocabulary = rows.map { $0.map(Int.init) }
    scales = importance.energies.map { shares in
      let stays = kept.reduce(0) { $0 + shares[$1] }
      return after.hiddenSize < before.hiddenSize
        ? Float((stays * Double(before.hiddenSize) / Double(after.hiddenSize)).squareRoot()) : 1
    }
  }

  /// The groups that stay and their query heads that stay; nil for all.
  private static func heads(
    _ before: DecoderConfiguration, _ after: DecoderConfiguration, _ importance: [Double]
  ) -> (groups: [Int], queries: [Int])? {
    guard after.headCount < before.headCount else { return nil }
    let size = before.headCount / before.keyValueHeadCount
    let stay = after.headCount / after.keyValueHeadCount
    // A group is worth what its heads that would stay are worth.
    let best = (0..<before.keyValueHeadCount).map { group in
      Importance.largest(stay, Array(importance[group * size..<(group + 1) * size])).map { group * size + $0 }
    }
    let groups = Importance.largest(
      after.keyValueHeadCount, best.map { $0.reduce(0) { $0 + importance[$1] } })
    return (groups, groups.flatMap { best[$0] })
  }

  private static func spread(_ heads: [Int], _ size: Int) -> [Int] {
    heads.flatMap { $0 * size..<($0 + 1) * size }
  }

  /// Where a tensor of the pruned student comes from.
  func source(of name: String, in layout: ParameterLayout) -> Source? {
    switch name {
    case "model.embed_tokens.weight", "lm_head.weight":
      return layout[name].map { Source(entry: $0, rows: vocabulary, columns: channels) }
    case "model.norm.weight":
      return layout[name].map { Source(entry: $0, rows: channels, columns: nil, scale: scales[scales.count - 1]) }
    default: break
    }
    let parts = name.split(separator: ".", maxSplits: 3)
    guard parts.count == 4, let layer = Int(parts[2]), layers.indices.contains(layer),
      let entry = layout["model.layers.\(layers[layer]).\(parts[3])"]
    else { return nil }
    return source(entry, part: String(parts[3]), layer: layer)
  }

  private func source(_ entry: ParameterLayout.Entry, part: String, layer: Int) -> Source? {
    switch part {
    case "input_layernorm.weight":
      Source(entry: entry, rows: channels, columns: nil, scale: scales[2 * layers[layer]])
    case "post_attention_layernorm.weight":
      Source(entry: entry, rows: channels, columns: nil, scale: scales[2 * layers[layer] + 1])
    case "self_attn.q_proj.weight": Source(entry: entry, rows: queries[layer], columns: channels)
    case "self_attn.q_proj.bias": Source(entry: entry, rows: queries[layer], columns: nil)
    case "self_attn.k_proj.weight", "self_attn.v_proj.weight":
      Source(entry: entry, rows: keys[layer], columns: channels)
    case "self_attn.k_proj.bias", "self_attn.v_proj.bias": Source(entry: entry, rows: keys[layer], columns: nil)
    case "self_attn.o_proj.weight": Source(entry: entry, rows: channels, columns: queries[layer])
    case "mlp.gate_proj.weight", "mlp.up_proj.weight": Source(entry: entry, rows: neurons[layer], columns: channels)
    case "mlp.down_proj.weight": Source(entry: entry, rows: channels, columns: neurons[layer])
    default: nil
    }
  }
}
