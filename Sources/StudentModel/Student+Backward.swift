import CKernels
import ModelFiles

extension Student {
  /// Forward and backward pass of the weighted cross-entropy, in rows with a soft target of
  /// (1 − softShare)·cross-entropy + softShare·KL(teacher ‖ student); the gradient goes to ``gradients``.
  ///
  /// - Parameters:
  ///   - batch: the sequences, with targets and weights.
  ///   - dropout: masks for this pass, or nil.
  ///   - accumulate: adds to ``gradients`` instead of overwriting them.
  ///   - normalizer: what the summed gradient is divided by; nil for the batch's Σ weight (the mean loss).
  /// - Returns: the loss, summed.
  /// - Throws: ``StudentError`` on a batch that does not fit the model.
  public func forwardBackward(
    _ batch: PackedBatch, dropout: Dropout? = nil, accumulate: Bool = false, normalizer: Float? = nil
  ) throws(StudentError) -> LossReport {
    try train(batch, Objective(), dropout: dropout, accumulate: accumulate, normalizer: normalizer)
  }

  /// As without a teacher, for the loss (1 − klWeight)·cross-entropy + klWeight·divergence.
  ///
  /// - Parameters:
  ///   - batch: the sequences, with targets and weights.
  ///   - teacherLogits: `[target rows, V]`, as ``forward(_:rows:)`` of the teacher on the same batch gives them.
  ///   - klWeight: 0…1.
  ///   - loss: the divergence; by default KL(teacher ‖ student) of all tokens.
  ///   - dropout: masks for this pass, or nil.
  ///   - accumulate: adds to ``gradients`` instead of overwriting them.
  ///   - normalizer: what the summed gradient is divided by; nil for the batch's Σ weight (the mean loss).
  /// - Returns: the loss, summed.
  /// - Throws: ``StudentError`` on a batch or teacher that does not fit the model.
  public func forwardBackward(
    _ batch: PackedBatch, teacherLogits: UnsafeBufferPointer<Float>, klWeight: Float,
    loss: DistillationLoss = DistillationLoss(), dropout: Dropout? = nil, accumulate: Bool = false,
    normalizer: Float? = nil
  ) throws(StudentError) -> LossReport {
    let teacher = TeacherSignal(logits: teacherLogits, weight: klWeight, loss: loss)
    return try train(
      batch, Objective(teacher: teacher), dropout: dropout, accumulate: accumulate, normalizer: normalizer)
  }

  /// As without a policy signal, for the clipped surrogate loss + klWeight·divergence from a reference.
  ///
  /// - Parameters:
  ///   - batch: the sampled answers as targets; a target's weight multiplies its loss.
  ///   - policy: advantages and old probabilities of the target rows.
  ///   - referenceLogits: `[target rows, V]` of the reference; nil for none.
  ///   - klWeight: 0…1; without a reference it counts as 0.
  ///   - loss: the divergence; by default KL(student ‖ reference) of all tokens.
  ///   - accumulate: adds to ``gradients`` instead of overwriting them.
  ///   - normalizer: what the summed gradient is divided by; nil for the batch's Σ weight.
  /// - Returns: the loss, summed.
  /// - Throws: ``StudentError`` on a batch, a signal or a reference that does not fit.
  public func forwardBackward(
    _ batch: PackedBatch, policy: PolicySignal, referenceLogits: UnsafeBufferPointer<Float>? = nil,
    klWeight: Float = 0, loss: DistillationLoss = DistillationLoss(.reverse), accumulate: Bool = false,
    normalizer: Float? = nil
  ) throws(StudentError) -> LossReport {
    let teacher = referenceLogits.map { TeacherSignal(logits: $0, weight: klWeight, loss: loss) }
    return try train(
      batch, Objective(teacher: teacher, policy: policy), dropout: nil, accumulate: accumulate, normalizer: normalizer)
  }

