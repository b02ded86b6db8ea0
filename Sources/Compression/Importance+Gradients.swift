import ModelFiles
package import StudentModel

extension Importance {
  /// Weighs neurons, heads and channels by how much the loss on the labels would change without them, to first order: the sum,
  /// over groups of samples, of (Σ w·∂L/∂w)² of the weights that read the part, which is (Σ x·∂L/∂x)² of what it gives.
  ///
  /// Blocks and norms stay as they are. Reference: Molchanov et al. 2019, arXiv 1906.10771, equation 8 (the part as one gate).
  package mutating func measureGradients(of student: Student, on batches: [PackedBatch]) throws {
    let sizes = student.configuration
    let layers = sizes.layerCount
    neurons = Array(repeating: Array(repeating: 0, count: sizes.feedForwardSize), count: layers)
    heads = Array(repeating: Array(repeating: 0, count: sizes.headCount), count: layers)
    channels = Array(repeating: 0, count: sizes.hiddenSize)
    for batch in batches.flatMap({ $0.split(into: max(1, $0.sequenceCount / 4)) }) where !batch.targetRows.isEmpty {
      _ = try student.forwardBackward(batch)
      let slopes = Slopes(student: student)
      for layer in 0..<layers {
        let prefix = "model.layers.\(layer)."
        Self.add(squaresOf: slopes.columns([prefix + "mlp.down_proj.weight"]), to: &neurons[layer])
        let outputs = slopes.columns([prefix + "self_attn.o_proj.weight"])
        let byHead = stride(from: 0, to: outputs.count, by: sizes.headSize).map { start in
          outputs[start..<start + sizes.headSize].reduce(0, +)
        }
        Self.add(squaresOf: byHead, to: &heads[layer])
        let attention = ["q", "k", "v"].map { prefix + "self_attn.\($0)_proj.weight" }
        let feedForward = ["gate", "up"].map { prefix + "mlp.\($0)_proj.weight" }
        for readers in [attention, feedForward] { Self.add(squaresOf: slopes.columns(readers), to: &channels) }
      }
    }
    student.releaseBuffers()
  }

  private static func add(squaresOf values: [Double], to sums: inout [Double]) {
    for (index, value) in values.enumerated() { sums[index] += value * value }
  }
}

/// Σ w·∂L/∂w by what is read.
private struct Slopes {
  let student: Student

  /// By column of matrices of equal width, summed over them.
  func columns(_ names: [String]) -> [Double] {
    var sums: [Double] = []
    for name in names {
      guard let entry = student.layout[name] else { continue }
      let (rows, columns, weights) = (entry.shape[0], entry.shape[1], student.parameters(entry))
      let gradients = UnsafeMutableBufferPointer(rebasing: student.gradients[entry.range])
      if sums.isEmpty { sums = [Double](repeating: 0, count: columns) }
      sums.withUnsafeMutableBufferPointer { sums in
        for row in 0..<rows {
          for column in 0..<columns {
            sums[column] += Double(weights[row * columns + column]) * Double(gradients[row * columns + column])
          }
        }
      }
    }
    return sums
  }
}
