import Foundation
import Testing
import Topics

#if canImport(Glibc)
  import Glibc
#endif

/// Putting dead letters back, killed at any moment.
@Suite(.serialized)
struct RedriveTests {
  private let requests = 1_200

  @Test("a redrive that is killed again and again, and run twice at once, puts each dead letter back once")
  func killed() async throws {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    _ = try await retort.run("init")
    let lines = (0..<requests).map {
      #"{"id":"r\#($0)","text":"fly me to the moon \#($0)","call":{"name":"fly","arguments":{}}}"#
    }
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: "\(folder.path)/in.jsonl"))
    _ = try await retort.json("requests", "import", "in.jsonl")
    _ = try await retort.json("label", "--until-idle")

    var random = SeededRandom(state: 20_260_202)
    for _ in 0..<12 {
      let process = try retort.start(["deadletters", "redrive", "--all"])
      try await Task.sleep(for: .milliseconds(10 + Int(random.next() % 200)))
      kill(process.processIdentifier, SIGKILL)
      await RetortProcess.end(of: process)
    }
    // Two at once: the older is fenced and says so.
    let pair = [
      try retort.start(["deadletters", "redrive", "--all"]), try retort.start(["deadletters", "redrive", "--all"]),
    ]
    for process in pair { await RetortProcess.end(of: process) }
    #expect(pair.contains { $0.terminationStatus == 0 })
    #expect(try await retort.json("deadletters", "redrive", "--all")["redriven"]?.integerValue == 0)

    let back = try await retort.records(of: "requests").compactMap { $0["headers"]?["redriven-from"]?.stringValue }
    #expect(back.count == requests)
    #expect(Set(back).count == requests)
    let letters = try await retort.json("deadletters", "list").arrayValue ?? []
    #expect(letters.count == requests)
    #expect(letters.allSatisfy { $0["redriven"]?.boolValue == true })
    _ = try await retort.json("label", "--until-idle")
    #expect(try await retort.json("audit")["holds"]?.boolValue == true)

    // By key and by offset; what nobody knows is said.
    #expect(try await retort.json("deadletters", "redrive", "r7")["redriven"]?.integerValue == 1)
    let unknown = try await retort.run("deadletters", "redrive", "nobody")
    #expect(unknown.status == 1 && unknown.errors.contains("of key nobody"), "\(unknown.errors)")
    #expect(try await retort.run("deadletters", "redrive").status == 2)
  }
}
