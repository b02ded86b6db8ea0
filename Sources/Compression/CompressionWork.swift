import ModelFiles
import StudentModel
import Tokenization
import Topics
import Training

/// The steps of one compression, each a function of what it is given.
struct CompressionWork {
  let policy: CompressionPolicy
  /// How the parent was trained.
  let recipe: TrainingRecipe
  let functions: FunctionSet?
  /// What importance and calibration are measured on.
  let recent: [TrainingSample]
  /// What the student recovers on.
  let training: [TrainingSample]
  let description: StudentDescription
  let progress: ((StepReport) throws -> Void)?

  /// A student with the tokenizer whose ids it speaks.
  struct Start {
    let student: Student
    let tokenizer: Tokenizer
    let description: StudentDescription
  }

  /// Turns samples into tokens; nil without functions.
  func encoder(_ tokenizer: Tokenizer, _ configuration: DecoderConfiguration) throws -> SampleEncoder? {
    try functions.map {
      try SampleEncoder(
        tokenizer: tokenizer, functions: $0,
        maximumSequence: min(policy.maximumSequence, configuration.maximumPositions))
    }
  }

  // MARK: - Pruning

  /// The parent, and without the tokens that no sample uses where the plan says so.
  ///
  /// What is left predicts as before, as far as it can be said: it is the teacher of the recovery.
  func withoutUnusedTokens(_ parent: Student, _ tokenizer: Tokenizer) throws -> Start {
    guard policy.prune.dropsUnusedTokens else {
      return Start(student: parent, tokenizer: tokenizer, description: description)
    }
    guard let encoder = try encoder(tokenizer, parent.configuration), !(training + recent).isEmpty else {
      throw CompressionError(
        .mismatch, context: "prune, vocabulary", expected: "samples and functions, to see which tokens are used",
        found: "none", advice: "give labelled requests with --data and --functions, or leave vocabulary=used out")
    }
    var used: Set<Int32> = []
    for sample in training + recent {
      guard case .success(let encoded) = encoder.encode(sample) else { continue }
      used.formUnion(encoded.prompt)
      used.formUnion(encoded.answer)
    }
    let smaller = try tokenizer.pruned(keeping: used)
    var shape = PruningShape(parent.configuration)
    shape.vocabularySize = smaller.kept.count
    let student = try Pruner.prune(
      parent, to: shape, importance: Importance(weightsOf: parent), rows: smaller.kept)
    var description = description
    description.endOfText = try description.endOfText.map { try Self.renumbered($0, smaller.kept) }
    description.otherEnds = description.otherEnds.compactMap { Self.place(of: $0, in: smaller.kept) }
    description.beginning = description.beginning.flatMap { Self.place(of: $0, in: smaller.kept) }
    return Start(student: student, tokenizer: smaller.tokenizer, description: description)
  }

  private static func place(of id: Int, in kept: [Int32]) -> Int? {
    kept.firstIndex(of: Int32(truncatingIfNeeded: id))
  }

  private static func renumbered(_ id: Int, _ kept: [Int32]) throws(CompressionError) -> Int {
    guard let new = place(of: id, in: kept) else {
      throw CompressionError(
        .mismatch, context: "prune, vocabulary", expected: "an end of text among the added tokens", found: "id \(id)",
        advice: "correct eos_token_id of the model")
    }
    return new
  }

  /// The student of the shape that the plan asks for, the same one where that is its own; and the harm measured.
  func pruned(
    _ start: Start, _ batches: [PackedBatch], _ encoder: SampleEncoder?
  ) throws -> (student: Student, harm: Double?) {
    let (parent, plan) = (start.student, policy.prune)
    let given = try plan.shape(of: parent.configuration)
    guard plan.target != nil || given != PruningShape(parent.configuration) else { return (parent, nil) }
    let divergence = try Divergence(
      from: parent, on: batches, maximumRows: Divergence.rows(parameters: parent.layout.count))
    var importance =
      batches.isEmpty
      ? Importance(weightsOf: parent)
      : Importance(of: parent, statistics: try ActivationStatistics(of: parent, on: batches))
    if policy.importance == .gradients, !batches.isEmpty { try importance.measureGradients(of: parent, on: batches) }
    if let divergence, plan.target != nil || given.layerCount < parent.configuration.layerCount {
      try importance.measureBlocks(of: parent, divergence)
    }
    let search = ShapeSearch(
      parent: parent, importance: importance, divergence: divergence, cost: try cost(start))
    let trial = trial(towards: parent, encoder)
    let shape = try plan.target.map { try search.shape(from: given, target: $0, trial: trial) } ?? given
    let student = try Pruner.prune(parent, to: shape, importance: importance)
    let harm = try divergence.map { try $0(student) }
    parent.releaseBuffers()
    student.releaseBuffers()
    return (student, harm)
  }