  /// The logarithm of each target's probability, row by row in order.
  ///
  /// - Throws: ``StudentError`` on a batch that does not fit the model.
  public func logProbabilities(_ batch: PackedBatch) throws(StudentError) -> [Float] {
    var result: [Float] = []
    _ = try measure(batch, Objective()) { result += $0.map { -$0.cross_entropy } }
    return result
  }

  /// The loss of a batch, without dropout and without touching ``gradients``.
  ///
  /// - Throws: ``StudentError`` on a batch that does not fit the model.
  public func loss(_ batch: PackedBatch) throws(StudentError) -> LossReport { try measure(batch, Objective()) }

  /// As without a teacher, with the divergence as the loss.
  ///
  /// - Parameters:
  ///   - teacherLogits: `[target rows, V]`, as ``forward(_:rows:)`` of the teacher on the same batch gives them.
  ///   - loss: the divergence; by default KL(teacher ‖ student) of all tokens.
  /// - Throws: ``StudentError`` on a batch or teacher that does not fit the model.
  public func loss(
    _ batch: PackedBatch, teacherLogits: UnsafeBufferPointer<Float>, loss: DistillationLoss = DistillationLoss()
  ) throws(StudentError) -> LossReport {
    try measure(batch, Objective(teacher: TeacherSignal(logits: teacherLogits, weight: 1, loss: loss)))
  }

  private func measure(
    _ batch: PackedBatch, _ objective: Objective, each: (ArraySlice<retort_row_loss>) -> Void = { _ in }
  ) throws(StudentError) -> LossReport {
    try batch.validate(vocabularySize: sizes.V, maximumPositions: configuration.maximumPositions)
    let batch = computed(batch, mergingTargets: false)
    let wanted = batch.targetRows
    try check(objective, batch, rows: wanted.count)
    guard !wanted.isEmpty else { return LossReport() }
    let pass = Pass(batch: batch, space: workspace(for: batch), wanted: wanted, dropout: nil)
    runLayers(pass)
    return runHead(pass, objective, gradientScale: nil, each: each)
  }

  /// As without a consumer, for gradients that nobody needs all at once: ``gradients`` is not touched; the gradient of each
  /// stretch of ``parameters`` is handed over when it is complete (the head's first, then the layers from the last to the
  /// first, the embedding's last), and its memory is used again. `consume` may change the parameters of its stretch.
  ///
  /// - Parameters:
  ///   - batch: the sequences, with targets and weights.
  ///   - dropout: masks for this pass, or nil.
  ///   - consume: takes a range of ``parameters`` and its gradient.
  /// - Returns: the loss, summed.
  /// - Throws: ``StudentError`` on a batch that does not fit the model, or where adapters alone learn.
  public func forwardBackward(
    _ batch: PackedBatch, dropout: Dropout? = nil,
    consume: @escaping (_ range: Range<Int>, _ gradient: UnsafeMutablePointer<Float>) -> Void
  ) throws(StudentError) -> LossReport {
    try require(
      frozen == nil, .configuration, "gradients handed over", "a student whose weights all learn", "one with adapters",
      "take its gradients whole, they are small")
    windows = GradientWindows(consume)
    defer { windows = nil }
    return try train(batch, Objective(), dropout: dropout, accumulate: false, normalizer: nil)
  }

