public import ModelFiles
public import StudentModel
public import Tokenization
public import Topics

/// Stage 2: learns from samples in the order of the log, in rounds.
///
/// The trunk's weights are a pure function of (base, ordered samples, recipe, numerics version): the threads, the moments
/// at which checkpoints are taken, crashes and the clock have no part in them.
///
/// Records go in by ``enqueue(_:offset:)``; ``advance()`` does the work that has become due, one event at a time, until it
/// returns `nil`. A checkpoint may be taken between any two calls. After an error is thrown by `advance`, the trainer must
/// be given up and restored from its last checkpoint.
///
/// Not thread-safe, and not `Sendable`: one owner uses it at a time. It deliberately keeps nothing of dev and gate samples
/// but their names: they are not its business.
public final class Trainer {
  /// The recipe.
  public let recipe: TrainingRecipe
  /// The functions that the student may call, their keys in canonical order: those of all samples so far, see ``follow(_:base:)``.
  public internal(set) var functions: FunctionSet
  /// The digest of the base model or of the pretrained body; `nil` when the student starts from random weights, and before it exists.
  public private(set) var baseDigest: Digest?
  /// Where pretrained bodies are kept between students; `nil`, the default, trains the body anew. No part of what it becomes.
  public var bodyFolder: String?
  /// Answers new samples before they are learned; `nil` leaves the prequential score out.
  public var predictor: (any CallPredictor)?
  /// Called after every optimizer step; what it throws ends the work, as an error does.
  public var progress: ((StepReport) throws -> Void)?

  package internal(set) var state = TrainerState()
  package internal(set) var memory = SampleMemory()
  package internal(set) var trunk: Trunk?
  /// Called with the identifiers of each batch; for tests that prove what is never presented.
  package var observer: (([String]) -> Void)?
  var segments = SegmentCache()
  let plan: BatchPlan

  /// A trainer that has consumed nothing.
  ///
  /// - Parameters:
  ///   - recipe: The recipe.
  ///   - functions: The functions that the student may call to begin with.
  ///   - base: The model to fine-tune; `nil` trains a tokenizer and a student from scratch.
  /// - Throws: ``TrainingError`` where the base does not fit the recipe.
  public init(recipe: TrainingRecipe, functions: FunctionSet, base: BaseModel? = nil) throws {
    self.recipe = recipe
    let functions = try functions.inCanonicalOrder()
    self.functions = functions
    baseDigest = base?.digest
    plan = BatchPlan(recipe: recipe)
    guard base != nil || recipe.adapters == nil else {
      throw TrainingError(
        .invalidRecipe, context: "lora_rank", expected: "0 for a student from scratch", found: "\(recipe.loraRank)",
        advice: "set lora_rank to 0, or name a base model to put adapters on")
    }
    if let base { trunk = try Self.makeTrunk(base, recipe: recipe, functions: functions) }
  }

  /// A trainer that goes on where another stopped.
  init(
    recipe: TrainingRecipe, functions: FunctionSet, baseDigest: Digest?, state: TrainerState, memory: SampleMemory,
    trunk: Trunk?
  ) {
    self.recipe = recipe
    self.functions = functions
    self.baseDigest = baseDigest
    self.state = state
    self.memory = memory
    self.trunk = trunk
    plan = BatchPlan(recipe: recipe)
  }

  /// Takes in the next record of the log.
  ///
  /// A record before ``position`` has been consumed already and is passed over. A sample whose version is known and the
  /// erasure of an unknown one change nothing, the chain included.
  ///
  /// - Throws: ``TrainingError`` `not_ready` while ``isWorkDue``: what is due must be done before the next record comes, or
  ///   the weights would depend on who calls when.
  public func enqueue(_ input: TrainingInput, offset: Int64) throws(TrainingError) {
    guard offset >= state.position else { return }
    guard !isWorkDue else {
      throw TrainingError(
        .notReady, context: "offset \(offset)", expected: "no work due", found: "a round that waits",
        advice: "call advance() until it returns nil before the next record")
    }
    state.position = offset + 1
    switch input {
    case .sample(let sample):
      guard memory.accept(sample) == .accepted else { return }
    case .cut: state.isCut = true
    case .tombstone(let id):
      guard memory.remove(id: id) else { return }
    }
    state.chain.append(input.digest)
  }

  /// Takes in the next record and does all that becomes due; the events in order.
  ///
  /// - Throws: What ``enqueue(_:offset:)`` and ``advance()`` throw.
  @discardableResult
  public func consume(_ input: TrainingInput, offset: Int64) throws -> [TrainerEvent] {
    var events: [TrainerEvent] = []
    while let event = try advance() { events.append(event) }
    try enqueue(input, offset: offset)
    while let event = try advance() { events.append(event) }
    return events
  }

