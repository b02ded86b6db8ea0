import DemoWorld
import Foundation
import Testing
import Topics

/// The commands as a user strings them together, over processes.
@Suite(.serialized)
struct JourneyTests {
  @Test("import, run, list, verify, subscribe, predict, eval: each command sees what the one before left")
  func journey() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 300, endpoint: endpoint)
      let retort = try await world.deployment("journey")
      let run = try await retort.json(
        "run", "--until-idle", "--set", "serve.alternatives=3", "--set", "release.gate.minimum=1000")
      #expect(run["requests"]?.integerValue == 300)

      let audit = try await retort.json("audit")
      #expect(audit["holds"]?.boolValue == true)
      let parts = ["samples", "skipped", "deadletters"].compactMap { audit[$0]?.integerValue }
      #expect(parts.reduce(0, +) == 300)
      #expect((audit["deadletters"]?.integerValue ?? 0) > 0, "the stand-in teacher is wrong now and then")

      let models = try await retort.json("models", "list").arrayValue ?? []
      try #require(!models.isEmpty)
      let last = try #require(models.last)
      for key in ["name", "version", "status", "sha256", "bytes", "exact_match"] { #expect(last[key] != nil, "\(key)") }

      // There are too few samples for any release; a person deploys one all the same.
      let nothing = try await retort.run("predict", "turn on the light in the kitchen")
      #expect(nothing.status == 1 && nothing.errors.contains("found none among \(models.count) that were made"))
      #expect(nothing.errors.contains("--version N") && nothing.errors.contains("retort models promote N"))
      let version = String(last["version"]?.integerValue ?? 0)
      _ = try await retort.json("models", "promote", version)
      #expect(try await retort.json("models", "verify", version)["verified"]?.boolValue == true)

      let adopted = try await retort.json("subscribe", "--once", "--dir", "here")
      #expect(adopted["version"]?.integerValue == last["version"]?.integerValue)
      let current = "\(retort.folder)/here/current/model.gguf"
      let bytes = [UInt8](try #require(FileManager.default.contents(atPath: current)))
      #expect(Digest.sha256(bytes).hex == last["sha256"]?.stringValue)

      let byName = try await retort.run("predict", "turn on the light in the kitchen")
      let byFile = try await retort.run(
        "predict", "--file", "here/current/model.gguf", "turn on the light in the kitchen")
      #expect(byName.status == 0, "\(byName.errors)")
      #expect(byName.output == byFile.output)
      #expect(throws: Never.self) { try Call(json: JSON.parse(Array(byName.output.utf8))) }

      // The newest student in the form that other trainers read; what is there is not written over.
      let exported = try await retort.json(
        "compress", "--in", "checkpoint", "--out", "student", "--set", "serve.alternatives=3")
      let weights = try #require(FileManager.default.contents(atPath: "\(retort.folder)/student/model.safetensors"))
      #expect(Digest.sha256([UInt8](weights)).hex == exported["sha256"]?.stringValue)
      let over = try await retort.run("compress", "--in", "checkpoint", "--out", "student")
      #expect(over.status == 2 && over.errors.contains("expected a folder that is not there yet"), "\(over.errors)")
      let read = try await retort.run("eval", "--perplexity", "--file", "student", "--data", "functions.json")
      #expect(read.status == 0, "\(read.errors)")
      let smaller = try await retort.json("compress", "--in", "student", "--out", "student.gguf")
      #expect(smaller["parameters_before"] == exported["parameters_after"])
      let answer = try await retort.run("predict", "--file", "student.gguf", "turn on the light in the kitchen")
      #expect(answer.status == 0, "\(answer.errors)")
      #expect(throws: Never.self) { try Call(json: JSON.parse(Array(answer.output.utf8))) }

      // What a pretrained model, which its tokenizer tells from a student of ours, is trained with unless the recipe says so.
      let tokenizer = try #require(FileManager.default.contents(atPath: "\(retort.folder)/student/tokenizer.json"))
      let chatML = String(decoding: tokenizer, as: UTF8.self)
        .replacing("<|user|>", with: "<|im_start|>").replacing("<|assistant|>", with: "<|im_end|>")
      try FileManager.default.createDirectory(
        atPath: "\(retort.folder)/pretrained", withIntermediateDirectories: true)
      try Data(chatML.utf8).write(to: URL(fileURLWithPath: "\(retort.folder)/pretrained/tokenizer.json"))
      for (base, recipe, rate, accepted) in [
        ("pretrained", #"{"rft_steps":8}"#, 2e-5, 2e-5), ("pretrained", "{}", 2e-5, 3e-4),
        ("missing", "{}", 2e-5, 3e-4),
        ("pretrained", #"{"rft_steps":8,"precision":"bf16","lora_rank":8}"#, 2e-4, 2e-4),
        ("pretrained", #"{"rft_steps":8,"learning_rate":0.001,"rft_rate":0.002}"#, 1e-3, 2e-3),
        ("student", #"{"rft_steps":8}"#, 1.2e-3, 3e-4), ("", #"{"rft_steps":8}"#, 1.2e-3, 3e-4),
      ] {
        let shown = try await retort.run(
          "train", "--show-recipe", "--set", "train.base=\(base)", "--set", "train.recipe=\(recipe)"
        ).json()
        #expect(shown["learning_rate"]?.doubleValue == rate, "\(base) \(recipe)")
        #expect(shown["rft_rate"]?.doubleValue == accepted, "\(base) \(recipe)")
      }

      // A model that reads less than the student learns cannot teach it: that is said before anything is trained.
      let short = "\(retort.folder)/short"
      try FileManager.default.copyItem(atPath: "\(retort.folder)/student", toPath: short)
      let file = URL(fileURLWithPath: "\(short)/config.json")
      var sizes = try #require(try JSON.parse([UInt8](Data(contentsOf: file))).objectValue)
      sizes["max_position_embeddings"] = 8
      try Data(JSON.object(sizes).bytes).write(to: file)
      for (folder, isRefused) in [("short", true), ("student", false)] {
        let lint = try await retort.run(
          "config", "lint", "--set", "train.base=student", "--set", "train.teacher=\(folder)")
        #expect(lint.output.contains("train.teacher: the teacher's positions: ") == isRefused, "\(lint.output)")
      }

      let grammar = RequestGrammar(seed: 8)
      let labelled = (0..<20).map { index in
        let request = grammar.request(at: index)
        return JSON.object(["id": .string("e\(index)"), "text": .string(request.text), "call": request.call.json]).text
      }
      try Data(labelled.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: "\(retort.folder)/labelled.jsonl"))
      let measured = try await retort.json("eval", "--file", "student.gguf", "--data", "labelled.jsonl")
      #expect(measured["n"]?.integerValue == 20)
      // A threshold is not rounded upwards: who copies it would escalate what was said to be answered.
      let alone = try await retort.run(
        "eval", "--file", "student.gguf", "--data", "labelled.jsonl", "--set", "serve.threshold=0.123456789")
      #expect(alone.output.contains(" answered from 0.1234 on"), "\(alone.output) \(alone.errors)")
      _ = try await retort.json("eval", "--perplexity", "--file", "student.gguf", "--data", "functions.json")
      #expect(try await retort.json("models", "show", version)["manifest"]?["version"] == last["version"])
      let shown = try await retort.run("models", "show", version).output
      #expect(shown.contains("label_changes of labels by \(StandInTeacher.model)"), "\(shown)")

      // The file says how far it was released to look for better answers; who asks may say otherwise. One made of the folder
      // says the same.
      let remade = [UInt8](try #require(FileManager.default.contents(atPath: "\(retort.folder)/student.gguf")))
      let key = Array("retort.alternatives".utf8)
      for file in [bytes, remade] {
        let place = try #require(file.firstRange(of: key)).upperBound
        #expect(Array(file[place..<place + 8]) == [4, 0, 0, 0, 3, 0, 0, 0], "an unsigned number of 32 bits, 3")
      }
      func confidence(_ alternatives: String...) async throws -> Double {
        let answer = try await retort.run(["predict", "--json"] + alternatives + ["turn on the light in the kitchen"])
        return try #require(answer.json()["confidence"]?.doubleValue)
      }
      let (greedy, released) = (try await confidence("--alternatives", "0"), try await confidence())
      #expect(try await confidence("--alternatives", "3") == released)
      #expect(greedy <= released)

      let checked = try await retort.json("topics", "check")
      #expect(checked["invalid"]?.integerValue == 0)
      #expect((checked["records"]?.integerValue ?? 0) > 300)
    }
  }

  @Test("release alone ends with status 3 where the gate rejected its last candidate, with its result all the same")
  func rejected() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      let retort = try await world.deployment("stages")
      _ = try await retort.json("label", "--until-idle")
      _ = try await retort.json("train", "--until-idle")
      let release = ["release", "--once", "--set", "release.gate.minimum=1000"]
      let rejected = try await retort.run(release + ["--json"])
      #expect(rejected.status == 3, "\(rejected.errors)")
      let result = try rejected.json()
      try JSONPage.check(result, of: release)
      let last = try #require(result["releases"]?.arrayValue?.last)
      #expect(last["promoted"] == false)
      #expect(last["reasons"]?.arrayValue?.isEmpty == false)

      // Nothing new: there is no verdict to tell.
      let nothing = try await retort.run(release)
      #expect(nothing.status == 0 && nothing.output.contains("0 releases made"), "\(nothing.errors)")
    }
  }

  @Test("a second run with nothing new releases nothing and changes nothing")
  func idempotent() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      let retort = try await world.deployment("twice")
      _ = try await retort.json("run", "--until-idle")
      let first = try await retort.json("models", "list")
      _ = try await retort.json("run", "--until-idle")
      #expect(try await retort.json("models", "list") == first)

      // Importing the same again: every request is recognized, none is labelled twice.
      _ = try await retort.json("requests", "import", "../requests.jsonl")
      let again = try await retort.json("run", "--until-idle")
      #expect(again["requests"]?.integerValue == 200)
      let audit = try await retort.json("audit")
      #expect(audit["requests"]?.integerValue == 400)
      #expect(audit["holds"]?.boolValue == true)
      #expect(try await retort.json("models", "list") == first)
    }
  }
}
