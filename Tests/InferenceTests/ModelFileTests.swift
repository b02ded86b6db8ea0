import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics

@Suite("Model files")
struct ModelFileTests {
  /// A temporary folder that is removed at the end.
  private func inFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("inference-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path + "/tiny.gguf")
  }

  private func parts() throws -> (Student, Tokenizer, FunctionSet) {
    let functions = try TinyModels.functions()
    let tokenizer = try TinyModels.tokenizer(functions)
    return (try TinyModels.student(TinyModels.configuration(tokenizer)), tokenizer, functions)
  }

  @Test(
    "A GGUF file serves like its own weights in fp32: to the bit, and where activations are rounded nearly so",
    arguments: [(ElementType.f32, 0), (.f16, 0), (.bf16, 0), (.q8_0, 0.05), (.q4_0, 0.05)]
      as [(ElementType, Float)])
  func types(_ type: ElementType, _ tolerance: Float) throws {
    let (student, tokenizer, functions) = try parts()
    try inFolder { path in
      try TinyModels.write(student, tokenizer, functions, type: type, to: path)
      let model = try ServingModel(gguf: path)
      let file = try GGUFFile(path: path)
      for entry in student.layout.entries {
        let values = try file.parameter(entry.name, shape: entry.shape).floats()
        for (index, value) in zip(entry.range, values) { student.parameters[index] = value }
      }
      let exact = try TinyModels.serve(student, tokenizer, functions)
      #expect(model.functions.digest == functions.digest)
      #expect(model.configuration == student.configuration)
      #expect(model.byteCount > 0)
      let tokens = model.codec.prompt([.user("play hells bells by acdc")])
      #expect(tokens == exact.codec.prompt([.user("play hells bells by acdc")]))
      for (row, expected) in zip(try model.logits(tokens: tokens), try exact.logits(tokens: tokens)) {
        let scale = expected.map(abs).max() ?? 1
        let worst = zip(row, expected).map { abs($0 - $1) }.max() ?? 0
        #expect(worst <= tolerance * scale, "\(worst / scale)")
      }
    }
  }

