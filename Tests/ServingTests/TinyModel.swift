import Inference
import ModelFiles
import Serving
import StudentModel
import Tokenization
import Topics

/// A random student that answers in milliseconds.
enum TinyModel {
  static let tools: JSON = [
    [
      "type": "function",
      "function": [
        "name": "play_music",
        "parameters": [
          "type": "object", "properties": ["artist": ["type": "string"], "loud": ["type": "boolean"]],
          "required": ["artist"], "additionalProperties": false,
        ],
      ],
    ],
    [
      "type": "function",
      "function": [
        "name": "stop_music",
        "parameters": ["type": "object", "properties": [:], "required": [], "additionalProperties": false],
      ],
    ],
  ]

  static func serving(seed: UInt64, positions: Int = 256) throws -> ServingModel {
    let functions = try FunctionSet(json: tools)
    let texts = ["play hells bells by acdc", "play something by Björk", "stop the music now"]
    let tokenizer = try Tokenizer.train(
      texts + texts, vocabularySize: 400, spaceFused: 16, structure: CallCodec.structureTokens(for: functions))
    let configuration = DecoderConfiguration(
      vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 2, headCount: 2, keyValueHeadCount: 1,
      feedForwardSize: 64, maximumPositions: positions, tiesEmbeddings: true)
    let student = try Student(
      configuration: configuration, seed: seed,
      initialization: Initialization(embeddingDeviation: 0.3, linearGain: 1.5))
    return try withExtendedLifetime(student) {
      try ServingModel(
        configuration: configuration, parameters: UnsafeBufferPointer(student.parameters), tokenizer: tokenizer,
        functions: functions)
    }
  }

  /// A served model that calls itself version `version` of `assistant`.
  static func served(version: Int, positions: Int = 256) throws -> ServedModel {
    ServedModel(
      model: try serving(seed: UInt64(version), positions: positions), name: "assistant", version: version,
      epoch: Int64(version), digest: .sha256("version \(version)"), threshold: 0.5)
  }
}
