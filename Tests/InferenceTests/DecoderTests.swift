import CKernels
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics

@Suite("The decoder")
struct DecoderTests {
  @Test("Its logits are the student's, bit for bit", arguments: [true, false])
  func studentParity(_ ties: Bool) throws {
    let tokenizer = try TinyModels.tokenizer(TinyModels.functions())
    let configuration = TinyModels.configuration(tokenizer, ties: ties)
    let student = try TinyModels.student(configuration)
    let model = try DecoderModel(configuration: configuration, parameters: UnsafeBufferPointer(student.parameters))
    var random = RandomSource(5)
    for length in [1, 2, 17, 70] {
      let tokens = (0..<length).map { _ in Int32.random(in: 0..<Int32(configuration.vocabularySize), using: &random) }
      let batch = PackedBatch(
        tokens: tokens, sequenceStarts: [0, Int32(length)], targets: tokens,
        weights: [Float](repeating: 1, count: length))
      let expected = try student.forward(batch)
      #expect(try model.logits(tokens: tokens).flatMap { $0 } == expected)
    }
  }

  @Test("Decoding with the cache gives the bits of reading everything again")
  func cache() throws {
    let model = try TinyModels.serving()
    let prompt = model.codec.prompt([.user(TinyModels.requests[0])])
    let answer = try Decoder(model: model, maximumBatch: 1).answer(
      [[.user(TinyModels.requests[0])]], options: DecodeOptions(constrained: false, maximumTokens: 24))[0]
    var tokens = prompt
    var text: [UInt8] = []
    for _ in 0..<answer.tokens {
      let last = try #require(try model.logits(tokens: tokens).last)
      let best = Int32(try #require(last.indices.max { last[$0] < last[$1] || (last[$0] == last[$1] && $0 > $1) }))
      tokens.append(best)
      text += model.tokenizer.bytes(of: best)
    }
    #expect(answer.tokens > 0)
    #expect(String(decoding: text, as: UTF8.self) == answer.text)
  }

  @Test(
    "Drawn answers are the same whatever shares their batch, and others with another seed", arguments: [true, false])
  func sampling(_ constrained: Bool) throws {
    let model = try TinyModels.serving(seed: 3)
    let prompts = TinyModels.requests.flatMap { Array(repeating: [ChatMessage.user($0)], count: 4) }
    func draw(_ seed: UInt64, batch: Int, temperature: Double = 1, from first: Int = 0) throws -> [[Int32]] {
      try Decoder(model: model, maximumBatch: batch).answer(
        Array(prompts[first...]),
        options: DecodeOptions(
          constrained: constrained, maximumTokens: 12,
          sampling: DecodeOptions.Sampling(temperature: temperature, seed: seed, first: first))
      ).map(\.generated)
    }
    let alone = try draw(1, batch: 1)
    #expect(try draw(1, batch: 3, from: 7) == Array(alone[7...]))
    for batch in [3, 24] { #expect(try draw(1, batch: batch) == alone) }
    #expect(try draw(2, batch: 8) != alone)
    #expect(Set(alone).count > TinyModels.requests.count)
    let greedy = try Decoder(model: model).answer(
      prompts, options: DecodeOptions(constrained: constrained, maximumTokens: 12, alternatives: 0))
    #expect(try draw(1, batch: 8, temperature: 0.001) == greedy.map(\.generated))
  }

  @Test("Tokens are drawn as often as they are probable", arguments: [1.0, 0.5])
  func drawnFrequencies(temperature: Double) throws {
    let model = try TinyModels.serving(seed: 3)
    let prompt = [ChatMessage.user(TinyModels.requests[0])]
    let count = 4_000
    let answers = try Decoder(model: model, maximumBatch: 256).answer(
      Array(repeating: prompt, count: count),
      options: DecodeOptions(
        constrained: false, maximumTokens: 1, sampling: DecodeOptions.Sampling(temperature: temperature, seed: 9)))
    let logits = try #require(try model.logits(tokens: model.codec.prompt(prompt)).last)
    let top = Double(try #require(logits.max()))
    let shares = logits.map { exp((Double($0) - top) / temperature) }
    let sum = shares.reduce(0, +)
    var found = [Double](repeating: 0, count: logits.count)
    for answer in answers { found[Int(try #require(answer.generated.first))] += 1 }
    for (share, drawn) in zip(shares, found) {
      let expected = Double(count) * share / sum
      #expect(abs(drawn - expected) < 5 * (expected + 1).squareRoot())
    }
  }

  @Test("The answer is the most probable one, which the greedy answer need not be")
  func mostProbable() throws {
    let level: JSON = ["enum": ["low", "medium", "high"]]
    let functions = try FunctionSet(
      json: JSON.array(
        ["heat", "cool", "fan"].map { name in
          let properties: JSON = ["level": level, "room": ["enum": ["hall", "kitchen"]], "now": ["type": "boolean"]]
          return ["name": .string(name), "parameters": ["type": "object", "properties": properties, "required": []]]
        }))
    let tokenizer = try TinyModels.tokenizer(functions)
    let prompt = [ChatMessage.user("cool the hall")]
    var surpassed = 0
    for seed in 0..<8 as Range<UInt64> {
      let student = try TinyModels.student(TinyModels.configuration(tokenizer), seed: seed)
      let model = try TinyModels.serve(student, tokenizer, functions)
      func answer(_ alternatives: Int) throws -> Answer {
        try Decoder(model: model).answer([prompt], options: DecodeOptions(alternatives: alternatives))[0]
      }
      let drawn = try Decoder(model: model, maximumBatch: 64).answer(
        Array(repeating: prompt, count: 600),
        options: DecodeOptions(sampling: DecodeOptions.Sampling(seed: seed)))
      let likeliest = try #require(drawn.max { $0.confidence < $1.confidence })
      let found = try answer(10_000)
      #expect(found.text == likeliest.text)
      #expect(abs(found.confidence / likeliest.confidence - 1) < 1e-9)
      let (greedy, short) = (try answer(0), try answer(2))
      #expect(greedy.confidence <= short.confidence && short.confidence <= found.confidence)
      surpassed += greedy.text == found.text ? 0 : 1
    }
    #expect(surpassed > 0)
  }

  @Test("Beginnings that are followed together give the answers of those followed one after the other")
  func beginningsTogether() throws {
    var (answers, better) = (0, 0)
    for seed in 0..<RandomSchemas.count(16) {
      var schemas = RandomSchemas(seed: UInt64(seed) &+ 9_000)
      let functions = try schemas.functions()
      let tokenizer = try TinyModels.tokenizer(functions)
      let student = try TinyModels.student(TinyModels.configuration(tokenizer, hidden: 32), seed: UInt64(seed))
      let model = try TinyModels.serve(student, tokenizer, functions)
      let prompts = (0..<4).map { _ in [ChatMessage.user(schemas.request())] }
      func answer(_ alternatives: Int, batch: Int, rows: Int) throws -> [Answer] {
        try Decoder(model: model, maximumBatch: batch, rows: rows).answer(
          prompts, options: DecodeOptions(maximumTokens: seed % 3 == 0 ? 12 : 80, alternatives: alternatives))
      }
      for alternatives in [1, 3, 8, 40] {
        let single = try answer(alternatives, batch: 1, rows: 1)
        for (batch, rows) in [(1, 2), (1, 64), (3, 5), (4, 16)] {
          let together = try answer(alternatives, batch: batch, rows: rows)
          #expect(together.map(\.text) == single.map(\.text))
          #expect(together.map(\.generated) == single.map(\.generated))
          #expect(together.map(\.confidence) == single.map(\.confidence))
          #expect(together.map(\.invalidReason) == single.map(\.invalidReason))
        }
        answers += single.count
        better += zip(single, try answer(0, batch: 4, rows: 8)).count { $0.confidence > $1.confidence }
      }
    }
    #expect(better > answers / 10)
  }

  @Test("What is no longer needed of a search is used again", arguments: [(1, 16), (16, 40)])
  func searchMemory(_ rows: Int, _ limit: Int) throws {
    for seed in 0..<6 as Range<UInt64> {
      let decoder = try Decoder(model: TinyModels.serving(seed: seed), maximumBatch: 1, rows: rows)
      for request in TinyModels.requests {
        _ = try decoder.answer([[.user(request)]], options: DecodeOptions(alternatives: 200))
      }
      #expect(decoder.cacheCount <= limit)
    }
  }

  @Test("How far better answers are looked for is what the model says, unless the options do")
  func releasedAlternatives() throws {
    var differing = 0
    for seed in 0..<6 as Range<UInt64> {
      let plain = try TinyModels.serving(seed: seed)
      func answers(_ released: GGUFValue?, _ alternatives: Int?) throws -> [String] {
        let model = try ServingModel(
          model: plain.model, functions: plain.functions,
          metadata: released.map { [ServingModel.alternativesKey: $0] } ?? [:])
        return try Decoder(model: model).answer(
          TinyModels.requests.map { [.user($0)] }, options: DecodeOptions(alternatives: alternatives)
        ).map { "\($0.text) \($0.confidence)" }
      }
      let (greedy, searched) = (try answers(nil, 0), try answers(nil, nil))
      #expect(try answers(.uint32(0), nil) == greedy)
      #expect(try answers(.uint32(0), 8) == searched)
      #expect(try answers(.uint32(8), nil) == searched)
      #expect(try answers(.uint32(8), 0) == greedy)
      differing += zip(greedy, searched).count { $0 != $1 }
    }
    #expect(differing > 0)
    let plain = try TinyModels.serving()
    for wrong in [.uint32(1_001), .int32(-1), .string("many")] as [GGUFValue] {
      let error = #expect(throws: InferenceError.self) {
        try ServingModel(
          model: plain.model, functions: plain.functions, metadata: [ServingModel.alternativesKey: wrong])
      }
      #expect(error?.code == .badMetadata && error?.context == "retort.alternatives")
    }
  }

  @Test("An answer has as many tokens as the model was released with, if the options do not say")
  func releasedLength() throws {
    let plain = try TinyModels.serving()
    func answers(_ released: GGUFValue?, _ maximum: Int?) throws -> [String] {
      let model = try ServingModel(
        model: plain.model, functions: plain.functions,
        metadata: released.map { [ServingModel.answerTokensKey: $0] } ?? [:])
      return try Decoder(model: model).answer(
        TinyModels.requests.map { [.user($0)] }, options: DecodeOptions(maximumTokens: maximum)
      ).map { "\($0.text) \($0.confidence)" }
    }
    let (one, standard) = (try answers(nil, 1), try answers(nil, nil))
    #expect(one != standard)
    #expect(try answers(nil, 256) == standard)
    #expect(try answers(.uint32(1), nil) == one)
    #expect(try answers(.uint32(1), 256) == standard)
    for wrong in [.uint32(0), .string("many")] as [GGUFValue] {
      let error = #expect(throws: InferenceError.self) {
        try ServingModel(
          model: plain.model, functions: plain.functions, metadata: [ServingModel.answerTokensKey: wrong])
      }
      #expect(error?.code == .badMetadata && error?.context == "retort.answer_tokens")
    }
  }

  @Test("An answer has the same bits whatever shares its batch", arguments: [true, false])
  func batchInvariance(_ constrained: Bool) throws {
    let model = try TinyModels.serving(seed: 3)
    let prompts = (0..<3).flatMap { round in
      TinyModels.requests.map { [ChatMessage.user($0 + String(repeating: "!", count: round))] }
    }
    let options = DecodeOptions(constrained: constrained, maximumTokens: 48)
    let alone = try Decoder(model: model, maximumBatch: 1).answer(prompts, options: options)
    for batch in [2, 5, 18] {
      let together = try Decoder(model: model, maximumBatch: batch).answer(prompts, options: options)
      #expect(together.map(\.text) == alone.map(\.text))
      #expect(together.map(\.confidence) == alone.map(\.confidence))
      #expect(together.map(\.tokens) == alone.map(\.tokens))
    }
  }

  @Test(
    "A quantized file's answers have the same bits whatever the batch and the threads",
    arguments: [ElementType.q8_0, .q4_0])
  func quantizedInvariance(_ type: ElementType) throws {
    let functions = try TinyModels.functions()
    let tokenizer = try TinyModels.tokenizer(functions)
    let student = try TinyModels.student(TinyModels.configuration(tokenizer), seed: 4)
    let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).gguf").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try TinyModels.write(student, tokenizer, functions, type: type, to: path)
    let model = try ServingModel(gguf: path)
    let prompts = TinyModels.requests.map { [ChatMessage.user($0)] }
    for constrained in [true, false] {
      let options = DecodeOptions(constrained: constrained, maximumTokens: 40)
      let alone = try Decoder(model: model, maximumBatch: 1).answer(prompts, options: options)
      let threads = retort_pool_threads()
      defer { retort_pool_set_threads(threads) }
      for (batch, count) in [(1, 1), (3, 3), (6, 2)] as [(Int, Int32)] {
        retort_pool_set_threads(count)
        let together = try Decoder(model: model, maximumBatch: batch).answer(prompts, options: options)
        #expect(together.map(\.text) == alone.map(\.text))
        #expect(together.map(\.confidence) == alone.map(\.confidence))
      }
    }
  }

  @Test("What prompts begin with in common is read once, and answers stay the same to the bit")
  func sharedPrefix() throws {
    let model = try TinyModels.serving(seed: 3)
    let system = ChatMessage.system("you control a home and play its music, one call for each request")
    let prompts = TinyModels.requests.map { [system, ChatMessage.user($0)] }
    let prompt = model.codec.prompt(prompts[0])
    try #require(prompt.count > 20 && prompt.prefix(17).elementsEqual(model.codec.prompt(prompts[1]).prefix(17)))
    let alone = try prompts.map { try Decoder(model: model, maximumBatch: 1).answer([$0])[0] }
    for batch in [1, 4] {
      let shared = try Decoder(model: model, maximumBatch: batch).answer(prompts + prompts)
      #expect(shared.map(\.text) == (alone + alone).map(\.text))
      #expect(shared.map(\.confidence) == (alone + alone).map(\.confidence))
      #expect(shared.map(\.promptTokens) == (alone + alone).map(\.promptTokens))
    }
  }

  @Test("With random weights every constrained answer is a legal call")
  func validByConstruction() throws {
    let (schemaSets, requests) = (RandomSchemas.count(200), 5)
    var answers = 0
    for seed in 0..<schemaSets {
      var schemas = RandomSchemas(seed: UInt64(seed) &+ 5_000)
      let functions = try schemas.functions()
      let tokenizer = try Tokenizer.train(
        TinyModels.requests, vocabularySize: 768, spaceFused: 8, structure: CallCodec.structureTokens(for: functions))
      let configuration = DecoderConfiguration(
        vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, layerCount: 1, headCount: 2, keyValueHeadCount: 1,
        feedForwardSize: 32, maximumPositions: 512)
      let model = try TinyModels.serve(
        TinyModels.student(configuration, seed: UInt64(seed)), tokenizer, functions)
      let decoder = try Decoder(model: model, maximumBatch: requests)
      let prompts = (0..<requests).map { _ in [ChatMessage.user(schemas.request())] }
      for answer in try decoder.answer(prompts, options: DecodeOptions(maximumTokens: seed % 2 == 0 ? 160 : 20)) {
        if answer.invalidReason == "no function can be filled from this request" { continue }
        answers += 1
        let call = try #require(answer.call, "\(answer.text): \(answer.invalidReason ?? "")")
        #expect(functions.violations(of: call).isEmpty)
        #expect((0...1).contains(answer.confidence))
      }
    }
    // The others are requests from which no function can be filled.
    #expect(answers > schemaSets * requests * 3 / 5)
  }

  @Test("What cannot be answered says why")
  func refusals() throws {
    let model = try TinyModels.serving()
    let decoder = try Decoder(model: model, maximumBatch: 2)
    let long = String(repeating: "play something ", count: 100)
    let answers = try decoder.answer([[.user(long)], [.user("play x")], [.user("")]])
    #expect(answers[0].invalidReason == "request is longer than 255 tokens")
    #expect(answers[0].call == nil && answers[0].confidence == 0)
    #expect(answers[1].call != nil)
    #expect(answers[2].call?.name == "play_music")
    let free = try decoder.answer([[.user("play x")]], options: DecodeOptions(constrained: false, maximumTokens: 3))[0]
    #expect(free.call == nil && free.invalidReason != nil)
    let cut = try decoder.answer([[.user("play some song by someone")]], options: DecodeOptions(maximumTokens: 1))[0]
    #expect(cut.call != nil && cut.confidence == 0)
    #expect(throws: InferenceError.self) { try Decoder(model: model, maximumBatch: 0) }
  }

  @Test("Perplexity is that of the logits, whatever the window is cut into")
  func perplexity() throws {
    let model = try TinyModels.serving().model
    let tokens = (0..<90).map { Int32(($0 * 37) % 300) }
    let logits = try model.logits(tokens: tokens)
    var sum = 0.0
    for position in 0..<tokens.count - 1 {
      let row = logits[position].map(Double.init)
      let top = row.max() ?? 0
      let mass = row.reduce(0) { $0 + TestMath.exp($1 - top) }
      sum += TestMath.log(mass) + top - row[Int(tokens[position + 1])]
    }
    let report = try Perplexity.evaluate(model, tokens: tokens)
    #expect(report.tokens == 89)
    #expect(abs(report.nll - sum / 89) < 1e-5)
    #expect(abs(report.perplexity - TestMath.exp(report.nll)) < 1e-9 * report.perplexity)
    #expect(try Perplexity.evaluate(model, tokens: tokens, window: 30).tokens == 87)
    #expect(throws: InferenceError.self) { try Perplexity.evaluate(model, tokens: [1]) }
    #expect(throws: InferenceError.self) { try Perplexity.evaluate(model, tokens: [1, 100_000]) }
  }

  @Test("The benchmarks run and report what they were asked")
  func benchmarks() throws {
    let model = try TinyModels.serving().model
    let prefill = try InferenceBenchmark.prefill(model, batch: 2, tokens: 8, repetitions: 1)
    let decode = try InferenceBenchmark.decode(model, batch: 2, tokens: 4, prompt: 3, repetitions: 1)
    #expect(prefill.tokensPerSecond > 0 && decode.tokensPerSecond > 0)
    #expect(prefill.limit == .multiplication && prefill.limitTokensPerSecond > 0 && decode.limitTokensPerSecond > 0)
    #expect(throws: InferenceError.self) { try InferenceBenchmark.decode(model, batch: 1, tokens: 400) }
    let functions = try TinyModels.functions()
    let constraint = try ConstraintBenchmark.run(
      functions: functions, tokenizer: TinyModels.tokenizer(functions), requests: TinyModels.requests, repetitions: 1)
    #expect(constraint.answers == TinyModels.requests.count && constraint.tokens >= 2 * constraint.answers)
    #expect(constraint.invalid == 0 && constraint.microsecondsPerToken > 0)
  }
}
