import Foundation
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// A small task, its samples, and recipes that train in a fraction of a second.
enum Fixture {
  static let functionsJSON: JSON = [
    [
      "type": "function",
      "function": [
        "name": "set_light", "description": "switches a light",
        "parameters": [
          "type": "object",
          "properties": [
            "room": ["type": "string"], "state": ["type": "string", "enum": ["on", "off"]],
            "level": ["type": "integer"],
          ],
          "required": ["room"], "additionalProperties": false,
        ],
      ],
    ],
    [
      "type": "function",
      "function": [
        "name": "play_song", "description": "plays a song",
        "parameters": [
          "type": "object", "properties": ["song": ["type": "string"], "artist": ["type": "string"]],
          "required": [], "additionalProperties": false,
        ],
      ],
    ],
    [
      "type": "function",
      "function": [
        "name": "stop_all", "description": "stops everything", "parameters": ["type": "object", "properties": [:]],
      ],
    ],
  ]

  static func functions() throws -> FunctionSet { try FunctionSet(json: functionsJSON) }

  static let rooms = ["kitchen", "garden", "attic", "hall", "bath"]
  static let songs = ["yellow moon", "blue river", "old road", "silver", "long way home"]
  static let artists = ["ada", "the crows", "miles", "nina"]

  /// A recipe that is as small as it may be.
  static func recipe(_ change: (inout TrainingRecipe) -> Void = { _ in }) -> TrainingRecipe {
    var recipe = TrainingRecipe()
    recipe.hiddenSize = 32
    recipe.layerCount = 1
    recipe.headCount = 2
    recipe.keyValueHeadCount = 1
    recipe.feedForwardSize = 64
    recipe.vocabularySize = 320
    recipe.spaceFusedPieces = 8
    recipe.tokenizerSamples = 12
    recipe.maximumSequence = 96
    recipe.roundSize = 6
    recipe.replayPerSample = 2
    recipe.batchSize = 4
    recipe.releaseEvery = 20
    recipe.warmupSteps = 5
    recipe.decaySteps = 4
    recipe.candidateSteps = 0
    recipe.baseSteps = 0
    recipe.promptLossShare = 0
    recipe.swapProbability = 0.5
    recipe.swapInventedShare = 0
    recipe.dropout = 0
    recipe.seed = 7
    change(&recipe)
    return recipe
  }

  /// The `index`-th sample of an endless, varied series.
  static func sample(_ index: Int, id: String? = nil, split: Split = .train) -> TrainingSample {
    let room = rooms[index % rooms.count]
    let song = songs[(index / 2) % songs.count]
    let artist = artists[(index / 3) % artists.count]
    let text: String
    let call: Call
    switch index % 4 {
    case 0:
      text = "turn on the light in the \(room) please"
      call = Call(name: "set_light", arguments: ["room": .string(room), "state": "on"])
    case 1:
      text = "play \(song) by \(artist)"
      call = Call(name: "play_song", arguments: ["song": .string(song), "artist": .string(artist)])
    case 2:
      text = "set the \(room) light to \(index % 10) now"
      call = Call(name: "set_light", arguments: ["room": .string(room), "level": .integer(Int64(index % 10))])
    default:
      text = "stop everything in the house \(index % 7)"
      call = Call(name: "stop_all", arguments: [:])
    }
    return make(id: id ?? "r\(index)", text: text, call: call, split: split)
  }

  static func make(id: String, text: String, call: Call, split: Split = .train, weight: Double = 1) -> TrainingSample {
    let record = SampleRecord(id: id, messages: [.user(text)], call: call, split: split, weight: weight)
    return TrainingSample(
      id: id, digest: record.digest, messages: record.messages, call: call, split: split, weight: weight)
  }

  static func cut(_ number: Int) -> TrainingInput { TrainingInput(SampleRecord.cut(after: .sha256("\(number)"))) }

  /// A stream with everything in it: all splits, a relabelling, a repetition, an erasure, two cuts.
  static func stream() -> [TrainingInput] {
    var inputs: [TrainingInput] = []
    for index in 0..<30 {
      let split: Split = index % 11 == 5 ? .gate : index % 11 == 9 ? .dev : .train
      inputs.append(.sample(sample(index, split: split)))
      if index == 14 { inputs.append(.sample(sample(3))) }
      if index == 17 { inputs.append(.sample(sample(41, id: "r4"))) }
      if index == 20 { inputs.append(.tombstone("r6")) }
      if index == 22 { inputs.append(cut(1)) }
    }
    inputs.append(cut(2))
    return inputs
  }

  /// A Hugging Face folder of a small model that knows no functions.
  ///
  /// - Parameter padding: rows of the embedding that no token has.
  static func base(in folder: String, feedForward: Int = 64, padding: Int = 0) throws -> String {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let texts = (0..<24).map { Self.sample($0).messages[0].content }
    let tokenizer = try Tokenizer.train(texts, vocabularySize: 320, spaceFused: 8, structure: [])
    let student = try Student(
      configuration: recipe { $0.feedForwardSize = feedForward }
        .configuration(vocabularySize: tokenizer.vocabularySize + padding),
      seed: 3)
    let end = (id: Int(tokenizer.controls.endOfText), text: "<|endoftext|>")
    try HuggingFaceFolder.write(
      folder + "/base", configuration: student.configuration,
      parameters: student.layout.entries.map {
        (name: $0.name, shape: $0.shape, values: UnsafeBufferPointer(student.parameters($0)))
      },
      tokenizer: HuggingFaceFolder.TokenizerFiles(
        json: tokenizer.huggingFaceJSON, chatTemplate: "{{ messages[0].content }}", endOfText: end))
    return folder + "/base"
  }

  /// A checkpoint as another program would have written it: a text of its header is exchanged for one as long.
  static func rewrite(_ digest: Digest, in store: CheckpointStore, _ old: String, _ new: String) throws -> Digest {
    try #require(old.utf8.count == new.utf8.count)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: store.path(of: digest)))
    bytes.replaceSubrange(try #require(bytes.range(of: Data(old.utf8))), with: Data(new.utf8))
    let other = Digest.sha256(Array(bytes))
    try FileManager.default.createDirectory(
      atPath: "\(store.folder)/\(other.hex.prefix(2))", withIntermediateDirectories: true)
    try bytes.write(to: URL(fileURLWithPath: store.path(of: other)))
    return other
  }

  /// A temporary folder for the time of `body`.
  static func withFolder<T>(_ body: (String) throws -> T) throws -> T {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("training-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }
}