  private func train(
    _ batch: PackedBatch, _ objective: Objective, dropout: Dropout?, accumulate: Bool, normalizer: Float?
  ) throws(StudentError) -> LossReport {
    try batch.validate(vocabularySize: sizes.V, maximumPositions: configuration.maximumPositions)
    let divisor = normalizer.map(Double.init) ?? batch.targetWeight
    // A teacher's or a policy's numbers belong to one target each.
    let batch = computed(batch, mergingTargets: objective.teacher == nil && objective.policy == nil)
    let wanted = batch.targetRows
    try check(objective, batch, rows: wanted.count)
    let rate = dropout?.rate ?? 0
    try require(rate >= 0 && rate < 1, .numberRange, "the dropout rate", "0..<1", "\(rate)", "correct the recipe")
    try require(
      divisor >= 0 && divisor.isFinite, .numberRange, "the normalizer", "a positive number", "\(divisor)",
      "give Σ weight or nil")
    guard !wanted.isEmpty else {
      if !accumulate { gradients.update(repeating: 0) }
      return LossReport()
    }
    let pass = Pass(
      batch: batch, space: workspace(for: batch), wanted: wanted, dropout: dropout, accumulates: accumulate)
    runLayers(pass)
    openGradient(pass, headRange)
    openGradient(pass, finalNormRange)
    let report = runHead(pass, objective, gradientScale: divisor > 0 ? Float(1 / divisor) : 0)
    runLayersBackward(pass)
    return report
  }

  /// The elements of the head: the embedding where they are tied.
  private var headRange: Range<Int> { headOffset..<headOffset + sizes.V * sizes.C }
  private var embeddingRange: Range<Int> { embeddingOffset..<embeddingOffset + sizes.V * sizes.C }
  private var finalNormRange: Range<Int> { finalNormOffset..<finalNormOffset + sizes.C }

  /// Makes the gradient of a stretch of the weights ready for a pass: what is only ever added to becomes zero; a matrix gets its
  /// first product written, which spares writing zeros and reading them again.
  private func openGradient(_ pass: Pass, _ range: Range<Int>) {
    windows?.open(range)
    guard !pass.accumulates else { return }
    for entry in layout.entries where range.contains(entry.offset) {
      let isWritten = entry.shape.count > 1 && (entry.offset != embeddingOffset || headOffset == embeddingOffset)
      if !isWritten { gradient(at: entry.offset)?.update(repeating: 0, count: entry.count) }
    }
  }

  private func check(_ objective: Objective, _ batch: PackedBatch, rows: Int) throws(StudentError) {
    try require(
      batch.softTargets.isEmpty || objective.teacher == nil && objective.policy == nil, .batchShape, "soft targets",
      "none beside a teacher's logits or a policy signal", "\(batch.softTargets.count)", "learn from one teacher")
    if let policy = objective.policy {
      let counts = [policy.advantages.count, policy.sampledLogProbabilities?.count ?? rows]
      try require(
        counts == [rows, rows], .bufferSize, "the policy signal", "\(rows) numbers, one for each target",
        "\(counts[0]) and \(counts[1])", "give one of each for each row with a target")
      try require(
        policy.advantages.allSatisfy(\.isFinite), .numberRange, "the advantages", "finite numbers", "others",
        "correct the rewards")
    }
    guard let teacher = objective.teacher else { return }
    try require(
      teacher.logits.count == rows * sizes.V, .bufferSize, "the teacher's logits", "\(rows) rows of \(sizes.V)",
      "\(teacher.logits.count) numbers", "use forward of a teacher with the same vocabulary on the same batch")
    try require(
      teacher.weight >= 0 && teacher.weight <= 1, .numberRange, "klWeight", "0…1", "\(teacher.weight)",
      "correct the recipe")
    try require(
      (0...DistillationLoss.topLimit).contains(teacher.loss.top), .numberRange, "the tokens kept apart",
      "0…\(DistillationLoss.topLimit)", "\(teacher.loss.top)", "correct the recipe")
  }

