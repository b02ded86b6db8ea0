import ModelFiles
package import StudentModel

/// How much each part of a student matters: of blocks, query heads, feed-forward neurons and residual channels.
///
/// A neuron's or head channel's importance is mean |x| times the norm of the weights that read it; a residual channel's the
/// sum over all norms of the mean |x| of what they give, relative to each norm's own mean; a block's how far the student's
/// predictions move without it. Without samples, norms of weights stand for all of them.
/// Reference: Muralidharan et al. 2024, arXiv 2407.14679, section 2.2 (activation-based importance of every axis); Sun et
/// al. 2023, arXiv 2306.11695, equation 1 (weight times activation norm).
package struct Importance {
  /// Of each block.
  package var blocks: [Double]
  /// Of each query head, by block.
  package var heads: [[Double]]
  /// Of each feed-forward neuron, by block.
  package var neurons: [[Double]]
  /// Of each residual channel.
  package var channels: [Double]
  /// The share of each channel in the mean square of what the norms read, by norm in order (two a block, then the last):
  /// sums to 1.
  package var energies: [[Double]]

  /// From the weights alone.
  package init(weightsOf student: Student) {
    let sizes = student.configuration
    let weights = Weights(student)
    let embedding = weights.columnSquares("model.embed_tokens.weight")
    var stream = embedding.map { $0 / Double(sizes.vocabularySize) }
    blocks = []
    heads = []
    neurons = []
    energies = []
    for layer in 0..<sizes.layerCount {
      let prefix = "model.layers.\(layer)."
      let (output, down) = (prefix + "self_attn.o_proj.weight", prefix + "mlp.down_proj.weight")
      let readers = weights.columnSquares(output)
      let norms = weights.columnSquares(down)
      blocks.append(readers.reduce(0, +) + norms.reduce(0, +))
      heads.append(Self.byHead(readers.map { $0.squareRoot() }, sizes.headSize))
      let (gate, up) = (
        weights.rowSquares(prefix + "mlp.gate_proj.weight"), weights.rowSquares(prefix + "mlp.up_proj.weight")
      )
      neurons.append(norms.indices.map { (norms[$0] * gate[$0] * up[$0]).squareRoot() })
      energies.append(Self.shares(stream))
      stream = zip(stream, weights.rowSquares(output)).map { $0 + $1 }
      energies.append(Self.shares(stream))
      stream = zip(stream, weights.rowSquares(down)).map { $0 + $1 }
    }
    energies.append(Self.shares(stream))
    channels = stream
  }

  /// From activations and weights; blocks still from weights, see ``ShapeSearch``.
  package init(of student: Student, statistics: ActivationStatistics) {
    self.init(weightsOf: student)
    let sizes = student.configuration
    let weights = Weights(student)
    channels = [Double](repeating: 0, count: sizes.hiddenSize)
    for layer in 0..<sizes.layerCount {
      let prefix = "model.layers.\(layer)."
      let hidden = statistics.meanAbsolute(LinearInput(.hidden, layer: layer))
      neurons[layer] = zip(hidden, weights.columnSquares(prefix + "mlp.down_proj.weight")).map { $0 * $1.squareRoot() }
      let outputs = statistics.meanAbsolute(LinearInput(.heads, layer: layer))
      heads[layer] = Self.byHead(
        zip(outputs, weights.columnSquares(prefix + "self_attn.o_proj.weight")).map { $0 * $1.squareRoot() },
        sizes.headSize)
      add(LinearInput(.attention, layer: layer), 2 * layer, prefix + "input_layernorm.weight", statistics, weights)
      add(
        LinearInput(.feedForward, layer: layer), 2 * layer + 1, prefix + "post_attention_layernorm.weight", statistics,
        weights)
    }
    add(LinearInput(.output, layer: sizes.layerCount), 2 * sizes.layerCount, "model.norm.weight", statistics, weights)
  }

  private mutating func add(
    _ input: LinearInput, _ norm: Int, _ name: String, _ statistics: ActivationStatistics, _ weights: Weights
  ) {
    let absolute = statistics.meanAbsolute(input)
    let mean = max(1e-30, absolute.reduce(0, +) / Double(max(1, absolute.count)))
    for (channel, value) in absolute.enumerated() { channels[channel] += value / mean }
    let gains = weights.values(name)
    energies[norm] = Self.shares(
      zip(statistics.meanSquare(input), gains).map { $1 == 0 ? 0 : $0 / (Double($1) * Double($1)) })
  }

  /// The indices of the `count` largest numbers, ascending; of equals the earlier stays.
  static func largest(_ count: Int, _ values: [Double]) -> [Int] {
    let order = values.indices.sorted { (values[$1], $0) < (values[$0], $1) }
    return order.prefix(count).sorted()
  }

  private static func byHead(_ channels: [Double], _ size: Int) -> [Double] {
    stride(from: 0, to: channels.count, by: size).map { channels[$0..<$0 + size].reduce(0, +) }
  }

  private static func shares(_ values: [Double]) -> [Double] {
    let sum = values.reduce(0, +)
    return sum > 0 ? values.map { $0 / sum } : values.map { _ in 1 / Double(values.count) }
  }
}

/// Sums over a student's tensors by name.
private struct Weights {
  let student: Student

  init(_ student: Student) { self.student = student }

  func values(_ name: String) -> UnsafeMutableBufferPointer<Float> {
    student.layout[name].map { student.parameters($0) } ?? UnsafeMutableBufferPointer(start: nil, count: 0)
  }

  /// Σ over rows of w², by column.
  func columnSquares(_ name: String) -> [Double] {
    guard let entry = student.layout[name] else { return [] }
    let (rows, columns, values) = (entry.shape[0], entry.shape[1], student.parameters(entry))
    var sums = [Double](repeating: 0, count: columns)
    sums.withUnsafeMutableBufferPointer { sums in
      for row in 0..<rows {
        for column in 0..<columns {
          let value = Double(values[row * columns + column])
          sums[column] += value * value
        }
      }
    }
    return sums
  }

  /// Σ over columns of w², by row.
  func rowSquares(_ name: String) -> [Double] {
    guard let entry = student.layout[name] else { return [] }
    let (columns, values) = (entry.shape[1], student.parameters(entry))
    return (0..<entry.shape[0]).map { row in
      var sum = 0.0
      for column in 0..<columns {
        let value = Double(values[row * columns + column])
        sum += value * value
      }
      return sum
    }
  }
}
