public import ModelFiles
public import StudentModel
public import Tokenization
public import Topics

/// Writes students as files that other programs read.
public enum StudentFile {
  /// One GGUF file with weights, tokenizer, template and the `retort.*` keys: the same arguments, the same bytes.
  ///
  /// - Parameter functions: The functions; `nil` for a model without a task.
  /// - Returns: the file and what storing each tensor cost.
  /// - Throws: `ModelFileError`, `TokenizationError` where the tokenizer has no template.
  public static func write(
    _ student: Student, tokenizer: Tokenizer, functions: FunctionSet?, as type: QuantizationPlan.WeightType,
    description: StudentDescription = StudentDescription(), to path: String
  ) throws -> (file: WrittenFile, errors: [TensorError]) {
    let tied = student.configuration.tiesEmbeddings
    let tensors = StoredTensors(
      student: student,
      elementType: { QuantizationPlan.uniform(type).elementType($0, $1, tied: tied) })
    return try write(tensors, tokenizer: tokenizer, functions: functions, description: description, to: path)
  }

  /// The same with tensors rounded in any way.
  static func write(
    _ tensors: StoredTensors, tokenizer: Tokenizer, functions: FunctionSet?, description: StudentDescription,
    to path: String
  ) throws -> (file: WrittenFile, errors: [TensorError]) {
    let student = tensors.student
    let types = Set(
      student.layout.entries.filter { $0.shape.count == 2 }.map { tensors.elementType($0.name, $0.shape) })
    var writer = try metadata(
      student.configuration, precision: student.precision, tokenizer: tokenizer, functions: functions,
      description: description, types: types)
    var errors: [TensorError] = []
    for entry in student.layout.entries {
      let stored = try tensors.store(entry)
      try writer.add(
        GGUFNames.gguf(entry.name) ?? entry.name, type: stored.error.type, shape: entry.shape, stored.bytes)
      errors.append(stored.error)
    }
    return (try writer.write(to: path), errors)
  }

  /// The bytes of such a file without its tensors.
  static func metadataBytes(
    _ configuration: DecoderConfiguration, tokenizer: Tokenizer, functions: FunctionSet?,
    description: StudentDescription
  ) throws -> Int {
    try metadata(
      configuration, precision: .fp32, tokenizer: tokenizer, functions: functions, description: description,
      types: [.q8_0]
    ).metadataBytes
  }

  private static func metadata(
    _ configuration: DecoderConfiguration, precision: Precision, tokenizer: Tokenizer, functions: FunctionSet?,
    description: StudentDescription, types: Set<ElementType>
  ) throws -> GGUFWriter {
    var writer = GGUFWriter()
    // The file's type names the first of these that a mix has; runtimes read each tensor's own.
    let fileTypes: [(ElementType, GGUFWriter.FileType)] = [
      (.q4_k, .q4k), (.q4_0, .q4), (.q6_k, .q6), (.q8_0, .q8), (.bf16, .bf16), (.f16, .f16),
    ]
    let fileType = fileTypes.first { types.contains($0.0) }?.1 ?? .f32
    try writer.set(configuration, name: description.name, fileType: fileType)
    let (codec, end, template) = try language(tokenizer, functions, description)
    var vocabulary = try vocabulary(tokenizer, size: configuration.vocabularySize, end: end, template: template)
    vocabulary.beginning = description.beginning ?? end
    vocabulary.addsBeginning = description.addsBeginning(tokenizer)
    try writer.set(vocabulary)
    if let functions, let codec {
      try writer.set("retort.functions", .string(String(decoding: functions.json.sorted, as: UTF8.self)))
      try writer.set("retort.functions_digest", .string(functions.digest.hex))
      try writer.set("retort.template", .string(codec.template.name))
    }
    try writer.set("retort.tokenizer_digest", .string(tokenizer.digest.hex))
    try writer.set("retort.numerics", .string(Numerics.version(precision)))
    for (key, value) in description.metadata { try writer.set(key, value) }
    return writer
  }

  /// How prompts are written and answers end: as the description says, else as belongs to the tokenizer.
  private static func language(
    _ tokenizer: Tokenizer, _ functions: FunctionSet?, _ description: StudentDescription
  ) throws -> (codec: CallCodec?, end: Int, template: String?) {
    let codec = try functions.map { try CallCodec(tokenizer: tokenizer, functions: $0) }
    let end = description.endOfText ?? Int(codec?.endOfAnswer ?? tokenizer.controls.endOfText)
    return (codec, end, description.chatTemplate ?? codec?.template.jinja)
  }

  /// An uncompressed student as a Hugging Face folder that `transformers` loads: the same weights, in single precision. What a
  /// file has under `retort.*` is in its `retort.json`: a file made of the folder answers as one made of the student.
  ///
  /// - Parameters:
  ///   - functions: The functions, which decide what ends an answer; `nil` for a model without a task.
  ///   - description: A base's own chat template, beginning and ends of text, and how the student answers; a folder has no name and no
  ///     other metadata.
  /// - Throws: `ModelFileError`, `TokenizationError`; ``CompressionError`` `mismatch` where no token ends a text.
  @discardableResult
  public static func writeFolder(
    _ student: Student, tokenizer: Tokenizer, functions: FunctionSet?,
    description: StudentDescription = StudentDescription(), to path: String
  ) throws -> WrittenFile {
    let (_, end, template) = try language(tokenizer, functions, description)
    let tokens = tokenizer.ggufTokens
    guard tokens.indices.contains(end) else {
      throw CompressionError(
        .mismatch, context: path, expected: "an end of text among the \(tokens.count) tokens", found: "id \(end)",
        advice: "correct eos_token_id of the model")
    }
    var files = HuggingFaceFolder.TokenizerFiles(
      json: tokenizer.huggingFaceJSON, chatTemplate: template, endOfText: (id: end, text: tokens[end]))
    files.otherEnds = description.otherEnds
    files.beginning = description.beginning.flatMap { tokens.indices.contains($0) ? (id: $0, text: tokens[$0]) : nil }
    files.addsBeginning = description.addsBeginning(tokenizer)
    return try HuggingFaceFolder.write(
      path, configuration: student.configuration,
      parameters: student.layout.entries.map {
        (name: $0.name, shape: $0.shape, values: UnsafeBufferPointer(student.parameters($0)))
      },
      tokenizer: files,
      settings: FolderSettings(functions: functions, precision: student.precision, metadata: description.metadata).json)
  }

  /// The vocabulary with one token for each row of the embedding.
  private static func vocabulary(
    _ tokenizer: Tokenizer, size: Int, end: Int, template: String?
  ) throws -> GGUFVocabulary {
    var tokens = tokenizer.ggufTokens
    var types = tokenizer.ggufTypes
    for id in tokens.count..<max(tokens.count, size) {
      tokens.append("[PAD\(id)]")
      types.append(GGUFVocabulary.TokenType.unused.rawValue)
    }
    return try GGUFVocabulary(
      tokens: tokens, types: types, merges: tokenizer.ggufMerges, endOfText: end,
      preTokenizer: tokenizer.ggufPreTokenizer(), chatTemplate: template, normalizesToNFC: tokenizer.normalizesToNFC)
  }
}