  /// Logits, loss and, with a scale, the gradients of the head, chunk by chunk; leaves d(finalNorm) in `space.dNorm`.
  ///
  /// - Parameter each: gets the losses of each chunk of rows, in order.
  func runHead(
    _ pass: Pass, _ objective: Objective, gradientScale: Float?,
    each: (ArraySlice<retort_row_loss>) -> Void = { _ in }
  ) -> LossReport {
    let (space, s) = (pass.space, sizes)
    let (targets, weights) = (
      pass.wanted.map { pass.batch.targets[Int($0)] }, pass.wanted.map { pass.batch.weights[Int($0)] }
    )
    let soft = SoftRows(pass.batch, wanted: pass.wanted)
    var losses = [retort_row_loss](repeating: retort_row_loss(), count: space.headRows)
    var report = LossReport()
    for start in stride(from: 0, to: pass.wanted.count, by: space.headRows) {
      let count = min(space.headRows, pass.wanted.count - start)
      writeLogits(pass, rows: start..<start + count, into: space.logits)
      report =
        report
        + objective.run(
          rows: start..<start + count, logits: space.logits, V: s.V, targets: targets, weights: weights, soft: soft,
          gradientScale: gradientScale, losses: &losses)
      each(losses.prefix(count))
      guard gradientScale != nil else { continue }
      product(
        RETORT_NN, count, s.C, s.V, space.logits, s.V, matrix(headOffset), s.C, into: space.dNorm + start * s.C, s.C,
        space)
      if let dHead = gradient(at: headOffset) {
        product(
          RETORT_TN, s.V, s.C, count, space.logits, s.V, ProductOperand(space.finalNorm + start * s.C), s.C,
          into: dHead, s.C, accumulate: pass.accumulates || start > 0, space)
      }
    }
    return report
  }

  /// From `space.dNorm` (the final norm's output gradient at the wanted rows) down to the embeddings.
  private func runLayersBackward(_ pass: Pass) {
    let (space, s) = (pass.space, sizes)
    retort_rmsnorm_backward(
      pass.wanted.count, s.C, space.output, vector(at: finalNormOffset), space.finalInverseRMS, space.dNorm,
      space.dResidual, 0, gradient(at: finalNormOffset))
    windows?.close(finalNormRange)
    if headOffset != embeddingOffset { windows?.close(headRange) }
    for layer in (0..<s.L).reversed() {
      if space.isShared, layer < s.L - 1 {
        runAttention(pass, layer: layer)
        runGateUp(pass, layer: layer)
      }
      openGradient(pass, layers[layer].range)
      runFeedForwardBackward(pass, layer: layer)
      runAttentionBackward(pass, layer: layer)
      windows?.close(layers[layer].range)
    }
    let rows = pass.batch.rowCount
    openGradient(pass, embeddingRange)
    guard let dEmbedding = gradient(at: embeddingOffset) else { return }
    if let mask = pass.mask(place: 0) { retort_dropout_add(rows * s.C, mask, nil, space.dResidual, space.dResidual) }
    retort_scatter_add_rows(rows, s.C, space.dResidual, pass.batch.tokens, dEmbedding)
    windows?.close(embeddingRange)
  }

  /// The gradient that enters a branch: the residual's, masked as the branch was.
  private func branchGradient(_ pass: Pass, place: Int, rows: Int) -> UnsafeMutablePointer<Float> {
    guard let mask = pass.mask(place: place) else { return pass.space.dResidual }
    retort_dropout_add(rows * sizes.C, mask, nil, pass.space.dResidual, pass.space.branch)
    return pass.space.branch
  }

  private func runFeedForwardBackward(_ pass: Pass, layer: Int) {
    let (space, at, s) = (pass.space, layers[layer], sizes)
    let (a, rows) = (space.layers[layer], pass.rows(layer: layer, of: s))
    let dBranch = branchGradient(pass, place: 2 + 2 * layer, rows: rows)
    applyBackward([(at.down, dBranch)], rows: rows, s.C, into: space.dHidden, space)
    retort_swiglu_backward(rows, s.F, a.gateUp, space.dHidden, space.hidden)
    addGradients(of: at.down, layer: layer, rows: rows, input: space.hidden, gradient: dBranch, s.C, pass)
    applyBackward([(at.gateUp, a.gateUp)], rows: rows, 2 * s.F, into: space.dNorm, space)
    addGradients(of: at.gateUp, layer: layer, rows: rows, input: a.norm2, gradient: a.gateUp, 2 * s.F, pass)
    retort_rmsnorm_backward(
      rows, s.C, a.middle, vector(at: at.norm2), a.inverseRMS2, space.dNorm, space.dResidual, 1,
      gradient(at: at.norm2))
  }