  @Test("A Llama file, its queries and keys interleaved, serves with the bits of the parameters it was written from")
  func llama() throws {
    let functions = try TinyModels.functions()
    let tokenizer = try TinyModels.tokenizer(functions)
    var configuration = TinyModels.configuration(tokenizer, bias: false)
    configuration.ropeScaling = .llama3(
      factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64)
    let student = try TinyModels.student(configuration)
    let exact = try TinyModels.serve(student, tokenizer, functions)
    try inFolder { path in
      try TinyModels.write(student, tokenizer, functions, type: .f32, to: path)
      let model = try ServingModel(gguf: path)
      #expect(model.configuration.attentionBias == false)
      #expect(model.configuration.ropeDivisors?.count == 8)
      let tokens = (0..<50).map { Int32($0 * 7 % 300) }
      let (found, expected) = (try model.logits(tokens: tokens), try exact.logits(tokens: tokens))
      // The divisors are single-precision numbers in the file.
      let worst = zip(found.joined(), expected.joined()).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst < 1e-4 * (expected.joined().map(abs).max() ?? 0))
    }
  }

  @Test("A file without functions serves the ones that are passed, and says so when there are none")
  func functions() throws {
    let (student, tokenizer, functions) = try parts()
    try inFolder { path in
      var writer = GGUFWriter()
      try writer.set(student.configuration, name: "plain", fileType: .f32)
      try writer.set(
        GGUFVocabulary(
          tokens: tokenizer.ggufTokens, types: tokenizer.ggufTypes, merges: tokenizer.ggufMerges,
          endOfText: Int(tokenizer.controls.endOfText)))
      for entry in student.layout.entries {
        let bytes = student.parameters[entry.range].flatMap { value in
          withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
        }
        try writer.add(GGUFNames.gguf(entry.name) ?? entry.name, type: .f32, shape: entry.shape, bytes)
      }
      _ = try writer.write(to: path)
      #expect(try ServingModel(gguf: path, functions: functions).functions.digest == functions.digest)
      let error = #expect(throws: InferenceError.self) { try ServingModel(gguf: path) }
      #expect(error?.code == .badMetadata)
      #expect(try DecoderModel(gguf: path).tokenizer?.vocabularySize == tokenizer.vocabularySize)
    }
  }

  @Test("Parameters that are written one after the other, each once, give what those in one buffer give")
  func written() throws {
    let (student, tokenizer, functions) = try parts()
    var names: [String] = []
    let model = try ServingModel(
      configuration: student.configuration, tokenizer: tokenizer, functions: functions
    ) { name, values in
      names.append(name)
      guard let entry = student.layout[name] else { return }
      _ = values.update(fromContentsOf: student.parameters(entry))
    }
    #expect(Set(names) == Set(student.layout.entries.map(\.name)) && names.count == student.layout.entries.count)
    let whole = try TinyModels.serve(student, tokenizer, functions)
    let tokens = Array(tokenizer.encode("turn the kitchen light on"))
    #expect(try model.logits(tokens: tokens) == whole.logits(tokens: tokens))
    #expect(model.byteCount == whole.byteCount && model.byteCount == student.layout.count * 4)
  }

  @Test("Missing files, wrong counts and values that are not numbers are named")
  func clearErrors() throws {
    let missing = #expect(throws: InferenceError.self) { try ServingModel(gguf: "/nonexistent/model.gguf") }
    #expect(missing?.code == .unreadable)
    let (student, tokenizer, functions) = try parts()
    let short = #expect(throws: InferenceError.self) {
      try withExtendedLifetime(student) {
        try DecoderModel(
          configuration: student.configuration, parameters: UnsafeBufferPointer(rebasing: student.parameters.dropLast())
        )
      }
    }
    #expect(short?.code == .badArgument)
    var small = student.configuration
    small.vocabularySize = 32
    let count = small.parameterCount
    let mismatch = #expect(throws: InferenceError.self) {
      try ServingModel(
        configuration: small, parameters: UnsafeBufferPointer(rebasing: student.parameters[0..<count]),
        tokenizer: tokenizer, functions: functions)
    }
    #expect(mismatch?.code == .badTokenizer)
    student.parameters[student.layout.count - 1] = .nan
    let poisoned = #expect(throws: InferenceError.self) { try TinyModels.serve(student, tokenizer, functions) }
    #expect(poisoned?.code == .badTensor)
    #expect(poisoned?.description.contains("model.norm.weight") == true)
  }

  @Test("A damaged file gives an error or finite answers, never a crash", arguments: 0..<3)
  func fuzz(_ part: Int) throws {
    let (student, tokenizer, functions) = try parts()
    try inFolder { path in
      try TinyModels.write(student, tokenizer, functions, type: [.q8_0, .f32, .q4_0][part], to: path)
      let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      var random = RandomSource(UInt64(part) + 77)
      var errors = 0
      for round in 0..<60 {
        var bytes = original
        if round % 4 == 0 {
          bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
        } else {
          // Most flips go into the metadata and the tensor table, where they hurt.
          let limit = round % 4 == 3 ? bytes.count : min(bytes.count, 40_000)
          for _ in 0..<(round % 3 + 1) {
            bytes[Int.random(in: 0..<limit, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
          }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          let model = try ServingModel(gguf: path)
          let answers = try Decoder(model: model, maximumBatch: 2).answer(
            [[.user("play hells bells")], [.user("wake me at seven")]], options: DecodeOptions(maximumTokens: 24))
          #expect(answers.allSatisfy { $0.confidence.isFinite && ($0.call != nil || $0.invalidReason != nil) })
        } catch let error as InferenceError {
          errors += 1
          #expect(!error.description.isEmpty)
        }
      }
      #expect(errors > 15)
    }
  }
}
