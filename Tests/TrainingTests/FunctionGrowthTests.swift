import Foundation
import ModelFiles
import StudentModel
import Testing
import Tokenization
import Topics
import Training

/// A task that gains functions in mid-stream.
@Suite(.serialized) struct FunctionGrowthTests {
  /// The first two functions of the fixture; the third comes later.
  private static func early() throws -> FunctionSet {
    try FunctionSet(json: .array(Array((Fixture.functionsJSON.arrayValue ?? []).prefix(2))))
  }

  /// Twenty samples of the first two functions, then as many of all three.
  private static let stream: [(input: TrainingInput, isLate: Bool)] = {
    let early = (0..<40).filter { $0 % 4 != 3 }.prefix(20).map { (TrainingInput.sample(Fixture.sample($0)), false) }
    let late = (40..<60).map { (TrainingInput.sample(Fixture.sample($0)), true) }
    return early + late + [(Fixture.cut(1), true)]
  }()

  private func feed(_ trainer: Trainer, until end: Int = Self.stream.count) throws {
    for offset in Int(trainer.position)..<end {
      let (input, isLate) = Self.stream[offset]
      try trainer.follow(isLate ? Fixture.functions() : Self.early())
      try trainer.consume(input, offset: Int64(offset))
    }
  }

  @Test(
    "The student grows and learns on; kills and resumes before, at and after the change, and threads, change no bit",
    arguments: [OptimizerState.fp32, .bf16, .int8])
  func sameBytes(state: OptimizerState) throws {
    let threads = KernelPool.threads
    defer { KernelPool.setThreads(threads) }
    let recipe = Fixture.recipe { $0.optimizerState = state }
    KernelPool.setThreads(1)
    let whole = try Trainer(recipe: recipe, functions: Self.early())
    try feed(whole)
    #expect(whole.functions.names == ["set_light", "play_song", "stop_all"])
    #expect(whole.tokenizer?.structure(StructureTokens.opening("stop_all")) != nil)
    #expect(whole.trainingSamples.contains { $0.call.name == "stop_all" })
    let branch = Trainer.weightsDigest(of: try whole.branch().student)
    for count in [1, 3] {
      KernelPool.setThreads(count)
      try Fixture.withFolder { folder in
        let store = CheckpointStore(folder: folder)
        var current = try Trainer(recipe: recipe, functions: Self.early())
        for end in stride(from: count, through: Self.stream.count, by: count) {
          try feed(current, until: end)
          current = try Trainer(restoring: current.checkpoint(to: store).digest, from: store, recipe: recipe)
        }
        try feed(current)
        #expect(current.weightsDigest == whole.weightsDigest)
        #expect(current.chain == whole.chain)
        #expect(Trainer.weightsDigest(of: try current.branch().student) == branch)
      }
    }
  }

  @Test(
    "A teacher in a folder has the functions of its student, in the student's order, before and after it gains some")
  func teacher() throws {
    try Fixture.withFolder { folder in
      let base = try Fixture.base(in: folder)
      let digest = try DistillationTeacher.digest(path: base)
      let recipe = Fixture.recipe { $0.distillTeacher = digest.hex }
      let trainer = try Trainer(
        recipe: recipe, functions: Self.early(), base: BaseModel(folder: base, functions: Self.early()))
      func teacher() throws -> DistillationTeacher {
        try DistillationTeacher(path: base, tokenizer: try #require(trainer.tokenizer))
      }
      try feed(trainer, until: 20)
      let before = try teacher()
      #expect(before.digest == digest)
      #expect(before.tokenizer.structure(StructureTokens.opening("stop_all")) == nil)
      #expect(try trainer.branch(teacher: before).finalLoss.isFinite)
      try feed(trainer)
      let after = try teacher()
      #expect(after.digest == digest && after.tokenizer.digest == trainer.tokenizer?.digest)
      // Not the order in which all functions together would give them.
      let together = try BaseModel(folder: base, functions: Fixture.functions())
      #expect(together.tokenizer.digest != after.tokenizer.digest)
      #expect(try trainer.branch(teacher: after).finalLoss.isFinite)
      #expect(throws: TrainingError.self) { try trainer.branch(teacher: before) }
    }
  }

  @Test(
    "A base that is another by the time of the first sample is refused: releases would name the one that was read first"
  )
  func replacedBase() throws {
    try Fixture.withFolder { folder in
      let (first, second) = (
        try Fixture.base(in: folder + "/first"), try Fixture.base(in: folder + "/second", feedForward: 96)
      )
      let trainer = try Trainer(
        recipe: Fixture.recipe(), functions: Self.early(), base: BaseModel(folder: first, functions: Self.early()))
      let functions = try Fixture.functions()
      let error = #expect(throws: TrainingError.self) {
        try trainer.follow(functions) { try BaseModel(folder: second, functions: functions) }
      }
      #expect(error?.code == .invalidBase)
      #expect(try trainer.follow(functions) { try BaseModel(folder: first, functions: functions) })
      #expect(trainer.student?.configuration.feedForwardSize == 64)
    }
  }