  private func runAttentionBackward(_ pass: Pass, layer: Int) {
    let (space, at, s) = (pass.space, layers[layer], sizes)
    let (a, rows, wanted) = (space.layers[layer], pass.batch.rowCount, pass.rows(layer: layer, of: s))
    let isSubset = layer == s.L - 1 && !pass.isWhole
    let heads = isSubset ? space.tailAttention : a.attention
    let dHeads = isSubset ? space.dTail : space.dAttention
    let dBranch = branchGradient(pass, place: 1 + 2 * layer, rows: wanted)
    applyBackward([(at.o, dBranch)], rows: wanted, s.C, into: dHeads, space)
    addGradients(of: at.o, layer: layer, rows: wanted, input: heads, gradient: dBranch, s.C, pass)
    if isSubset { spreadTail(pass) }
    let sequences = attentionSequences(pass, layer: layer)
    retort_attention_backward(
      sequences, attentionGradients(pass), sequences.count, s.H, s.KV, s.D, s.attentionScale, space.attentionScratch,
      Int32(space.threads))
    retort_rope(rows, s.H + s.KV, s.D, space.dQKV, s.QKV, pass.positions, space.cosine, space.sine, 1)
    let projections = at.projections.enumerated().map { index, map in
      (map: map, dy: space.dQKV + s.projectionColumn(index))
    }
    applyBackward(projections, rows: rows, s.QKV, into: space.dNorm, space)
    for (map, dy) in projections {
      addGradients(of: map, layer: layer, rows: rows, input: a.norm1, gradient: dy, s.QKV, pass)
    }
    retort_rmsnorm_backward(
      rows, s.C, a.input, vector(at: at.norm1), a.inverseRMS1, space.dNorm, space.dResidual, 1,
      gradient(at: at.norm1))
  }

  /// Spreads the last layer's gradients from the wanted rows over all rows; the others get zero.
  private func spreadTail(_ pass: Pass) {
    let (space, s, rows, wanted) = (pass.space, sizes, pass.batch.rowCount, pass.wanted)
    space.dAttention.update(repeating: 0, count: rows * s.HD)
    retort_scatter_add_rows(wanted.count, s.HD, space.dTail, wanted, space.dAttention)
    space.dTail.update(from: space.dResidual, count: wanted.count * s.C)
    space.dResidual.update(repeating: 0, count: rows * s.C)
    retort_scatter_add_rows(wanted.count, s.C, space.dTail, wanted, space.dResidual)
  }

  private func attentionGradients(_ pass: Pass) -> [retort_sequence_gradient] {
    let (space, s, batch) = (pass.space, sizes, pass.batch)
    var gradients = (0..<batch.sequenceCount).map { index in
      let (first, prefix) = (batch.rows(ofSequence: index).lowerBound, batch.prefix(ofSequence: index).lowerBound)
      let (dq, prefixKeys) = (space.dQKV + first * s.QKV, space.dQKV + prefix * s.QKV + s.HD)
      return retort_sequence_gradient(
        dout: space.dAttention + first * s.HD, dq: dq, dk: dq + s.HD, dv: dq + s.HD + s.KVD, prefix_dk: prefixKeys,
        prefix_dv: prefixKeys + s.KVD, next: 0)
    }
    // From the sequence that is continued to the first that does, and from each to the next.
    var last = Array(gradients.indices)
    for (index, continued) in batch.continued.enumerated() where continued >= 0 {
      gradients[last[Int(continued)]].next = Int32(index)
      last[Int(continued)] = index
    }
    return gradients
  }
}
