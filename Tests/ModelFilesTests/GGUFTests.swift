import Foundation
import ModelFiles
import PythonPeers
import Testing
import Topics

@Suite("GGUF")
struct GGUFTests {
  @Test("a file that Python wrote is read")
  func readsGolden() throws {
    let file = try GGUFFile(bytes: golden("tiny.gguf"))
    let expected: [(String, GGUFValue)] = [
      ("general.architecture", .string("qwen2")), ("general.name", .string("tiny")), ("qwen2.block_count", .uint32(3)),
      ("test.u8", .uint8(200)), ("test.i8", .int8(-100)), ("test.u16", .uint16(60000)), ("test.i16", .int16(-30000)),
      ("test.i32", .int32(-2_000_000_000)), ("test.u64", .uint64(1 << 63 + 1)), ("test.i64", .int64(-(1 << 62))),
      ("test.f32", .float32(1e-6)), ("test.f64", .float64(0.1)), ("test.bool", .bool(true)),
      ("test.string", .string("naïve ☕")), ("test.strings", .strings(["a", "Ġb", ""])),
      ("test.ints", .integers([1, -2, 3])),
    ]
    #expect(file.keys == expected.map(\.0))
    for (key, value) in expected { #expect(file.metadata[key] == value, "\(key)") }
    let weights = floats(try golden("weights.f32"))
    #expect(file.tensors.map(\.name) == ["token_embd.weight", "blk.0.q8", "blk.0.q4", "blk.0.norm", "blk.0.half"])
    let embedding = try file.tensor("token_embd.weight")
    #expect(embedding.shape == [2, 32])
    #expect(try embedding.floats() == Array(weights[..<64]))
    #expect(try Array(file.tensor("blk.0.q8").bytes) == golden("weights.q8_0"))
    #expect(try file.tensor("blk.0.q4").shape == [weights.count / 32, 32])
    #expect(try file.tensor("blk.0.half").floats() == weights[32..<64].map { Float(Float16($0)) })
  }

  @Test("the same metadata and tensors give the bytes that Python writes")
  func writesGolden() throws {
    let bytes = try golden("tiny.gguf")
    let file = try GGUFFile(bytes: bytes)
    var writer = GGUFWriter()
    for key in file.keys { try writer.set(key, #require(file.metadata[key])) }
    for tensor in file.tensors { try writer.add(tensor.name, type: tensor.type, shape: tensor.shape, tensor.bytes) }
    try withFolder { folder in
      let written = try writer.write(to: "\(folder)/copy.gguf")
      #expect(Array(try Data(contentsOf: URL(fileURLWithPath: written.path))) == bytes)
      #expect(written.digest == Digest.sha256(bytes))
    }
  }

  @Test("damaged files give an error or a checked file, and never stop the process")
  func fuzz() throws {
    let bytes = try golden("tiny.gguf")
    var refused = 0
    for copy in damaged(bytes, header: 900, flips: 4_000, seed: 2) {
      do {
        for tensor in try GGUFFile(bytes: copy).tensors { _ = try tensor.floats() }
      } catch {
        refused += 1
      }
    }
    #expect(refused > 1_000)
  }

  @Test("absurd counts are refused before memory is asked for", arguments: [8, 16])
  func absurdCounts(_ place: Int) throws {
    for value: UInt64 in [.max, 1 << 62, 1 << 40, 1 << 20] {
      var bytes = try golden("tiny.gguf")
      for index in 0..<8 { bytes[place + index] = UInt8(truncatingIfNeeded: value >> (index * 8)) }
      #expect(throws: ModelFileError.self) { try GGUFFile(bytes: bytes) }
    }
  }

  @Test("arrays of more elements than any model has are refused before memory is asked for")
  func hugeArray() throws {
    func number(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    let count = GGUFFile.maximumElements + 1
    var bytes = Array("GGUF".utf8) + number(3 as UInt32) + number(0 as UInt64) + number(1 as UInt64)
    bytes += number(1 as UInt64) + Array("k".utf8) + number(9 as UInt32) + number(0 as UInt32) + number(UInt64(count))
    bytes += [UInt8](repeating: 0, count: count)
    #expect {
      try GGUFFile(bytes: bytes)
    } throws: {
      ($0 as? ModelFileError)?.code == .tooLarge
    }
  }

  @Test("a decoder with its vocabulary comes back as it was written")
  func decoder() throws {
    let configuration = tinyConfiguration
    let vocabulary = GGUFVocabulary(
      tokens: (0..<64).map { "t\($0)" }, types: [Int32](repeating: 1, count: 63) + [3], merges: ["t 1"], endOfText: 63,
      chatTemplate: "{{ messages }}")
    try withFolder { folder in
      let written = try write(configuration, vocabulary, to: "\(folder)/model.gguf")
      #expect(try write(configuration, vocabulary, to: "\(folder)/again.gguf").digest == written.digest)
      let file = try GGUFFile(path: "\(folder)/model.gguf")
      #expect(try file.decoderConfiguration() == configuration)
      #expect(try file.vocabulary() == vocabulary)
      for (name, shape, values) in parameters(configuration) {
        let tensor = try file.parameter(name, shape: shape)
        if shape.count == 1 { #expect(try tensor.floats() == values) } else { #expect(tensor.type == .q8_0) }
      }
      #expect(throws: ModelFileError.self) { try file.parameter("model.norm.weight", shape: [33]) }
    }
  }

  @Test("what begins a text comes back, and Llama 3's is put before texts where the file does not say")
  func beginning() throws {
    try withFolder { folder in
      var vocabulary = GGUFVocabulary(
        tokens: (0..<64).map { "t\($0)" }, types: [Int32](repeating: 1, count: 62) + [3, 3], merges: ["t 1"],
        endOfText: 63, beginning: 62, addsBeginning: true, preTokenizer: "llama-bpe")
      _ = try write(tinyConfiguration, vocabulary, to: "\(folder)/model.gguf")
      #expect(try GGUFFile(path: "\(folder)/model.gguf").vocabulary() == vocabulary)
      vocabulary.beginning = 64
      #expect(throws: ModelFileError.self) {
        try write(tinyConfiguration, vocabulary, to: "\(folder)/outside.gguf")
      }
      for (name, id) in [("llama-bpe", 62), ("qwen2", 62), ("llama-bpe", 64)] as [(String, UInt32)] {
        var writer = GGUFWriter()
        try writer.set("tokenizer.ggml.model", .string("gpt2"))
        try writer.set("tokenizer.ggml.pre", .string(name))
        try writer.set("tokenizer.ggml.tokens", .strings(vocabulary.tokens))
        try writer.set("tokenizer.ggml.token_type", .integers(vocabulary.types))
        try writer.set("tokenizer.ggml.merges", .strings(vocabulary.merges))
        try writer.set("tokenizer.ggml.eos_token_id", .uint32(63))
        try writer.set("tokenizer.ggml.bos_token_id", .uint32(id))
        try writer.add("a", type: .f32, shape: [1], [0, 0, 0, 0])
        let path = "\(folder)/\(name)-\(id).gguf"
        _ = try writer.write(to: path)
        let read = try GGUFFile(path: path).vocabulary()
        #expect(read.beginning == (id == 62 ? 62 : 63) && read.addsBeginning == (name == "llama-bpe" && id == 62))
      }
    }
  }

  @Test(
    "the package gguf reads a decoder as it was written",
    .enabled(if: Python.has("gguf"), "PyPI's gguf is not installed"))
  func python() throws {
    let vocabulary = GGUFVocabulary(
      tokens: (0..<64).map { "t\($0)" }, types: [Int32](repeating: 1, count: 64), merges: ["t 1"], endOfText: 63)
    try withFolder { folder in
      _ = try write(tinyConfiguration, vocabulary, to: "\(folder)/model.gguf")
      let program = """
        import sys, gguf
        r = gguf.GGUFReader(sys.argv[1])
        f = r.fields
        print(f["general.architecture"].contents(), f["qwen2.attention.head_count_kv"].contents(), end=" ")
        print(len(f["tokenizer.ggml.tokens"].contents()), f["tokenizer.ggml.tokens"].contents()[5], end=" ")
        t = {t.name: t for t in r.tensors}
        print(len(t), t["blk.1.ffn_down.weight"].tensor_type.name, *t["blk.1.ffn_down.weight"].shape, end=" ")
        print(abs(gguf.quants.dequantize(t["token_embd.weight"].data, t["token_embd.weight"].tensor_type)).max() < 0.51)
        """
      let result = try Python.run(program, ["\(folder)/model.gguf"])
      #expect(result.output == "qwen2 2 64 t5 26 Q8_0 64 32 True\n")
    }
  }

  @Test("writers refuse what would not be a file", arguments: 0..<6)
  func refuses(_ what: Int) {
    #expect(throws: ModelFileError.self) {
      var writer = GGUFWriter()
      switch what {
      case 0: try writer.add("a", type: .f32, shape: [2], [0, 0, 0, 0])
      case 1: try writer.add("a", type: .q8_0, shape: [2, 16], [UInt8](repeating: 0, count: 34))
      case 2: try writer.add(String(repeating: "a", count: 64), type: .u8, shape: [1], [0])
      case 3:
        try writer.set("k", .bool(true))
        try writer.set("k", .bool(true))
      case 4: try writer.set("k", .array(.int32, [.int32(1), .string("x")]))
      default: try writer.set("general.alignment", .uint32(7))
      }
    }
  }

  private func write(
    _ configuration: DecoderConfiguration, _ vocabulary: GGUFVocabulary, to path: String
  ) throws -> WrittenFile {
    var writer = GGUFWriter()
    try writer.set(configuration, name: "tiny", fileType: .q8)
    try writer.set(vocabulary)
    for (name, shape, values) in parameters(configuration) {
      let name = try #require(GGUFNames.gguf(name))
      if shape.count == 1 {
        try writer.add(name, type: .f32, shape: shape, values.withUnsafeBytes { Array($0) })
      } else {
        try writer.add(name, type: .q8_0, shape: shape, Quantization.q8_0(values))
      }
    }
    return try writer.write(to: path)
  }
}
