import Inference
import ModelFiles
public import StudentModel
public import Tokenization
public import Topics
public import Training

/// Stage 3: prunes, recovers, rounds, and writes one GGUF file with a GBNF grammar beside it; or a Hugging Face folder, without
/// rounding.
///
/// Everything is a pure function of the parent, the samples in order and the policy; the parent is not changed. It
/// deliberately measures nothing on held-out requests: that is the gate's, on the file itself.
public enum Compressor {
  /// Compresses a student.
  ///
  /// - Parameters:
  ///   - parent: The uncompressed student; unchanged.
  ///   - functions: The task; `nil` for a model without one, which gets no grammar.
  ///   - recentSamples: What importance and calibration are measured on (train split only); empty: weights alone decide.
  ///   - trainingSamples: What the pruned student recovers on (train split only); empty: no recovery.
  ///   - recipe: How the parent was trained: the recovery keeps moments and cuts steps into passes as that did.
  ///   - output: The path of the GGUF file; the grammar goes beside it with the ending `.gbnf`. Where ``writesFolder(_:)`` the path
  ///     of a folder that is not there yet, and weights stay F32.
  ///   - progress: Called after every step of the recovery; what it throws ends the work.
  /// - Throws: ``CompressionError``, `mismatch` for a folder of other weights than F32; `ModelFileError` where a file cannot be
  ///   written.
  public static func compress(
    parent: Student, tokenizer: Tokenizer, functions: FunctionSet?, recentSamples: [TrainingSample] = [],
    trainingSamples: [TrainingSample] = [], policy: CompressionPolicy = CompressionPolicy(),
    recipe: TrainingRecipe = TrainingRecipe(), output: String,
    description: StudentDescription = StudentDescription(), progress: ((StepReport) throws -> Void)? = nil
  ) throws -> CompressionReport {
    let isFolder = writesFolder(output)
    guard !isFolder || policy.quantize == .uniform(.f32) else {
      throw CompressionError(
        .mismatch, context: output, expected: "f32 for a folder", found: policy.quantize.text,
        advice: "quantize to f32, or name a file that ends in .gguf")
    }
    // Said before the work, which may take hours. From here on a file's tokenizer is the one that its readers get.
    if isFolder { _ = try parent.configuration.huggingFace(endOfText: 0, padding: 0) }
    let tokenizer = isFolder ? tokenizer : try tokenizer.asInGGUF(addsBeginning: description.addsBeginning(tokenizer))
    let work = CompressionWork(
      policy: policy, recipe: recipe, functions: try functions?.inCanonicalOrder(),
      recent: Array(recentSamples.filter { $0.split == .train }.suffix(policy.activationSamples)),
      training: trainingSamples.filter { $0.split == .train }, description: description, progress: progress)
    let start = try work.withoutUnusedTokens(parent, tokenizer)
    let encoder = try work.encoder(start.tokenizer, parent.configuration)
    let batches = encoder.map { ActivationStatistics.batches(of: work.recent, encoder: $0) } ?? []
    let pruned = try work.pruned(start, batches, encoder)
    let recovery = try work.recover(pruned.student, towards: start.student, encoder)
    let finished = try work.rounded(pruned.student, towards: start, batches: batches, encoder)
    let file =
      isFolder
      ? (
        file: try StudentFile.writeFolder(
          finished.tensors.student, tokenizer: start.tokenizer, functions: work.functions,
          description: start.description, to: output), errors: []
      )
      : try StudentFile.write(
        finished.tensors, tokenizer: start.tokenizer, functions: work.functions, description: start.description,
        to: output)
    return CompressionReport(
      parametersBefore: parent.layout.count, parametersAfter: finished.tensors.student.layout.count,
      configuration: finished.tensors.student.configuration, before: PruningShape(parent.configuration),
      plan: policy.prune, harm: pruned.harm, quantize: policy.quantize, tokenizerDigest: start.tokenizer.digest,
      recovery: recovery, quantizationAware: finished.recovery,
      tensors: file.errors.map { error in
        var error = error
        error.outputErrorNearest = finished.nearestErrors[error.name]
        return error
      },
      model: file.file, grammar: isFolder ? nil : try work.functions.map { try grammar($0, beside: output) })
  }

  /// Compresses a model with the functions and the description that it brings along.
  ///
  /// - Parameters:
  ///   - functions: The task; `nil` for the model's own.
  ///   - samples: What importance, calibration and recovery are measured on, however long as far as the student reads them; they
  ///     need the functions.
  /// - Throws: As the other; ``CompressionError`` `mismatch` for samples without functions or of which none can be learned from,
  ///   and for a share of an axis that its steps are too coarse for.
  public static func compress(
    _ model: UncompressedModel, functions: FunctionSet? = nil, samples: [TrainingSample] = [],
    policy: CompressionPolicy = CompressionPolicy(), output: String, name: String? = nil,
    progress: ((StepReport) throws -> Void)? = nil
  ) throws -> CompressionReport {
    try policy.prune.checkSteps(of: model.student.configuration)
    let functions = functions ?? model.functions
    guard samples.isEmpty || functions != nil else {
      throw CompressionError(
        .mismatch, context: "data", expected: "functions beside the samples", found: "none",
        advice: "name the file of tool definitions with --functions")
    }
    var policy = policy
    if model.hasBase { policy.limitRates(by: model.recipe) }
    let positions = model.student.configuration.maximumPositions
    if positions > policy.maximumSequence {
      policy.maximumSequence = positions
      // All activations of a step of samples as long as that may be more than there is room for.
      model.student.recomputesActivations = true
    }
    if let functions {
      try check(
        samples,
        SampleEncoder(
          tokenizer: model.tokenizer, functions: functions, maximumSequence: positions))
    }
    var description = model.description
    if let name { description.name = name }
    return try compress(
      parent: model.student, tokenizer: model.tokenizer, functions: functions, recentSamples: samples,
      trainingSamples: samples, policy: policy, recipe: model.recipe, output: output, description: description,
      progress: progress)
  }

  /// Checks that one sample at least, where there are some, can be learned from: without any nothing would recover.
  private static func check(_ samples: [TrainingSample], _ encoder: SampleEncoder) throws(CompressionError) {
    var first: SampleEncoder.Unlearnable?
    for sample in samples {
      switch encoder.encode(sample) {
      case .success: return
      case .failure(let reason): first = first ?? reason
      }
    }
    guard let first else { return }
    throw CompressionError(
      .mismatch, context: "data", expected: "samples that the student can learn from",
      found: "none; of the first one, \(first.reason)",
      advice: "give requests that the model can read whole, with calls of its functions")
  }

  /// Whether what is written at a path is a Hugging Face folder: where it does not end in `.gguf`.
  public static func writesFolder(_ output: String) -> Bool { !output.hasSuffix(".gguf") }

  private static func grammar(_ functions: FunctionSet, beside output: String) throws -> WrittenFile {
    let text = try GBNF.grammar(for: functions)
    return try AtomicFile.write(Array(text.utf8), to: grammarPath(beside: output))
  }

  /// Where the grammar of the model at `path` is: the same name ending in `.gbnf`.
  public static func grammarPath(beside path: String) -> String {
    let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return path + ".gbnf" }
    return path[..<dot] + ".gbnf"
  }
}