  /// Whether ``advance()`` has something to do.
  public var isWorkDue: Bool {
    if state.isCut || state.isReleaseDue { return true }
    return memory.pendingCount >= (trunk == nil ? recipe.tokenizerSamples : recipe.roundSize)
  }

  /// Does the next piece of work that is due; `nil` when there is none.
  ///
  /// - Throws: ``TrainingError`` `diverged`, what the predictor, the tokenizer or ``progress`` throw.
  public func advance() throws -> TrainerEvent? {
    guard isWorkDue else { return nil }
    guard memory.pendingCount > 0 || state.round > 0 else {
      // A cut before the first train sample: there is nothing to release.
      state.isCut = false
      return nil
    }
    if trunk == nil {
      return .started(vocabularySize: try start().configuration.vocabularySize, parameterCount: parameterCount)
    }
    // First all rounds that are due: what was consumed names a release, so there is one release point of it at most.
    if memory.pendingCount >= recipe.roundSize || (state.isCut && memory.pendingCount > 0) {
      return .round(try runRound())
    }
    return releasePoint()
  }

  private func releasePoint() -> TrainerEvent {
    let answersCut = state.isCut && memory.pendingCount == 0
    state.releasePoints += 1
    let point = ReleasePoint(
      number: state.releasePoints, round: state.round, samplesLearned: state.samplesLearned,
      newSamples: state.sinceRelease, wasAsked: answersCut, chain: state.chain.digest)
    state.sinceRelease = 0
    state.isReleaseDue = false
    if answersCut { state.isCut = false }
    return .releasePoint(point)
  }

  private func start() throws -> Student {
    let waiting = memory.pending(recipe.tokenizerSamples)
    let texts = waiting.flatMap { $0.sample?.messages.map(\.content) ?? [] }
    let takesLessons = recipe.baseSteps > 0 && recipe.baseShare > 0 && waiting.count <= recipe.baseUntil
    let body = takesLessons ? try PretrainedBody.of(recipe, folder: bodyFolder, progress: progress) : nil
    let trunk = try Self.makeTrunk(texts: texts, recipe: recipe, functions: functions, body: body)
    baseDigest = body?.digest
    state.lessons = takesLessons ? recipe.baseSteps : 0
    self.trunk = trunk
    return trunk.student
  }
}

extension Trainer {
  /// The digest of the base model; `nil` for a student from scratch, whether its layers had lessons or not.
  public var modelDigest: Digest? { state.lessons > 0 ? nil : baseDigest }
  /// The offset of the next record to consume.
  public var position: Int64 { state.position }
  /// The chain of everything consumed.
  public var chain: Digest { state.chain.digest }
  /// The rounds done.
  public var round: Int { state.round }
  /// The optimizer steps of the trunk.
  public var steps: Int { trunk?.optimizer.step ?? 0 }
  /// The samples consumed of all splits, erased and replaced ones included.
  public var samplesSeen: Int { memory.nextSequence }
  /// The train samples learned from, erased and replaced ones included.
  public var samplesLearned: Int { state.samplesLearned }
  /// The release points so far.
  public var releasePoints: Int { state.releasePoints }
  /// The train samples that wait for their round.
  public var pendingSamples: Int { memory.pendingCount }
  /// All predictions of audited samples made before learning.
  public var prequential: PredictionTally { state.prequential }
  /// Those of the last 8 rounds.
  public var recentPrequential: PredictionTally { state.recent.reduce(PredictionTally(), +) }
  /// Whether the traffic counts as drifting: audited samples were lately predicted worse than before, or samples say so.
  public var isDrifting: Bool { state.isDrifting }
  /// How often it began to drift.
  public var drifts: Int { state.drifts }
  /// The student's number of parameters; 0 before it exists.
  public var parameterCount: Int { trunk?.student.layout.count ?? 0 }
  /// The student's tokenizer; `nil` before it exists.
  public var tokenizer: Tokenizer? { trunk?.tokenizer }
  /// The student's sizes; `nil` before it exists.
  public var configuration: DecoderConfiguration? { trunk?.student.configuration }
  /// The trunk's student itself, to look at and not to change; `nil` before it exists.
  public var student: Student? { trunk?.student }
  /// The samples that are trained on, in order.
  public var trainingSamples: [TrainingSample] { memory.learned.map(\.sample) }

  /// The last samples that are trained on, at most `count`, oldest first.
  public func recentSamples(_ count: Int) -> [TrainingSample] {
    memory.learned.suffix(max(0, count)).map(\.sample)
  }

  /// The SHA-256 of the trunk's weights as little-endian bytes; `nil` before the student exists.
  public var weightsDigest: Digest? { trunk.map { Self.weightsDigest(of: $0.student) } }

  /// The SHA-256 of a student's weights as little-endian bytes in canonical order.
  public static func weightsDigest(of student: Student) -> Digest {
    withExtendedLifetime(student) { Digest.sha256(UnsafeRawBufferPointer(student.parameters)) }
  }
}
