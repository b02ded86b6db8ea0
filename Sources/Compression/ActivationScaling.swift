import CKernels
package import ModelFiles
package import StudentModel

/// Scales channels so that rounding hurts less where inputs are large, without changing what the model computes.
///
/// The columns of the layers that read a channel are multiplied by s, and what writes the channel is divided by it: the norm
/// before query, key, value and before gate and up; the value projection before the attention's output projection (one s for
/// all query heads of a group); the up projection before the down projection. So the file stays an ordinary one.
/// s = (mean |x|)^α, divided by the root of its largest times its smallest; of eleven α from 0 to 1 the one with the least
/// error of the layers' outputs after rounding.
///
/// Reference: Lin et al. 2023, "AWQ", arXiv 2306.00978, section 3.2.
package enum ActivationScaling {
  /// Layers that read the same channels, and what writes these.
  private struct Group {
    let input: LinearInput
    let readers: [String]
    /// Tensors whose rows (or elements) are the channels.
    let writers: [String]
    /// How many channels of the input each channel of the writers gives, side by side in blocks of `block` channels.
    var copies = 1
    var block = 1
  }

  /// Scales a student in place for rounding to `type` and says how many groups gained by it.
  ///
  /// - Parameter element: the format of a tensor; groups without a four-bit matrix stay as they are.
  package static func scale(
    _ student: Student, statistics: ActivationStatistics, grams: GramMatrices,
    element: (String, [Int]) -> ElementType
  ) throws -> Int {
    var changed = 0
    for group in groups(of: student.configuration) {
      let readers = group.readers.compactMap { student.layout[$0] }
      guard readers.contains(where: { [.q4_0, .q4_k].contains(element($0.name, $0.shape)) }),
        let gram = try grams(group.input)
      else { continue }
      let means = merged(statistics.meanAbsolute(group.input), group)
      guard let scales = try best(means, group, readers, student, gram, element) else { continue }
      apply(scales, group, readers, student)
      changed += 1
    }
    return changed
  }

  private static func groups(of sizes: DecoderConfiguration) -> [Group] {
    (0..<sizes.layerCount).flatMap { layer in
      let prefix = "model.layers.\(layer)."
      func names(_ list: String...) -> [String] { list.map { prefix + $0 } }
      return [
        Group(
          input: LinearInput(.attention, layer: layer),
          readers: names("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
          writers: names("input_layernorm.weight")),
        Group(
          input: LinearInput(.heads, layer: layer), readers: names("self_attn.o_proj.weight"),
          writers: names("self_attn.v_proj.weight", "self_attn.v_proj.bias"),
          copies: sizes.headCount / sizes.keyValueHeadCount, block: sizes.headSize),
        Group(
          input: LinearInput(.feedForward, layer: layer), readers: names("mlp.gate_proj.weight", "mlp.up_proj.weight"),
          writers: names("post_attention_layernorm.weight")),
        Group(
          input: LinearInput(.hidden, layer: layer), readers: names("mlp.down_proj.weight"),
          writers: names("mlp.up_proj.weight")),
      ]
    }
  }

  /// The writer's channel of each of the reader's.
  private static func writer(of channel: Int, _ group: Group) -> Int {
    let (head, within) = (channel / group.block, channel % group.block)
    return head / group.copies * group.block + within
  }

  private static func merged(_ means: [Double], _ group: Group) -> [Double] {
    var sums = [Double](repeating: 0, count: means.count / group.copies)
    for (channel, mean) in means.enumerated() { sums[writer(of: channel, group)] += mean / Double(group.copies) }
    return sums
  }

  /// The scales by the writers' channels; nil where none is better than leaving them.
  private static func best(
    _ means: [Double], _ group: Group, _ readers: [ParameterLayout.Entry], _ student: Student, _ gram: [Float],
    _ element: (String, [Int]) -> ElementType
  ) throws -> [Float]? {
    var best: (error: Double, scales: [Float]?) = (.infinity, nil)
    for step in 0...10 {
      let scales = powers(of: means, Double(step) / 10)
      var error = 0.0
      for reader in readers {
        error += try outputError(reader, student, scales, group, gram, element(reader.name, reader.shape))
      }
      if error < best.error { best = (error, step == 0 ? nil : scales) }
    }
    return best.scales
  }

  private static func powers(of means: [Double], _ exponent: Double) -> [Float] {
    let floor = max(1e-30, (means.max() ?? 0) * 1e-4)
    let values = means.map { retort_exp(exponent * retort_log(max($0, floor))) }
    let middle = ((values.max() ?? 1) * (values.min() ?? 1)).squareRoot()
    return values.map { Float($0 / middle) }
  }

  private static func outputError(
    _ reader: ParameterLayout.Entry, _ student: Student, _ scales: [Float], _ group: Group, _ gram: [Float],
    _ type: ElementType
  ) throws -> Double {
    let (rows, width) = (reader.shape[0], reader.shape[1])
    let weights = student.parameters(reader)
    let factors = (0..<width).map { scales[writer(of: $0, group)] }
    var rounded = [Float](repeating: 0, count: rows * width)
    for index in rounded.indices { rounded[index] = weights[index] * factors[index % width] }
    // A channel that is scaled up is read scaled down.
    let squares = zip(GramMatrices.diagonal(gram), factors).map { $0 / ($1 * $1) }
    try rounded.withUnsafeMutableBufferPointer {
      try Quantizer.round($0, to: type, importance: Quantizer.importance(squares))
    }
    for index in rounded.indices { rounded[index] = rounded[index] / factors[index % width] - weights[index] }
    return GramMatrices.error(rounded, rows: rows, width: width, gram: gram)
  }

  private static func apply(
    _ scales: [Float], _ group: Group, _ readers: [ParameterLayout.Entry], _ student: Student
  ) {
    for reader in readers {
      let (weights, width) = (student.parameters(reader), reader.shape[1])
      for index in weights.indices { weights[index] *= scales[writer(of: index % width, group)] }
    }
    for name in group.writers {
      guard let entry = student.layout[name] else { continue }
      let (weights, width) = (student.parameters(entry), entry.shape.count == 2 ? entry.shape[1] : 1)
      for index in weights.indices { weights[index] /= scales[index / width] }
    }
  }
}
