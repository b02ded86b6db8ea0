import DemoWorld
import Foundation
import Testing
import Topics

/// A deletion request, from the command to the bytes of the log's file.
@Suite(.serialized)
struct ForgetTests {
  @Test("a forgotten request is gone from the log's file, the cache and every later replay; the audit holds")
  func forget() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 160, endpoint: endpoint)
      let retort = try await world.deployment("forget")
      let texts = (0..<12).map { "lock the qzx\($0)qzx door" }
      let lines = texts.enumerated().map { index, text in
        #"{"id":"own\#(index)","text":"\#(text)","call":{"name":"lock_door","arguments":{"door":"qzx\#(index)qzx","locked":true}}}"#
      }
      let dead = #"{"id":"dead","text":"qzxdead","call":{"name":"fly","arguments":{}}}"#
      try Data((lines + [dead]).joined(separator: "\n").utf8).write(
        to: URL(fileURLWithPath: "\(retort.folder)/own.jsonl"))
      _ = try await retort.json("requests", "import", "own.jsonl")
      _ = try await retort.json("run", "--until-idle")
      let versions = try await retort.json("models", "list").arrayValue ?? []
      let full = try await retort.json("replay", "--as", "full")

      let trained = try #require(
        try await retort.records(of: "samples").first {
          $0["key"]?.stringValue?.hasPrefix("own") == true && $0["value"]?["split"]?.stringValue == "train"
        }?["key"]?.stringValue)
      let text = "qzx\(trained.dropFirst(3))qzx"
      #expect(contains(text, in: "\(retort.folder)/retort.db"))
      let report = try await retort.json("requests", "forget", trained)
      #expect(report["samples"]?.integerValue == 1)
      #expect(report["requests"]?.integerValue == 1)
      #expect(report["removed"]?.integerValue == 2)
      let named = Set((report["models"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue })
      #expect(named == ["small", "full"])
      #expect(report["models"]?.arrayValue?.contains { $0["version"] == versions.last?["version"] } == true)
      #expect(!contains(text, in: "\(retort.folder)/retort.db"))
      let audit = try await retort.json("audit")
      #expect(audit["holds"]?.boolValue == true, "\(audit)")

      // Again: nothing more to erase, the same models.
      let twice = try await retort.json("requests", "forget", trained)
      #expect(twice["samples"]?.integerValue == 0)
      #expect(twice["models"] == report["models"])

      // What the teacher labelled is in its cache too.
      let labelled = try #require(
        try await retort.records(of: "samples").first {
          $0["value"]?["producer"]?.stringValue == StandInTeacher.model
        }?["key"]?.stringValue)
      #expect(try await retort.json("requests", "forget", labelled)["cached"]?.integerValue == 1)

      // A dead letter is never put back.
      #expect(contains("qzxdead", in: "\(retort.folder)/retort.db"))
      #expect(try await retort.json("requests", "forget", "dead")["deadletters"]?.integerValue == 1)
      #expect(!contains("qzxdead", in: "\(retort.folder)/retort.db"))
      _ = try await retort.json("deadletters", "redrive", "--code", "unknown_function")
      #expect(try await retort.records(of: "requests").allSatisfy { $0["key"]?.stringValue != "dead" })

      let clean = try await retort.json("replay", "--as", "clean")
      #expect(clean["lineage"]?["erased"]?.integerValue == 2)
      #expect(clean["lineage"]?["chain"] != full["lineage"]?["chain"])
      #expect(try await retort.json("replay", "--as", "clean2")["sha256"] == clean["sha256"])
      #expect(try await retort.json("requests", "forget", trained)["models"] == report["models"])
      #expect(try await retort.json("audit")["holds"]?.boolValue == true)
      #expect(try await retort.json("topics", "check")["invalid"]?.integerValue == 0)

      // The checkpoints go as well: those of the live model when training has gone on, those of replays at once.
      let before = try folderHolds(text, "\(retort.folder)/.retort/replays")
      #expect(before)
      _ = try await retort.json("models", "gc")
      let after = try folderHolds(text, "\(retort.folder)/.retort/replays")
      #expect(!after)
      #expect(try await retort.json("replay", "--as", "clean")["sha256"] == clean["sha256"], "its candidate is there")
      let live = try folderHolds(text, "\(retort.folder)/.retort/checkpoints")
      #expect(live)
      _ = try await retort.json("run", "--until-idle")
      _ = try await retort.json("models", "gc")
      let rest = try folderHolds(text, "\(retort.folder)/.retort/checkpoints")
      #expect(!rest)

      // What waits is said, and not promised.
      _ = try await retort.json("requests", "import", "own.jsonl")
      let waiting = try await retort.run("requests", "forget", "own1")
      #expect(waiting.status == 3 && waiting.errors.contains("wait to be labelled"), "\(waiting.errors)")
      let unknown = try await retort.run("requests", "forget", "nobody")
      #expect(unknown.status == 0 && unknown.output.contains("nothing is known of nobody"))
    }
  }

  private func folderHolds(_ text: String, _ folder: String) throws -> Bool {
    try FileManager.default.subpathsOfDirectory(atPath: folder).contains { path in
      FileManager.default.contents(atPath: "\(folder)/\(path)")?.range(of: Data(text.utf8)) != nil
    }
  }

  private func contains(_ text: String, in file: String) -> Bool {
    [file, file + "-wal"].contains { path in
      FileManager.default.contents(atPath: path)?.range(of: Data(text.utf8)) != nil
    }
  }
}
