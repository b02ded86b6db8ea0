import CKernels
import ModelFiles

/// What one pass needs to know besides the weights.
struct Pass {
  let batch: PackedBatch
  let space: Workspace
  /// The rows whose final state is wanted, ascending; the last layer computes no others after its attention.
  let wanted: [Int32]
  let dropout: Dropout?
  /// Whether gradients are added to what is there.
  let accumulates: Bool
  /// Each row's position in its sequence.
  let positions: [Int32]

  init(
    batch: PackedBatch, space: Workspace, wanted: [Int32], dropout: Dropout? = nil, accumulates: Bool = false
  ) {
    (self.batch, self.space, self.wanted, self.dropout) = (batch, space, wanted, dropout)
    self.accumulates = accumulates
    positions = (0..<batch.sequenceCount).flatMap { batch.positions(ofSequence: $0) }
  }

  /// Whether every row goes through the last layer (no subset).
  var isWhole: Bool { wanted.count == batch.rowCount }
}

extension Student {
  /// The logits at the rows with a target, or at the given rows.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - rows: strictly ascending row indices; nil for the batch's target rows.
  /// - Returns: `[rows, V]`, row-major.
  /// - Throws: ``StudentError`` on a batch that does not fit the model.
  public func forward(_ batch: PackedBatch, rows: [Int32]? = nil) throws(StudentError) -> [Float] {
    try batch.validate(vocabularySize: sizes.V, maximumPositions: configuration.maximumPositions)
    let batch = rows == nil ? computed(batch, mergingTargets: false) : batch
    let wanted = rows ?? batch.targetRows
    let limit = Int32(batch.rowCount)
    for (index, row) in wanted.enumerated() {
      try require(
        row >= 0 && row < limit && (index == 0 || wanted[index - 1] < row), .batchShape, "the requested rows",
        "strictly ascending indices below \(limit)", "\(row)", "ask for rows of the batch")
    }
    let V = sizes.V
    guard !wanted.isEmpty else { return [] }
    let pass = Pass(batch: batch, space: workspace(for: batch), wanted: wanted, dropout: nil)
    runLayers(pass)
    return [Float](unsafeUninitializedCapacity: wanted.count * V) { buffer, count in
      if let start = buffer.baseAddress { writeLogits(pass, rows: 0..<wanted.count, into: start) }
      count = wanted.count * V
    }
  }

  /// The batch as a pass computes it: with shared prefixes, where they are wanted.
  func computed(_ batch: PackedBatch, mergingTargets: Bool) -> PackedBatch {
    sharesPrefixes ? batch.sharingPrefixes(mergingTargets: mergingTargets) : batch
  }

  /// The rows that a training pass over a batch computes.
  package func computedRows(_ batch: PackedBatch) -> Int { computed(batch, mergingTargets: true).rowCount }

  /// Embeds, runs all layers and normalises the wanted rows into `space.finalNorm`.
  func runLayers(_ pass: Pass) {
    let (space, batch, C) = (pass.space, pass.batch, sizes.C)
    let rows = batch.rowCount
    let first = space.layers[0].input
    if let frozen {
      retort_gather_bfloat_rows(rows, C, frozen.values.pointer + embeddingOffset, batch.tokens, first)
    } else {
      retort_gather_rows(rows, C, parameters.pointer + embeddingOffset, batch.tokens, first)
    }
    if let mask = pass.mask(place: 0) { retort_dropout_add(rows * C, mask, nil, first, first) }
    for layer in 0..<sizes.L {
      runAttention(pass, layer: layer)
      runFeedForward(pass, layer: layer)
    }
    retort_rmsnorm_forward(
      pass.wanted.count, C, space.output, vector(at: finalNormOffset), Float(configuration.normEpsilon),
      space.finalNorm,
      space.finalInverseRMS)
  }

  /// Logits of some of the wanted rows (indices into `wanted`).
  func writeLogits(_ pass: Pass, rows: Range<Int>, into logits: UnsafeMutablePointer<Float>) {
    let (C, V, space) = (sizes.C, sizes.V, pass.space)
    for start in stride(from: rows.lowerBound, to: rows.upperBound, by: space.headRows) {
      let count = min(space.headRows, rows.upperBound - start)
      product(
        RETORT_NT, count, V, C, space.finalNorm + start * C, C, matrix(headOffset), C,
        into: logits + (start - rows.lowerBound) * V, V, space)
    }
  }

