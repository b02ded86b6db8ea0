import ModelFiles
public import StudentModel

/// Removes whole feed-forward neurons, the same number from every layer, so that any Qwen2 runtime runs the result.
public enum Pruner {
  /// A smaller student with the most important neurons of each layer, in their order.
  ///
  /// The importance of neuron j is mean |h_j| · ‖down[:, j]‖₂, h = silu(gate)·up: how much it moves the residual stream on
  /// real requests; gate and up act through h. Without activations it is ‖gate[j]‖ · ‖up[j]‖ · ‖down[:, j]‖. Of equals the
  /// earlier one stays.
  ///
  /// Reference: Sun et al. 2023, "A simple and effective pruning approach for large language models", arXiv 2306.11695,
  /// equation 1 (weight times activation norm), summed over a neuron's outgoing weights as in structured pruning.
  ///
  /// - Parameters:
  ///   - keep: The neurons that stay in each layer: a multiple of 32, at most as many as there are.
  ///   - activations: Mean |h| by layer and neuron, as `feedForwardActivations` gives it.
  /// - Throws: ``CompressionError`` `mismatch` for other sizes.
  public static func pruneFeedForward(
    _ student: Student, keep: Int, activations: [[Float]]? = nil
  ) throws -> Student {
    var sizes = student.configuration
    let width = sizes.feedForwardSize
    guard keep % 32 == 0, (32...max(32, width)).contains(keep), keep <= width else {
      throw CompressionError(
        .mismatch, context: "pruning", expected: "a multiple of 32 neurons, at most \(width)", found: "\(keep)",
        advice: "choose another share")
    }
    if let activations {
      guard activations.count == sizes.layerCount, activations.allSatisfy({ $0.count == width }) else {
        throw CompressionError(
          .mismatch, context: "pruning", expected: "\(sizes.layerCount) layers of \(width) activations",
          found: "\(activations.count) of \(activations.first?.count ?? 0)",
          advice: "measure the activations of this student")
      }
    }
    let kept = (0..<sizes.layerCount).map { layer in
      mostImportant(keep, importance(student, layer: layer, activations: activations?[layer]))
    }
    sizes.feedForwardSize = keep
    let target = ParameterLayout(sizes)
    var parameters = [Float](repeating: 0, count: target.count)
    for entry in target.entries {
      guard let source = student.layout[entry.name] else { continue }
      let from = student.parameters(source)
      if source.count == entry.count {
        for index in 0..<entry.count { parameters[entry.offset + index] = from[index] }
        continue
      }
      let neurons = layer(of: entry.name).map { kept[$0] } ?? []
      if entry.name.hasSuffix(".down_proj.weight") {
        copyColumns(neurons, from: from, width: width, rows: entry.shape[0], to: &parameters, at: entry.offset)
      } else {
        copyRows(neurons, from: from, width: entry.shape[1], to: &parameters, at: entry.offset)
      }
    }
    return try Student(configuration: sizes, parameters: parameters)
  }

  /// The importance of each neuron of a layer, ≥ 0.
  package static func importance(_ student: Student, layer: Int, activations: [Float]?) -> [Double] {
    let prefix = "model.layers.\(layer).mlp."
    let (width, hidden) = (student.configuration.feedForwardSize, student.configuration.hiddenSize)
    var down = [Double](repeating: 0, count: width)
    if let entry = student.layout[prefix + "down_proj.weight"] {
      let values = student.parameters(entry)
      for row in 0..<hidden {
        for neuron in 0..<width {
          let value = Double(values[row * width + neuron])
          down[neuron] += value * value
        }
      }
    }
    let norms = down.map { $0.squareRoot() }
    if let activations { return zip(norms, activations).map { $0 * Double($1) } }
    let gate = rowNorms(student, prefix + "gate_proj.weight", width: hidden)
    let up = rowNorms(student, prefix + "up_proj.weight", width: hidden)
    return norms.indices.map { norms[$0] * gate[$0] * up[$0] }
  }

  private static func rowNorms(_ student: Student, _ name: String, width: Int) -> [Double] {
    guard let entry = student.layout[name] else { return [] }
    let values = student.parameters(entry)
    return (0..<entry.shape[0]).map { row in
      var sum = 0.0
      for column in 0..<width {
        let value = Double(values[row * width + column])
        sum += value * value
      }
      return sum.squareRoot()
    }
  }

  /// The indices of the `count` largest numbers, ascending.
  private static func mostImportant(_ count: Int, _ importance: [Double]) -> [Int] {
    let order = importance.indices.sorted { (importance[$1], $0) < (importance[$0], $1) }
    return order.prefix(count).sorted()
  }

  private static func layer(of name: String) -> Int? {
    let parts = name.split(separator: ".")
    return parts.count > 2 ? Int(parts[2]) : nil
  }

  private static func copyRows(
    _ rows: [Int], from source: UnsafeMutableBufferPointer<Float>, width: Int, to target: inout [Float], at offset: Int
  ) {
    for (index, row) in rows.enumerated() {
      for column in 0..<width { target[offset + index * width + column] = source[row * width + column] }
    }
  }

  private static func copyColumns(
    _ columns: [Int], from source: UnsafeMutableBufferPointer<Float>, width: Int, rows: Int, to target: inout [Float],
    at offset: Int
  ) {
    for row in 0..<rows {
      for (index, column) in columns.enumerated() {
        target[offset + row * columns.count + index] = source[row * width + column]
      }
    }
  }
}
