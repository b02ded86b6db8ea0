import DemoWorld
import Foundation
import MessageLog
import RetortClient
import SQLiteLog
import Testing
import Topics

#if canImport(Glibc)
  import Glibc
#endif

/// Retraining from the log, beside the live model.
@Suite(.serialized)
struct ReplayTests {
  private func live(_ world: World, _ name: String) async throws -> (RetortProcess, JSON) {
    let retort = try await world.deployment(name)
    _ = try await retort.json("run", "--until-idle")
    let last = try #require(try await retort.json("models", "list").arrayValue?.last)
    return (retort, last)
  }

  @Test("the same samples and recipe give the live release's bytes: again, on two threads, killed, in another log")
  func sameBytes() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 260, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, last) = try await live(world, "live")
      let sha256 = try #require(last["sha256"]?.stringValue)
      let before = try await untouched(retort)

      let again = try await retort.json("replay", "--as", "again")
      #expect(again["sha256"]?.stringValue == sha256)
      #expect(again["same_file_as"]?.arrayValue?.last == last["version"])
      #expect(again["lineage"]?["erased"]?.integerValue == 0)
      #expect((again["comparison"]?["n"]?.integerValue ?? 0) > 5)
      #expect(try await retort.json("replay", "--as", "again")["version"]?.integerValue == 1, "made once")

      // Killed at any moment, and on two threads.
      var random = SeededRandom(state: 20_260_303)
      for _ in 0..<5 {
        let process = try retort.start(["replay", "--as", "killed", "--threads", "2"])
        try await Task.sleep(for: .milliseconds(100 + Int(random.next() % 900)))
        kill(process.processIdentifier, SIGKILL)
        await RetortProcess.end(of: process)
      }
      let killed = try await retort.json("replay", "--as", "killed", "--threads", "2")
      #expect(killed["sha256"]?.stringValue == sha256)
      #expect(killed["version"]?.integerValue == 1)

      // The samples in another log, with holes between them and other offsets.
      try await copySamples(from: "\(retort.folder)/retort.db", to: "\(retort.folder)/other.db")
      let moved = try await retort.json("replay", "--as", "moved", "--log", "sqlite:other.db")
      #expect(moved["sha256"]?.stringValue == sha256)
      #expect(moved["lineage"]?["chain"] == again["lineage"]?["chain"])
      #expect(moved["lineage"]?["to_offset"] != again["lineage"]?["to_offset"])

      #expect(try await untouched(retort) == before)
      // A folder of that name is no file.
      try FileManager.default.createDirectory(atPath: "\(retort.folder)/again", withIntermediateDirectories: false)
      let diff = try await retort.json("models", "diff", "small@\(last["version"]?.integerValue ?? 0)", "again")
      #expect(diff["exact_match"]?["difference"]?.doubleValue == 0)
      #expect(diff["exact_match"]?["only_a"]?.integerValue == 0)
      #expect(try await retort.json("topics", "check")["invalid"]?.integerValue == 0)
      let text = try await retort.run("models", "diff", "again", "killed")
      #expect(text.status == 0 && text.output.contains("exact match by function"), "\(text.errors)")
    }
  }

  @Test("a range and a recipe of its own: other bytes, the same each time; wrong ranges and names are refused")
  func rangeAndRecipe() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, last) = try await live(world, "range")
      let recipe = """
        {"learning_rate": 0.002, "hidden_size": 32, "layer_count": 1, "head_count": 2, "key_value_head_count": 1,
         "feed_forward_size": 64, "vocabulary_size": 640, "tokenizer_samples": 64, "round_size": 32, "decay_steps": 5,
         "replay_per_sample": 1, "candidate_steps": 0, "base_steps": 0}
        """
      try Data(recipe.utf8).write(to: URL(fileURLWithPath: "\(retort.folder)/recipe.json"))
      var results: [JSON] = []
      for name in ["one", "two"] {
        results.append(
          try await retort.json(
            "replay", "--from", "10", "--to", "150", "--recipe", "recipe.json", "--as", name, "--set",
            "release.recovery_steps=2", "--set", "train.seed=3"))
      }
      #expect(results[0]["sha256"] == results[1]["sha256"])
      #expect(results[0]["sha256"] != last["sha256"])
      #expect(results[0]["lineage"]?["from_offset"]?.integerValue == 10)
      #expect(results[0]["lineage"]?["to_offset"]?.integerValue == 150)
      #expect(results[0]["comparison"]?["a"]?["name"]?.stringValue == "small")
      #expect(results[0]["comparison"]?["exact_match"]?["interval"]?.arrayValue?.count == 2)

      for (arguments, status, sentence) in [
        (["--as", "small"], Int32(2), "the live model's name"), (["--as", "a/b"], 2, "expected 1 to 64"),
        (["--as", "x", "--from", "yesterday"], 2, "--from yesterday"),
        (["--as", "x", "--from", "90000"], 1, "lies beyond the end"),
        (["--as", "x", "--from", "20", "--to", "20"], 1, "found none"),
        (["--as", "one", "--to", "140"], 1, "some of other samples"),
        (["--as", "x", "--recipe", "none.yaml"], 2, "none.yaml"),
      ] {
        let result = try await retort.run(["replay"] + arguments)
        #expect(result.status == status, "\(arguments): \(result.errors)")
        #expect(result.errors.contains(sentence), "\(arguments): \(result.errors)")
      }

      // `latest` is what it was when the replay was begun; the log goes on meanwhile.
      let whole = try await retort.json("replay", "--as", "whole")
      try Data(#"{"id":"late","text":"lock the front door"}"#.utf8).write(
        to: URL(fileURLWithPath: "\(retort.folder)/late.jsonl"))
      _ = try await retort.json("requests", "import", "late.jsonl")
      _ = try await retort.json("label", "--until-idle")
      let goneOn = try await retort.run("replay", "--as", "whole", "--json")
      #expect(try goneOn.json()["sha256"] == whole["sha256"])
      #expect(goneOn.errors.contains("whole is of offsets 0 to"), "\(goneOn.errors)")
      let longer = try await retort.json("replay", "--as", "longer")
      #expect(longer["lineage"]?["to_offset"] != whole["lineage"]?["to_offset"])
    }
  }

  @Test("relabelling writes into topics of its own, resumes nothing of the live stage, and compares by both labels")
  func relabel() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, _) = try await live(world, "relabel")
      let before = try await untouched(retort)
      let result = try await retort.json("replay", "--relabel", "--as", "second", "--set", "teacher.temperature=1")
      #expect(result["labels"]?["requests"]?.integerValue == 200)
      #expect(result["lineage"]?["topic"]?.stringValue == "retort.relabel.second.samples")
      #expect(result["comparison"]?["n"] != nil)
      #expect(result["comparison"]?["questions"] == "held-out samples")
      #expect(result["comparison_relabelled"]?["n"] != nil)
      #expect(result["comparison_relabelled"]?["questions"] == "held-out samples as second is labelled")
      #expect(try await untouched(retort) == before)
      #expect(try await retort.json("audit")["holds"]?.boolValue == true)
      let once = try await retort.json("replay", "--relabel", "--as", "second", "--set", "teacher.temperature=1")
      #expect(once["labels"] == result["labels"], "every request is labelled once, by whichever run")
      #expect(once["sha256"] == result["sha256"])
    }
  }

  /// Everything of the live model that a replay must leave alone.
  private func untouched(_ retort: RetortProcess) async throws -> [JSON] {
    var state = [
      try await retort.json("models", "list"), try await retort.json("status"), try await retort.json("audit"),
    ]
    for topic in ["requests", "samples", "ledger", "deadletters", "models"] {
      state.append(.integer(Int64(try await retort.records(of: topic).count)))
    }
    state += try await retort.records(of: "checkpoints").filter { $0["value"]?["student"]?.stringValue == "small" }
    return state
  }

  /// Copies `samples` into a log of its own, with records in between that are erased again.
  private func copySamples(from old: String, to new: String) async throws {
    let source = try SQLiteLog(path: old)
    let target = try SQLiteLog(path: new)
    let names = TopicNames()
    let topic = try #require(try await source.topics().first { $0.name == names.samples })
    try await target.create([topic])
    var records: [Record] = []
    try await TopicScan.each(log: source, topic: names.samples) { records.append($0) }
    let place = TopicPartition(topic: names.samples, partition: 0)
    var holes: Set<Int64> = []
    for (index, record) in records.enumerated() {
      if index % 3 == 0 {
        let filler = NewRecord(topic: names.samples, partition: 0, key: Array("hole \(index)".utf8), value: [0x7B])
        holes.insert(try await target.append([filler, filler])[0].offset)
        holes.insert(try #require(holes.max()) + 1)
      }
      _ = try await target.append([
        NewRecord(
          topic: names.samples, partition: 0, key: record.key, value: record.value, headers: record.headers)
      ])
    }
    #expect(try await target.erase([place: holes]) == holes.count)
    try await source.close()
    try await target.close()
  }
}
