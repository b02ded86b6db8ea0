import DemoWorld
import Foundation
import MessageLog
import Testing
import Topics

#if canImport(Glibc)
  import Glibc
#endif

/// A function that `functions.json` gains while a deployment lives.
@Suite(.serialized)
struct NewFunctionTests {
  private static let newcomer = Scenario.newcomer

  private func write(_ functions: FunctionSet, _ retort: RetortProcess) throws {
    try Data(functions.json.text.utf8).write(to: URL(fileURLWithPath: "\(retort.folder)/functions.json"))
  }

  @Test(
    "a function is added: killed on the way, the release knows it, the one before serves on, and a replay gives the file"
  )
  func added() async throws {
    let teacher = StandInTeacher(faults: .none, seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let retort = try await world.deployment("new-function")
      let whole = try HomeFunctions.functions()
      let early = try FunctionSet(json: .array(whole.functions.filter { $0.name != Self.newcomer }.map(\.json)))
      try write(early, retort)
      _ = try await retort.json("run", "--until-idle")
      // Nobody could have labelled them: the task did not have the function.
      let refused = try await retort.json("deadletters", "list").arrayValue ?? []
      #expect(!refused.isEmpty)

      try write(whole, retort)
      _ = try await retort.json("deadletters", "redrive", "--all")
      let lines = RequestGrammar(seed: 7).requests(200..<420).map { $0.record.json.text }
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(
        to: URL(fileURLWithPath: "\(retort.folder)/more.jsonl"))
      _ = try await retort.json("requests", "import", "more.jsonl")
      var random = SeededRandom(state: 20_260_401)
      for _ in 0..<5 {
        let process = try retort.start(["run", "--until-idle", "--threads", "2"])
        try await Task.sleep(for: .milliseconds(200 + Int(random.next() % 1_200)))
        kill(process.processIdentifier, SIGKILL)
        await RetortProcess.end(of: process)
      }
      _ = try await retort.json("run", "--until-idle")
      #expect(try await retort.json("audit")["holds"]?.boolValue == true)
      #expect(try await retort.json("topics", "check")["invalid"]?.integerValue == 0)

      let releases = try await retort.records(of: "releases").compactMap { $0["value"]?["manifest"] }
      let digests = releases.compactMap { $0["functions_digest"]?.stringValue }
      #expect(digests.first == early.digest.hex && digests.last == whole.digest.hex)
      for (version, count) in [(1, early.functions.count), (releases.count, whole.functions.count)] {
        #expect(try await functions(of: version, retort) == count)
      }
      let sha256 = try #require(try await retort.json("models", "list").arrayValue?.last?["sha256"]?.stringValue)
      #expect(try await retort.json("replay", "--as", "again")["sha256"]?.stringValue == sha256)

      // The definitions come from the log, so that a replay needs no file of that time; a label process does.
      try write(early, retort)
      #expect(try await retort.json("replay", "--as", "old-file", "--threads", "2")["sha256"]?.stringValue == sha256)
      let label = try await retort.run("label", "--until-idle")
      #expect(label.status == 1 && label.errors.contains("expected \(Self.newcomer) as this deployment has had it"))
    }
  }

  /// How many functions a released file knows.
  private func functions(of version: Int, _ retort: RetortProcess) async throws -> Int {
    _ = try await retort.json("models", "fetch", String(version))
    let data = try #require(FileManager.default.contents(atPath: "\(retort.folder)/small-\(version).gguf"))
    return try HomeFunctions.functions().names.count { data.range(of: Data("\"name\":\"\($0)\"".utf8)) != nil }
  }
}