  /// Norm, projections, rotation and attention of one layer, and its residual sum into `middle`.
  func runAttention(_ pass: Pass, layer: Int) {
    let (space, at, s) = (pass.space, layers[layer], sizes)
    let (a, rows) = (space.layers[layer], pass.batch.rowCount)
    retort_rmsnorm_forward(
      rows, s.C, a.input, vector(at: at.norm1), Float(configuration.normEpsilon), a.norm1, a.inverseRMS1)
    for (index, projection) in at.projections.enumerated() {
      apply(projection, layer: layer, rows: rows, to: a.norm1, into: a.qkv + s.projectionColumn(index), s.QKV, space)
    }
    // Queries and keys lie side by side: one call turns both.
    retort_rope(rows, s.H + s.KV, s.D, a.qkv, s.QKV, pass.positions, space.cosine, space.sine, 0)
    let sequences = attentionSequences(pass, layer: layer)
    retort_attention_forward(
      sequences, sequences.count, s.H, s.KV, s.D, s.attentionScale, space.attentionScratch,
      Int32(space.threads))
    var (heads, input) = (a.attention, a.input)
    if layer == s.L - 1, !pass.isWhole {
      (heads, input) = (space.tailAttention, a.middle)
      retort_gather_rows(pass.wanted.count, s.HD, a.attention, pass.wanted, heads)
      retort_gather_rows(pass.wanted.count, s.C, a.input, pass.wanted, input)
    }
    let count = pass.rows(layer: layer, of: s)
    apply(at.o, layer: layer, rows: count, to: heads, into: space.branch, s.C, space)
    addBranch(pass, place: 1 + 2 * layer, rows: count, base: input, into: a.middle)
  }

  /// Norm, gate and up projections of one layer.
  func runGateUp(_ pass: Pass, layer: Int) {
    let (space, at, s) = (pass.space, layers[layer], sizes)
    let (a, rows) = (space.layers[layer], pass.rows(layer: layer, of: s))
    retort_rmsnorm_forward(
      rows, s.C, a.middle, vector(at: at.norm2), Float(configuration.normEpsilon), a.norm2, a.inverseRMS2)
    apply(at.gateUp, layer: layer, rows: rows, to: a.norm2, into: a.gateUp, 2 * s.F, space)
  }

  /// The feed-forward block of one layer, and its residual sum into the next layer's input.
  private func runFeedForward(_ pass: Pass, layer: Int) {
    let (space, at, s) = (pass.space, layers[layer], sizes)
    let (a, rows) = (space.layers[layer], pass.rows(layer: layer, of: s))
    runGateUp(pass, layer: layer)
    retort_swiglu_forward(rows, s.F, a.gateUp, space.hidden)
    apply(at.down, layer: layer, rows: rows, to: space.hidden, into: space.branch, s.C, space)
    let next = layer + 1 < s.L ? space.layers[layer + 1].input : space.output
    addBranch(pass, place: 2 + 2 * layer, rows: rows, base: a.middle, into: next)
  }

  /// out = base + dropout(branch).
  private func addBranch(
    _ pass: Pass, place: Int, rows: Int, base: UnsafeMutablePointer<Float>, into out: UnsafeMutablePointer<Float>
  ) {
    if let mask = pass.mask(place: place) {
      retort_dropout_add(rows * sizes.C, mask, base, pass.space.branch, out)
    } else {
      retort_add(rows * sizes.C, base, pass.space.branch, out)
    }
  }

  /// The sequences of a batch as the attention kernel wants them.
  func attentionSequences(_ pass: Pass, layer: Int) -> [retort_sequence] {
    let (a, s) = (pass.space.layers[layer], sizes)
    return (0..<pass.batch.sequenceCount).map { index in
      let (rows, prefix) = (pass.batch.rows(ofSequence: index), pass.batch.prefix(ofSequence: index))
      let q = a.qkv + rows.lowerBound * s.QKV
      let prefixKeys = a.qkv + prefix.lowerBound * s.QKV + s.HD
      return retort_sequence(
        q: q, k: q + s.HD, v: q + s.HD + s.KVD, out: a.attention + rows.lowerBound * s.HD, ldq: s.QKV, ldk: s.QKV,
        ldv: s.QKV, ldo: s.HD, queries: Int32(rows.count), keys: Int32(prefix.count + rows.count), turned: nil,
        turned_stride: 0, prefix_k: prefixKeys, prefix_v: prefixKeys + s.KVD, prefix: Int32(prefix.count))
    }
  }
}

extension Pass {
  /// The rows that a layer's feed-forward works on.
  func rows(layer: Int, of sizes: Sizes) -> Int { layer == sizes.L - 1 ? wanted.count : batch.rowCount }

  /// The dropout mask of a place: 0 the embeddings, 1 + 2·layer attention, 2 + 2·layer feed-forward.
  func mask(place: Int) -> retort_dropout_mask? {
    guard let dropout, dropout.rate > 0 else { return nil }
    return retort_dropout_mask(seed: dropout.seed, stream: dropout.step &* 4096 &+ UInt64(place), rate: dropout.rate)
  }
}

extension Sizes {
  /// First column of q (0), k (1) or v (2) in the joint buffer.
  func projectionColumn(_ index: Int) -> Int { index == 0 ? 0 : HD + (index - 1) * KVD }

  var attentionScale: Float { 1 / Float(D).squareRoot() }
}

extension UnsafeMutableBufferPointer {
  /// The start of a buffer that is never empty.
  var pointer: UnsafeMutablePointer<Element> { baseAddress.unsafelyUnwrapped }
}
