import CKernels
import ModelFiles

/// What a linear layer of the decoder reads: the same rows for all layers that read it.
public struct LinearInput: Sendable, Hashable {
  /// The place in a block, or the output head.
  public enum Place: Int, Sendable, Hashable, CaseIterable {
    /// The normalised residual stream that query, key and value read, `[n, C]`.
    case attention
    /// The heads' outputs that the attention's output projection reads, `[n, H·D]`.
    case heads
    /// The normalised residual stream that gate and up read, `[n, C]`.
    case feedForward
    /// silu(gate)·up, which the down projection reads, `[n, F]`.
    case hidden
    /// The normalised residual stream that the output head reads, `[n, C]`.
    case output
  }

  /// The place.
  public let place: Place
  /// The block, from 0; the number of blocks for the output head.
  public let layer: Int

  /// An input.
  public init(_ place: Place, layer: Int) {
    self.place = place
    self.layer = layer
  }

  /// What the matrix of that name reads; `nil` for the embedding, norms and biases.
  public init?(parameter name: String, layerCount: Int) {
    if name == "lm_head.weight" {
      self.init(.output, layer: layerCount)
      return
    }
    let parts = name.split(separator: ".")
    guard parts.count == 6, parts[0] == "model", parts[1] == "layers", parts[5] == "weight", let layer = Int(parts[2])
    else { return nil }
    switch parts[4] {
    case "q_proj", "k_proj", "v_proj": self.init(.attention, layer: layer)
    case "o_proj": self.init(.heads, layer: layer)
    case "gate_proj", "up_proj": self.init(.feedForward, layer: layer)
    case "down_proj": self.init(.hidden, layer: layer)
    default: return nil
    }
  }
}

extension Student {
  /// Shows what every linear layer reads on a batch, all rows: block by block in order, then the output head.
  ///
  /// - Parameter body: gets the place, the values `[rows, width]`, row-major and valid during the call, and the width.
  /// - Throws: ``StudentError`` on a batch that does not fit the model; what `body` throws.
  public func observeInputs(
    _ batch: PackedBatch, _ body: (LinearInput, UnsafeBufferPointer<Float>, Int) throws -> Void
  ) throws {
    try batch.validate(vocabularySize: sizes.V, maximumPositions: configuration.maximumPositions)
    let rows = batch.rowCount
    guard rows > 0 else { return }
    // Layers that share their activations would all show the last one's.
    let recomputes = recomputesActivations
    recomputesActivations = false
    defer { recomputesActivations = recomputes }
    let pass = Pass(batch: batch, space: workspace(for: batch), wanted: (0..<Int32(rows)).map { $0 }, dropout: nil)
    runLayers(pass)
    func show(
      _ place: LinearInput.Place, _ layer: Int, _ start: UnsafeMutablePointer<Float>, _ width: Int
    ) throws {
      try body(LinearInput(place, layer: layer), UnsafeBufferPointer(start: start, count: rows * width), width)
    }
    for (layer, activations) in pass.space.layers.enumerated() {
      try show(.attention, layer, activations.norm1, sizes.C)
      try show(.heads, layer, activations.attention, sizes.HD)
      try show(.feedForward, layer, activations.norm2, sizes.C)
      retort_swiglu_forward(rows, sizes.F, activations.gateUp, pass.space.hidden)
      try show(.hidden, layer, pass.space.hidden, sizes.F)
    }
    try show(.output, sizes.L, pass.space.finalNorm, sizes.C)
  }
}
