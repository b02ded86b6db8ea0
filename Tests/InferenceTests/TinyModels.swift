import Inference
import ModelFiles
import StudentModel
import Tokenization
import Topics

/// Small random models, made in milliseconds.
enum TinyModels {
  static let music: JSON = [
    [
      "name": "play_music",
      "parameters": [
        "type": "object",
        "properties": [
          "artist": ["type": "string"],
          "song": ["anyOf": [["type": "string"], ["type": "array", "items": ["type": "string"]]]],
          "volume": ["type": "integer", "minimum": 0, "maximum": 10],
        ], "required": [],
      ],
    ],
    [
      "name": "set_alarm",
      "parameters": [
        "type": "object",
        "properties": ["time": ["type": "string"], "repeat": ["type": "boolean"], "tone": ["enum": ["soft", "loud"]]],
        "required": ["time"],
      ],
    ],
  ]

  static let requests = [
    "play hells bells by acdc", "wake me at seven", "set an alarm for half past six with a soft tone",
    "play \"Jolene\"",
    "something by Björk at volume 7, please", "x",
  ]

  static func functions() throws -> FunctionSet { try FunctionSet(json: music) }

  static func tokenizer(_ functions: FunctionSet) throws -> Tokenizer {
    try Tokenizer.train(
      requests + requests, vocabularySize: 512, spaceFused: 16, structure: CallCodec.structureTokens(for: functions))
  }

  static func configuration(_ tokenizer: Tokenizer, hidden: Int = 64, ties: Bool = true, bias: Bool = true)
    -> DecoderConfiguration
  {
    DecoderConfiguration(
      vocabularySize: tokenizer.vocabularySize, hiddenSize: hidden, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      feedForwardSize: 96, maximumPositions: 256, tiesEmbeddings: ties, attentionBias: bias)
  }

  /// A student with random weights, biases and norms included.
  static func student(_ configuration: DecoderConfiguration, seed: UInt64 = 1) throws -> Student {
    let student = try Student(
      configuration: configuration, seed: seed,
      initialization: Initialization(embeddingDeviation: 0.3, linearGain: 1.5))
    var random = RandomSource(seed)
    for entry in student.layout.entries where entry.shape.count == 1 {
      for index in entry.range { student.parameters[index] += Float.random(in: -0.3...0.3, using: &random) }
    }
    return student
  }

  static func serving(seed: UInt64 = 1) throws -> ServingModel {
    let functions = try functions()
    let tokenizer = try tokenizer(functions)
    return try serve(student(configuration(tokenizer), seed: seed), tokenizer, functions)
  }

  static func serve(_ student: Student, _ tokenizer: Tokenizer, _ functions: FunctionSet) throws -> ServingModel {
    try withExtendedLifetime(student) {
      try ServingModel(
        configuration: student.configuration, parameters: UnsafeBufferPointer(student.parameters), tokenizer: tokenizer,
        functions: functions)
    }
  }

  /// Writes a student as GGUF, matrices as `type`.
  static func write(
    _ student: Student, _ tokenizer: Tokenizer, _ functions: FunctionSet, type: ElementType, to path: String
  )
    throws
  {
    var writer = GGUFWriter()
    let fileTypes: [ElementType: GGUFWriter.FileType] = [.q8_0: .q8, .q4_0: .q4, .f16: .f16, .bf16: .bf16]
    try writer.set(student.configuration, name: "tiny", fileType: fileTypes[type] ?? .f32)
    try writer.set(
      GGUFVocabulary(
        tokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges,
        endOfText: Int(tokenizer.controls.endOfText)))
    try writer.set(ServingModel.functionsKey, .string(functions.json.text))
    for entry in student.layout.entries {
      var values = Array(student.parameters[entry.range])
      if let order = student.configuration.ggufRowOrder(entry.name) {
        values = order.flatMap { values[Int($0) * entry.shape[1]..<(Int($0) + 1) * entry.shape[1]] }
      }
      let bytes: [UInt8]
      let isMatrix = entry.shape.count == 2
      switch type {
      case .q8_0 where isMatrix: bytes = try Quantization.q8_0(values)
      case .q4_0 where isMatrix: bytes = try Quantization.q4_0(values)
      case .f16 where isMatrix: bytes = values.flatMap { value in bytesOf(Quantization.half(value)) }
      case .bf16 where isMatrix: bytes = values.flatMap { value in bytesOf(Quantization.bfloat(value)) }
      default: bytes = values.flatMap { bytesOf($0.bitPattern) }
      }
      try writer.add(
        GGUFNames.gguf(entry.name) ?? entry.name, type: isMatrix ? type : .f32, shape: entry.shape, bytes)
    }
    _ = try writer.write(to: path)
  }

  private static func bytesOf(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
