import Compression
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// Hugging Face folders, checkpoints and GGUF files, in and out.
@Suite("Compression of folders", .serialized) struct FolderTests {
  @Test("A Hugging Face folder can be written and compressed")
  func folder() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let student = try Fixture.student(tokenizer)
      let functions = try Fixture.functions()
      try StudentFile.writeFolder(student, tokenizer: tokenizer, functions: functions, to: "\(folder)/hf")
      let one = try Compressor.compress(
        UncompressedModel(path: "\(folder)/hf"), functions: functions, policy: Fixture.policy(),
        output: "\(folder)/one.gguf")
      let two = try Compressor.compress(
        parent: student, tokenizer: tokenizer, functions: functions, policy: Fixture.policy(),
        output: "\(folder)/two.gguf")
      #expect(one.model.digest == two.model.digest)
      #expect(one.configuration.feedForwardSize == 64)
      // A file that holds everything is as good as the folder, and brings its functions along.
      _ = try StudentFile.write(
        student, tokenizer: tokenizer, functions: functions, as: .f32, to: "\(folder)/whole.gguf")
      let three = try Compressor.compress(
        UncompressedModel(path: "\(folder)/whole.gguf"), policy: Fixture.policy(), output: "\(folder)/three.gguf")
      #expect(three.model.digest == two.model.digest && three.grammar?.digest == two.grammar?.digest)
      for path in ["none", "none.gguf"] {
        #expect(throws: ModelFileError.self) {
          try Compressor.compress(UncompressedModel(path: "\(folder)/\(path)"), output: "\(folder)/x.gguf")
        }
      }
    }
  }

  @Test(
    "A checkpoint's student becomes a folder of the same logits, with the template it was trained in; and that folder another",
    arguments: [false, true])
  func checkpointAsFolder(isFineTuned: Bool) throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      let own = "{{ messages[0].content }}"
      let base = isFineTuned ? try Fixture.chatMLBase(template: own, functions: functions, in: folder) : nil
      let trainer = try Trainer(recipe: Fixture.recipe(), functions: functions, base: base)
      for (offset, sample) in Fixture.samples(24).enumerated() {
        try trainer.consume(.sample(sample), offset: Int64(offset))
      }
      let store = CheckpointStore(folder: "\(folder)/checkpoints")
      let checkpoint = store.path(of: try trainer.checkpoint(to: store).digest)
      let branch = try trainer.branch()
      #expect(branch.steps == 4)
      let codec = try CallCodec(tokenizer: branch.tokenizer, functions: functions)
      #expect(codec.template == (isFineTuned ? .chatML : .retort))
      let tokens = codec.prompt([.user("set the attic light to 3")])
      let expected = try withExtendedLifetime(branch.student) {
        try DecoderModel(
          configuration: branch.student.configuration, parameters: UnsafeBufferPointer(branch.student.parameters),
          tokenizer: branch.tokenizer
        ).logits(tokens: tokens)
      }
      let dense = Fixture.policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      for (input, output) in [(checkpoint, "\(folder)/one"), ("\(folder)/one", "\(folder)/two")] {
        let report = try Compressor.compress(UncompressedModel(path: input), policy: dense, output: output)
        #expect(report.model.path == "\(output)/model.safetensors" && report.grammar == nil && report.tensors.isEmpty)
        #expect(
          try FileManager.default.contentsOfDirectory(atPath: output).sorted() == [
            "config.json", "generation_config.json", "model.safetensors", "retort.json", "tokenizer.json",
            "tokenizer_config.json",
          ])
        let read = try HuggingFaceFolder.read(output)
        #expect(read.chatTemplate == codec.template.jinja && read.chatTemplate != own)
        #expect(read.endOfTextIDs == [Int(codec.endOfAnswer)])
        #expect(read.tokenizerJSON == branch.tokenizer.huggingFaceJSON)
        let found = try DecoderModel(folder: output).logits(tokens: tokens)
        #expect(found == expected)
      }

      // What is there stays, and weights of a folder are not rounded.
      let model = try UncompressedModel(path: "\(folder)/two")
      #expect(throws: ModelFileError.self) {
        try Compressor.compress(model, policy: dense, output: "\(folder)/one")
      }
      let error = #expect(throws: CompressionError.self) {
        try Compressor.compress(model, policy: Fixture.policy(), output: "\(folder)/three")
      }
      #expect(error?.code == .mismatch)
      let lost = #expect(throws: TrainingError.self) {
        try UncompressedModel(path: store.path(of: Digest.sha256("lost")))
      }
      #expect(lost?.code == .checkpointNotFound)
    }
  }

  @Test(
    "A file made of a checkpoint's folder is the one made of the checkpoint: functions, whole words, search, precision",
    arguments: Precision.allCases)
  func fileOfFolder(precision: Precision) throws {
    try Fixture.withFolder { folder in
      let functions = try Fixture.functions()
      var recipe = Fixture.recipe()
      recipe.precision = precision
      let trainer = try Trainer(recipe: recipe, functions: functions)
      // Whole words are held to from 50 labels on.
      for (offset, sample) in Fixture.samples(60).enumerated() {
        try trainer.consume(.sample(sample), offset: Int64(offset))
      }
      #expect(trainer.trainingSamples.count == 60)
      let store = CheckpointStore(folder: "\(folder)/checkpoints")
      let model = try UncompressedModel(path: store.path(of: trainer.checkpoint(to: store).digest), alternatives: 3)
      let dense = Fixture.policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      _ = try Compressor.compress(model, policy: dense, output: "\(folder)/hf")
      let direct = try Compressor.compress(model, policy: Fixture.policy(), output: "\(folder)/direct.gguf")
      let indirect = try Compressor.compress(
        UncompressedModel(path: "\(folder)/hf"), policy: Fixture.policy(), output: "\(folder)/indirect.gguf")
      #expect(indirect.model.digest == direct.model.digest && indirect.grammar?.digest == direct.grammar?.digest)

      let served = try ServingModel(gguf: "\(folder)/indirect.gguf")
      #expect(served.answersInWholeWords && served.alternatives == 3)
      #expect(served.functions.names == functions.names)
      #expect(served.metadata["retort.template"]?.string == served.codec.template.name)
      #expect(served.metadata["retort.numerics"]?.string == Numerics.version(precision))
    }
  }

  @Test("A folder's retort.json that does not hold is refused in one sentence that names the file")
  func folderSettings() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      try StudentFile.writeFolder(
        Fixture.student(tokenizer), tokenizer: tokenizer, functions: nil, to: "\(folder)/hf")
      let file = "\(folder)/hf/retort.json"
      #expect(!FileManager.default.fileExists(atPath: file), "of a model without a task there is nothing to say")
      for (text, found) in [
        ("[]", "array"), (#"{"weights": 1}"#, "an unknown key"), (#"{"whole_words": 1}"#, "1"),
        (#"{"alternatives": 1001}"#, "1001"), (#"{"alternatives": -1}"#, "-1"), (#"{"alternatives": "8"}"#, "\"8\""),
        (#"{"answer_tokens": 0}"#, "0"),
        (#"{"precision": "fp8"}"#, "\"fp8\""), (#"{"functions": 7}"#, "found integer"),
        (
          #"{"functions": [{"name": "a", "parameters": {"type": "object", "dependentRequired": {}}}]}"#,
          "dependentRequired"
        ),
      ] {
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        let error = #expect(throws: CompressionError.self, "\(text)") {
          try UncompressedModel(path: "\(folder)/hf")
        }
        #expect(error?.code == .mismatch && error?.context.hasPrefix(file) == true, "\(text)")
        let sentence = error?.description ?? ""
        #expect(sentence.contains(found) && !sentence.contains("\n"), "\(sentence)")
      }
      try Data("{".utf8).write(to: URL(fileURLWithPath: file))
      let broken = #expect(throws: ModelFileError.self) { try UncompressedModel(path: "\(folder)/hf") }
      #expect(broken?.code == .malformed && broken?.context == file)
      try Data(#"{"whole_words": true, "alternatives": 0}"#.utf8).write(to: URL(fileURLWithPath: file))
      let model = try UncompressedModel(path: "\(folder)/hf")
      #expect(model.functions == nil && model.description.metadata.map(\.value) == [.bool(true), .uint32(0)])
      // It is kept on the way to a file and back to a folder.
      try Data(#"{"answer_tokens": 600}"#.utf8).write(to: URL(fileURLWithPath: file))
      let dense = Fixture.policy {
        $0.prune = PruningPlan()
        $0.quantize = .uniform(.f32)
      }
      for (input, output) in [("hf", "long.gguf"), ("long.gguf", "again")] {
        _ = try Compressor.compress(
          UncompressedModel(path: "\(folder)/\(input)"), policy: dense, output: "\(folder)/\(output)")
      }
      let again = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/again/retort.json"))
      #expect(try JSON.parse([UInt8](again)) == ["answer_tokens": 600])
    }
  }

  @Test("What no folder can say, a GGUF file's divisors of rotary frequencies, is refused before the work")
  func divisors() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      var configuration = try Fixture.student(tokenizer).configuration
      configuration.ropeScaling = .divisors([Float](repeating: 2, count: configuration.headSize / 2))
      let student = try Student(configuration: configuration, seed: 3)
      let error = #expect(throws: ModelFileError.self) {
        try Compressor.compress(
          parent: student, tokenizer: tokenizer, functions: Fixture.functions(), trainingSamples: Fixture.samples(9),
          policy: Fixture.policy { $0.quantize = .uniform(.f32) }, output: "\(folder)/hf",
          progress: { _ in Issue.record("a step of the recovery") })
      }
      #expect(error?.code == .unsupported)
    }
  }

  @Test(
    "A student without a template of its own gets the one it is asked in; an end of text that is no token is refused")
  func templates() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.chatML(structure: CallCodec.structureTokens(for: Fixture.functions()))
      let student = try Fixture.student(tokenizer)
      try StudentFile.writeFolder(
        student, tokenizer: tokenizer, functions: Fixture.functions(), to: "\(folder)/plain/")
      let read = try HuggingFaceFolder.read("\(folder)/plain")
      #expect(read.chatTemplate == PromptTemplate.chatML.jinja)
      let end = try #require(tokenizer.control("<|im_end|>"))
      #expect(read.endOfTextIDs == [Int(end)])
      var description = StudentDescription()
      description.endOfText = tokenizer.vocabularySize
      #expect(throws: CompressionError.self) {
        try StudentFile.writeFolder(
          student, tokenizer: tokenizer, functions: nil, description: description, to: "\(folder)/wrong")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["plain"])
    }
  }

  @Test("A file teaches a student with as many rows as that has, and is known by the same digest")
  func teacherFile() throws {
    try Fixture.withFolder { folder in
      let tokenizer = try Fixture.tokenizer()
      let student = try Fixture.student(tokenizer)
      let path = "\(folder)/teacher.gguf"
      _ = try StudentFile.write(student, tokenizer: tokenizer, functions: Fixture.functions(), as: .f32, to: path)
      let rows = student.configuration.vocabularySize
      let whole = try DistillationTeacher(path: path, tokenizer: tokenizer)
      let wider = try DistillationTeacher(path: path, tokenizer: tokenizer, rows: rows + 32)
      let back = try DistillationTeacher(path: path, tokenizer: tokenizer, rows: rows)
      let digest = try DistillationTeacher.digest(path: path)
      #expect(whole.digest == digest && wider.digest == digest && back.digest == digest)
      #expect(wider.student.configuration.vocabularySize == rows + 32)
      for entry in student.layout.entries {
        let own = Array(student.parameters(entry))
        let found = Array(wider.student.parameters(try #require(wider.student.layout[entry.name])))
        #expect(Array(back.student.parameters(entry)) == own && found.prefix(own.count) == own[...], "\(entry.name)")
        #expect(found.dropFirst(own.count).allSatisfy { $0 == 0 }, "\(entry.name)")
      }
    }
  }
}