  @Test("What was learned stays: every earlier weight and id; only rows for the new tokens join")
  func onlyRowsJoin() throws {
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: Self.early())
    try feed(trainer, until: 20)
    let (old, before) = (try #require(trainer.tokenizer), try #require(trainer.student).copy())
    #expect(try trainer.follow(Fixture.functions()))
    let (new, after) = (try #require(trainer.tokenizer), try #require(trainer.student))
    for id in 0..<old.vocabularySize {
      #expect(
        new.bytes(of: Int32(id)) == old.bytes(of: Int32(id)) && new.kind(of: Int32(id)) == old.kind(of: Int32(id)))
    }
    let opening = StructureTokens.opening("stop_all")
    #expect(old.structure(opening) == nil)
    #expect(try Int(#require(new.structure(opening))) >= old.vocabularySize)
    for entry in before.layout.entries {
      let now = after.parameters(try #require(after.layout[entry.name]))
      #expect(Array(now.prefix(entry.count)) == Array(before.parameters(entry)), "\(entry.name)")
      #expect(now.count == entry.count || entry.name == "model.embed_tokens.weight")
    }
    let rows = after.configuration.vocabularySize
    #expect(rows % 32 == 0 && rows >= new.vocabularySize && rows > before.configuration.vocabularySize)
    let added = after.parameters(after.layout.entries[0])[before.layout.entries[0].count...]
    #expect(added.allSatisfy { $0.isFinite } && added.contains { $0 != 0 })
  }

  @Test("Keys without a letter, of kinds that no key was of, get rows too")
  func keysWithoutPieces() throws {
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: Self.early())
    try feed(trainer, until: 20)
    let rows = try #require(trainer.student).configuration.vocabularySize
    let strings: JSON = ["type": "array", "items": ["type": "string"]]
    let odd: JSON = [
      "type": "function",
      "function": [
        "name": "odd",
        "parameters": [
          "type": "object",
          "properties": [
            "*": strings, "_": ["type": "object", "properties": ["-": ["type": "integer"]]],
            ":": ["type": "array", "items": ["type": "boolean"]], "$": ["type": "null"], "}": ["type": "string"],
          ],
        ],
      ],
    ]
    #expect(
      try trainer.follow(FunctionSet(json: .array(Array((Fixture.functionsJSON.arrayValue ?? []).prefix(2)) + [odd]))))
    let student = try #require(trainer.student)
    #expect(student.configuration.vocabularySize > rows && student.parameters.allSatisfy(\.isFinite))
    for key in [#""*":[""#, #""_":{"#, #""-":"#, #"":":["#, #""$":"#] {
      #expect(trainer.tokenizer?.structure(key) != nil, "\(key)")
    }
  }

  @Test("Fewer functions change nothing; others than these are not taken up, and their samples are left out")
  func fewerAndOthers() throws {
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: Fixture.functions())
    for index in 0..<20 { try trainer.consume(.sample(Fixture.sample(index)), offset: Int64(index)) }
    let digest = trainer.weightsDigest
    #expect(try trainer.follow(Self.early()) == false)
    let other: JSON = [
      "type": "function",
      "function": ["name": "open_gate", "parameters": ["type": "object", "properties": ["gate": ["type": "string"]]]],
    ]
    let others = try FunctionSet(json: .array(Array((Fixture.functionsJSON.arrayValue ?? []).prefix(2)) + [other]))
    #expect(others.missing(of: trainer.functions) == ["stop_all"])
    #expect(try trainer.follow(others) == false)
    #expect(trainer.weightsDigest == digest)
    #expect(try trainer.functions.digest == Fixture.functions().digest)
    var skipped: [String] = []
    let foreign = Fixture.make(id: "foreign", text: "open the gate", call: Call(name: "open_gate", arguments: [:]))
    for event in try trainer.consume(.sample(foreign), offset: 20) + trainer.consume(Fixture.cut(1), offset: 21) {
      if case .round(let report) = event { skipped += report.skipped.map(\.id) }
    }
    #expect(skipped == ["foreign"])
  }

  @Test("Another description is not another function; other parameters are")
  func descriptions() throws {
    func set(_ description: String, _ type: String) throws -> FunctionSet {
      try FunctionSet(json: [
        [
          "name": "f", "description": .string(description),
          "parameters": ["type": "object", "properties": ["a": ["type": .string(type)]]],
        ]
      ])
    }
    #expect(try set("one", "string").missing(of: set("another", "string")).isEmpty)
    #expect(try set("one", "integer").missing(of: set("one", "string")) == ["f"])
    // Annotations and the order of lists, wherever they stand; a property may bear an annotation's name.
    func parameters(_ json: JSON) throws -> FunctionSet { try FunctionSet(json: [["name": "f", "parameters": json]]) }
    let plain = try parameters([
      "type": "object",
      "properties": ["title": ["type": "string"], "kind": ["anyOf": [["enum": ["a", "b"]], ["type": "null"]]]],
      "required": ["title", "kind"],
    ])
    let annotated = try parameters([
      "type": "object", "title": "F",
      "properties": [
        "title": ["type": "string", "description": "Its title.", "default": "none"],
        "kind": ["anyOf": [["enum": ["b", "a"], "description": "Which."], ["type": "null"]]],
      ],
      "required": ["kind", "title"],
    ])
    let without = try parameters([
      "type": "object", "properties": ["kind": ["anyOf": [["enum": ["a", "b"]], ["type": "null"]]]],
      "required": ["kind"],
    ])
    #expect(plain.missing(of: annotated).isEmpty && annotated.missing(of: plain).isEmpty)
    #expect(without.missing(of: plain) == ["f"])
  }

  @Test("Another description exchanges the functions and leaves student and tokens the objects they are, to and fro")
  func descriptionInMidStream() throws {
    let trainer = try Trainer(recipe: Fixture.recipe(), functions: Fixture.functions())
    for index in 0..<20 { try trainer.consume(.sample(Fixture.sample(index)), offset: Int64(index)) }
    let (student, tokens) = (try #require(trainer.student), trainer.tokenizer?.digest)
    var functions = try #require(Fixture.functionsJSON.arrayValue)
    functions[2] = [
      "type": "function",
      "function": ["name": "stop_all", "description": "ends it", "parameters": ["type": "object", "properties": [:]]],
    ]
    let described = try FunctionSet(json: .array(functions))
    for set in [described, try Fixture.functions(), described] {
      #expect(try trainer.follow(set))
      #expect(trainer.functions.digest == set.digest)
      #expect(trainer.student === student && trainer.tokenizer?.digest == tokens)
    }
    try trainer.consume(.sample(Fixture.sample(20)), offset: 20)
  }

  @Test("The first sample decides the functions to begin with, whatever the configuration said")
  func firstSample() throws {
    let one = try Trainer(recipe: Fixture.recipe(), functions: Self.early())
    let two = try Trainer(recipe: Fixture.recipe(), functions: Fixture.functions())
    try feed(one)
    try feed(two)
    #expect(one.weightsDigest == two.weightsDigest)
    #expect(one.tokenizer?.digest == two.tokenizer?.digest)
  }
}
