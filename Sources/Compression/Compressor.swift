import Inference
import ModelFiles
public import StudentModel
public import Tokenization
public import Topics
public import Training

/// Stage 3: prunes, recovers, quantizes, and writes one GGUF file with a GBNF grammar beside it.
///
/// Everything is a pure function of the parent, the samples in order and the policy; the parent is not changed. It
/// deliberately measures nothing on held-out requests: that is the gate's, on the file itself.
public enum Compressor {
  /// Compresses a student.
  ///
  /// - Parameters:
  ///   - parent: The uncompressed student; unchanged.
  ///   - functions: The task; `nil` for a model without one, which gets no grammar.
  ///   - recentSamples: What the importance of neurons is measured on (train split only); empty: weights alone decide.
  ///   - trainingSamples: What the pruned student recovers on (train split only); empty: no recovery.
  ///   - output: The path of the GGUF file; the grammar goes beside it with the ending `.gbnf`.
  ///   - progress: Called after every step of the recovery; what it throws ends the work.
  /// - Throws: ``CompressionError``; `ModelFileError` where a file cannot be written.
  public static func compress(
    parent: Student, tokenizer: Tokenizer, functions: FunctionSet?, recentSamples: [TrainingSample] = [],
    trainingSamples: [TrainingSample] = [], policy: CompressionPolicy = CompressionPolicy(), output: String,
    description: StudentDescription = StudentDescription(), progress: ((StepReport) throws -> Void)? = nil
  ) throws -> CompressionReport {
    let functions = try functions?.inCanonicalOrder()
    let width = parent.configuration.feedForwardSize
    let keep = policy.keptNeurons(of: width)
    var student = parent
    var recovery: Recovery.Report?
    if keep < width {
      let encoder = try functions.map {
        try SampleEncoder(
          tokenizer: tokenizer, functions: $0,
          maximumSequence: min(policy.maximumSequence, parent.configuration.maximumPositions))
      }
      let probes = Array(recentSamples.filter { $0.split == .train }.suffix(policy.activationSamples))
      let activations = try encoder.flatMap {
        try ActivationProbe.activations(of: parent, on: probes, encoder: $0)
      }
      student = try Pruner.pruneFeedForward(parent, keep: keep, activations: activations)
      if let encoder {
        recovery = try Recovery.recover(
          student, towards: parent, on: trainingSamples.filter { $0.split == .train }, encoder: encoder,
          policy: policy, progress: progress)
      }
    }
    let (file, errors) = try StudentFile.write(
      student, tokenizer: tokenizer, functions: functions, as: policy.quantize, description: description, to: output)
    return CompressionReport(
      parametersBefore: parent.layout.count, parametersAfter: student.layout.count,
      configuration: student.configuration, feedForwardBefore: width, weightType: policy.quantize,
      recovery: recovery, tensors: errors, model: file, grammar: try functions.map { try grammar($0, beside: output) })
  }

  /// Compresses the model in a Hugging Face folder, without recovery.
  ///
  /// - Parameter functions: The task, where the model has one.
  /// - Throws: ``CompressionError`` `mismatch` where the folder has no tokenizer; `ModelFileError`, `TokenizationError`.
  public static func compress(
    folder path: String, functions: FunctionSet? = nil, policy: CompressionPolicy = CompressionPolicy(),
    output: String, name: String? = nil
  ) throws -> CompressionReport {
    let folder = try HuggingFaceFolder.read(path)
    guard let json = folder.tokenizerJSON else {
      throw CompressionError(
        .mismatch, context: path, expected: "a tokenizer.json", found: "none",
        advice: "add the tokenizer that belongs to the model")
    }
    let parameters = UnsafeMutableBufferPointer<Float>.allocate(capacity: folder.configuration.parameterCount)
    defer { parameters.deallocate() }
    try folder.copyParameters(into: parameters)
    let student = try Student(configuration: folder.configuration, parameters: UnsafeBufferPointer(parameters))
    var description = StudentDescription()
    if let name { description.name = name }
    description.chatTemplate = folder.chatTemplate
    description.endOfText = folder.endOfTextIDs.first
    return try compress(
      parent: student, tokenizer: try Tokenizer(huggingFace: json), functions: functions, policy: policy,
      output: output, description: description)
  }

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
