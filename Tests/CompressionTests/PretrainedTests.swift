import Compression
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

@Suite("Models that others have trained") struct PretrainedTests {
  private let dense = {
    var policy = CompressionPolicy()
    policy.prune = PruningPlan()
    policy.quantize = .uniform(.f32)
    return policy
  }()

  /// The members of a tokenizer's `tokenizer.json`.
  private func file(_ tokenizer: Tokenizer) throws -> JSONObject {
    try #require(JSON.parse(tokenizer.huggingFaceJSON).objectValue)
  }

  private func beginning(with id: Int32) -> JSON {
    [
      "type": "TemplateProcessing", "single": [["SpecialToken": ["id": "b"]], ["Sequence": ["id": "A"]]],
      "special_tokens": ["b": ["ids": [.integer(Int64(id))]]],
    ]
  }

  @Test("A student is released under the tokenizer that readers of its file find, whatever else its base's says")
  func tokenizerOfReaders() throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let plain = try Fixture.chatML()
      // Added tokens that are rows of the vocabulary too and are found in normalized text, and one that is put before texts.
      var json = try file(plain)
      var model = try #require(json["model"]?.objectValue)
      var vocabulary = try #require(model["vocab"]?.objectValue)
      let added = try #require(json["added_tokens"]?.arrayValue)
      json["added_tokens"] = .array(
        try added.map { token in
          var token = try #require(token.objectValue)
          vocabulary[try #require(token["content"]?.stringValue)] = token["id"]
          token["normalized"] = true
          return .object(token)
        })
      model["vocab"] = .object(vocabulary)
      json["model"] = .object(model)
      json["post_processor"] = beginning(with: plain.controls.endOfText)
      let tokenizer = try Tokenizer(huggingFace: JSON.object(json).bytes)
      #expect(tokenizer.beginning == plain.controls.endOfText)
      let base = try Fixture.chatMLBase(
        tokenizer: tokenizer, template: "{{ messages[0].content }}", functions: functions, in: folder)

      let trainer = try Trainer(recipe: Fixture.recipe(), functions: functions, base: base)
      for (offset, sample) in Fixture.samples(24).enumerated() {
        try trainer.consume(.sample(sample), offset: Int64(offset))
      }
      let store = CheckpointStore(folder: "\(folder)/checkpoints")
      let student = try UncompressedModel(path: store.path(of: trainer.checkpoint(to: store).digest))
      let report = try Compressor.compress(student, policy: dense, output: "\(folder)/student.gguf")
      let served = try ServingModel(gguf: "\(folder)/student.gguf")
      #expect(served.tokenizer.digest == report.tokenizerDigest && report.tokenizerDigest != student.tokenizer.digest)
      #expect(served.metadata["retort.tokenizer_digest"]?.string == report.tokenizerDigest.hex)
      let codec = try CallCodec(tokenizer: student.tokenizer, functions: functions)
      let messages = [ChatMessage.user("set the attic light to 3")]
      #expect(served.codec.prompt(messages) == codec.prompt(messages))
      // The file can teach a student of the folder, though it says less of their tokens.
      let path = "\(folder)/student.gguf"
      try DistillationTeacher.check(path: path, tokenizer: student.tokenizer, positions: 256)
      var recipe = Fixture.recipe()
      recipe.distillTeacher = try DistillationTeacher.digest(path: path).hex
      let taught = try Trainer(recipe: recipe, functions: functions, base: base)
      for (offset, sample) in Fixture.samples(12).enumerated() {
        try taught.consume(.sample(sample), offset: Int64(offset))
      }
      let load: DistillationTeacher.Loader = { try DistillationTeacher(path: path, tokenizer: $0, rows: $1) }
      #expect(try taught.branch(teacher: taught.teacher(load)).finalLoss.isFinite)
      // No prompt of the student had a beginning, nor was it written in the base's template.
      let read = try GGUFFile(path: "\(folder)/student.gguf").vocabulary()
      #expect(!read.addsBeginning && read.chatTemplate == PromptTemplate.chatML.jinja)
    }
  }

  @Test("A base that cannot be asked or released is refused before it is trained, with the folder's name")
  func refused() throws {
    try Fixture.withFolder { folder in
      let plain = try Fixture.chatML()
      let word = try #require(plain.ggufMerges.first).replacing(" ", with: "")
      var merged = try file(plain)
      var printed = merged
      let added = try #require(merged["added_tokens"]?.arrayValue)
      let id = try #require(merged["model"]?["vocab"]?[word])
      merged["added_tokens"] = .array([["id": id, "content": .string(word), "special": false]] + added)
      printed["added_tokens"] = .array(
        try added.map { token in
          var token = try #require(token.objectValue)
          if token["content"] == "<|im_start|>" { token["special"] = false }
          return .object(token)
        })
      for (name, json, code) in [
        ("merged", merged, TokenizationError.Code.unsupported), ("printed", printed, .missingToken),
      ] {
        try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        let error = #expect(throws: TokenizationError.self) {
          try Fixture.chatMLBase(
            tokenizer: Tokenizer(huggingFace: JSON.object(json).bytes), template: "", functions: Fixture.functions(),
            in: "\(folder)/\(name)")
        }
        #expect(error?.code == code && error?.context.hasPrefix("\(folder)/\(name)/base, ") == true)
      }
    }
  }

  @Test(
    "A model's beginning of text and all its ends are in what is written of it, and each window of a perplexity begins so"
  )
  func beginningAndEnds() throws {
    try Fixture.withFolder { folder in
      let own = String(decoding: try Fixture.tokenizer().huggingFaceJSON, as: UTF8.self)
        .replacing("<|system|>", with: "<|begin_of_text|>").replacing("<|tool|>", with: "<|eot_id|>")
      let plain = try Tokenizer(huggingFace: Array(own.utf8))
      let begin = try #require(plain.control("<|begin_of_text|>"))
      let (turn, end) = (Int(try #require(plain.control("<|eot_id|>"))), Int(plain.controls.endOfText))
      var json = try file(plain)
      json["post_processor"] = beginning(with: begin)
      let tokenizer = try Tokenizer(huggingFace: JSON.object(json).bytes)
      var description = StudentDescription()
      description.endOfText = turn
      description.otherEnds = [end]
      description.beginning = Int(begin)
      try StudentFile.writeFolder(
        Fixture.student(tokenizer), tokenizer: tokenizer, functions: nil, description: description, to: "\(folder)/hf")
      // As Llama 3's, which names the end of an answer last.
      let generation: JSON = ["eos_token_id": [.integer(Int64(end)), .integer(Int64(turn))]]
      try Data(generation.bytes).write(to: URL(fileURLWithPath: "\(folder)/hf/generation_config.json"))

      for (input, output) in [("hf", "model.gguf"), ("model.gguf", "again.gguf")] {
        let report = try Compressor.compress(
          UncompressedModel(path: "\(folder)/\(input)"), policy: dense, output: "\(folder)/\(output)")
        let vocabulary = try GGUFFile(path: "\(folder)/\(output)").vocabulary()
        #expect(vocabulary.beginning == Int(begin) && vocabulary.addsBeginning && vocabulary.endOfText == turn)
        let read = try Tokenizer(vocabulary)
        #expect(read.digest == report.tokenizerDigest && read.encodeWithAddedTokens("hall").first == begin)
      }
      for (input, output, ends) in [("hf", "same", [turn, end]), ("model.gguf", "other", [turn])] {
        _ = try Compressor.compress(
          UncompressedModel(path: "\(folder)/\(input)"), policy: dense, output: "\(folder)/\(output)")
        let read = try HuggingFaceFolder.read("\(folder)/\(output)")
        #expect(read.endOfTextIDs == ends && read.endOfTextText == "<|eot_id|>")
        #expect(read.beginningText == "<|begin_of_text|>")
        for name in ["config", "generation_config"] {
          let file = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(output)/\(name).json"))
          #expect(try JSON.parse([UInt8](file))["bos_token_id"] == .integer(Int64(begin)), "\(name)")
        }
      }

      let model = try DecoderModel(folder: "\(folder)/same")
      let text = "set the kitchen light to 3 and the attic light to 4"
      let tokens = tokenizer.encode(text)
      let whole = try Perplexity.evaluate(model, text: text)
      #expect(try whole == Perplexity.evaluate(model, tokens: [begin] + tokens))
      #expect(
        try whole.tokens == tokens.count && Perplexity.evaluate(model, text: text, window: 4).tokens == tokens.count)
    }
  }

  @Test("A tokenizer of more tokens than the model has rows is refused before anything is made of it")
  func moreTokensThanRows() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      var configuration = try Fixture.student(tokenizer).configuration
      configuration.vocabularySize -= 1
      try StudentFile.writeFolder(
        Student(configuration: configuration, seed: 3), tokenizer: tokenizer, functions: nil, to: "\(folder)/hf")
      let error = #expect(throws: CompressionError.self) { try UncompressedModel(path: "\(folder)/hf") }
      #expect(error?.code == .mismatch && error?.found == "\(tokenizer.vocabularySize)")
    }
  }
}