  /// A tenth of the recovery; nil where there is none.
  private func trial(towards parent: Student, _ encoder: SampleEncoder?) -> ((Student) throws -> Void)? {
    guard let encoder, !training.isEmpty, policy.recoverySteps != 0 else { return nil }
    return { student in
      var policy = policy
      policy.recoverySteps = max(1, policy.recoverySteps(from: parent, to: student) / 10)
      _ = try Recovery.recover(
        student, towards: parent, on: training, encoder: encoder, policy: policy, training: recipe,
        progress: progress)
    }
  }

  private func cost(_ start: Start) throws -> ModelCost {
    let tied = start.student.configuration.tiesEmbeddings
    return ModelCost(
      elementType: { policy.quantize.elementType($0, $1, tied: tied) }, metadataBytes: try metadataBytes(start))
  }

  private func metadataBytes(_ start: Start) throws -> Int {
    try StudentFile.metadataBytes(
      start.student.configuration, tokenizer: start.tokenizer, functions: functions, description: start.description)
  }

  /// Trains what is left towards what it was.
  func recover(_ student: Student, towards parent: Student, _ encoder: SampleEncoder?) throws -> Recovery.Report? {
    guard let encoder, student !== parent else { return nil }
    return try Recovery.recover(
      student, towards: parent, on: training, encoder: encoder, policy: policy, training: recipe,
      progress: progress)
  }

  // MARK: - Rounding

  /// The tensors as they will be stored.
  struct Rounded {
    let tensors: StoredTensors
    let nearestErrors: [String: Double]
    let recovery: Recovery.Report?
  }

  /// Chooses formats, learns to live with them, scales channels and prepares compensation, as the policy says.
  ///
  /// - Parameter student: changed in place, unless it is the parent.
  func rounded(
    _ student: Student, towards start: Start, batches: [PackedBatch], _ encoder: SampleEncoder?
  ) throws -> Rounded {
    let student = student === start.student && policy.changesWeightsToRound ? student.copy() : student
    let types = try elementTypes(student, start, batches)
    var learned: Recovery.Report?
    if policy.quantizationAwareSteps > 0, let encoder {
      learned = try Recovery.recover(
        student, towards: start.student, on: training, encoder: encoder, policy: policy,
        training: recipe, stored: { types($0.name, $0.shape) }, progress: progress)
    }
    guard !batches.isEmpty, policy.calibrate != .nearest || learned != nil else {
      return Rounded(
        tensors: StoredTensors(student: student, elementType: types), nearestErrors: [:], recovery: learned)
    }
    var tensors = StoredTensors(
      student: student, elementType: types, grams: GramMatrices(of: student, on: batches),
      rounding: learned != nil ? .nearest : policy.calibrate.compensates ? .compensated : .weighted)
    let nearest = try tensors.nearestOutputErrors()
    if learned == nil, policy.calibrate.scales, let grams = tensors.grams {
      _ = try ActivationScaling.scale(
        student, statistics: ActivationStatistics(of: student, on: batches), grams: grams, element: types)
      tensors.grams = GramMatrices(of: student, on: batches)
    }
    return Rounded(tensors: tensors, nearestErrors: nearest, recovery: learned)
  }

  private func elementTypes(
    _ student: Student, _ start: Start, _ batches: [PackedBatch]
  ) throws -> (String, [Int]) -> ElementType {
    let (plan, tied) = (policy.quantize, student.configuration.tiesEmbeddings)
    guard case .bytes(let limit) = plan else { return { plan.elementType($0, $1, tied: tied) } }
    let mix = PrecisionMix(
      student: student,
      divergence: try Divergence(
        from: student, on: batches, maximumRows: Divergence.rows(parameters: student.layout.count)),
      metadataBytes: try metadataBytes(start))
    let formats = try mix.formats(bytes: limit)
    return { name, shape in formats[name] ?? plan.elementType(name, shape, tied: tied) }
  }
}
