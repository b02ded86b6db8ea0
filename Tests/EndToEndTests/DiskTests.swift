import DemoWorld
import Foundation
import Testing
import Topics

/// Disks that are full and folders that may not be written: a clear sentence, nothing lost, and what can go on goes on.
@Suite(.serialized)
struct DiskTests {
  /// A deployment of labelled requests, so that no teacher is needed.
  private func deployment(_ requests: Int = 300) async throws -> (folder: TemporaryFolder, retort: RetortProcess) {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path, environment: ["RETORT_THREADS": "1"])
    guard try await retort.run("init").status == 0 else { throw RetortProcess.Failure("no init") }
    try Data(World.small.utf8).write(to: URL(fileURLWithPath: folder.path + "/retort.yaml"))
    let grammar = RequestGrammar(seed: 11)
    let lines = (0..<requests).map { index in
      let request = grammar.request(at: index)
      return JSON.object(["id": .string("r\(index)"), "text": .string(request.text), "call": request.call.json]).text
    }
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: folder.path + "/requests.jsonl"))
    return (folder, retort)
  }

  private func expectSentence(_ result: RetortProcess.Result, containing text: String) {
    #expect(result.status == 1, "\(result.errors)")
    let last = result.errors.split(separator: "\n").last ?? ""
    #expect(last.hasPrefix("retort: ") && last.contains(text), "\(result.errors)")
    #expect(!result.errors.contains("NSCocoaErrorDomain") && !result.errors.contains("Fatal error"))
  }

  @Test(
    "a full log: the import ends with a sentence, what went in stays, and there is more room later",
    .enabled(if: SmallDisk.isAvailable, "takes root and a tmpfs"))
  func log() async throws {
    let (folder, retort) = try await deployment(9_000)
    defer { withExtendedLifetime(folder) {} }
    let disk = try SmallDisk(kilobytes: 1_200, at: folder.path + "/disk")
    let log = "sqlite:disk/retort.db"
    let imported = try await retort.run("requests", "import", "requests.jsonl", "--log", log)
    expectSentence(imported, containing: "full: the log")
    let before = try await retort.json("audit", "--log", log)["waiting"]?.integerValue ?? 0
    #expect(before > 0 && before < 9_000)
    #expect(
      imported.errors.contains("the first \(before) requests of requests.jsonl are in the log"), "\(imported.errors)")
    expectSentence(try await retort.run("label", "--until-idle", "--log", log), containing: "full: the log")
    try disk.resize(megabytes: 200)
    _ = try await retort.json("requests", "import", "requests.jsonl", "--log", log)
    _ = try await retort.json("label", "--until-idle", "--log", log)
    let audit = try await retort.json("audit", "--log", log)
    #expect(audit["holds"]?.boolValue == true)
    #expect(audit["requests"]?.integerValue == before + 9_000)
    #expect(audit["samples"]?.integerValue == 9_000)
  }

  @Test(
    "full disks for checkpoints and for the store: the run ends with a sentence, labelling goes on, and with more room comes the same model",
    .enabled(if: SmallDisk.isAvailable, "takes root and a tmpfs"),
    arguments: [(folder: ".retort", kilobytes: 300), (folder: ".retort/store", kilobytes: 16)])
  func state(_ place: (folder: String, kilobytes: Int)) async throws {
    let (undisturbed, other) = try await deployment()
    defer { withExtendedLifetime(undisturbed) {} }
    _ = try await other.json("requests", "import", "requests.jsonl")
    _ = try await other.json("run", "--until-idle")

    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    let disk = try SmallDisk(kilobytes: place.kilobytes, at: folder.path + "/" + place.folder)
    _ = try await retort.json("requests", "import", "requests.jsonl")
    for _ in 0..<2 {
      expectSentence(try await retort.run("run", "--until-idle"), containing: "No space left on device")
    }
    _ = try await retort.json("label", "--until-idle")
    #expect(try await retort.json("audit")["samples"]?.integerValue == 300)
    try disk.resize(megabytes: 100)
    _ = try await retort.json("run", "--until-idle")
    #expect(try await retort.releases() == other.releases())
    #expect(try await retort.json("audit")["holds"]?.boolValue == true)
  }

  @Test(
    "full disks of those who use a model: serve answers and counts what it could not record, subscribe waits",
    .enabled(if: SmallDisk.isAvailable, "takes root and a tmpfs"))
  func users() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    _ = try await retort.json("requests", "import", "requests.jsonl")
    _ = try await retort.json("run", "--until-idle")
    let last = try #require(try await retort.json("models", "list").arrayValue?.last?["version"]?.integerValue)
    _ = try await retort.json("models", "promote", String(last))

    let spool = try SmallDisk(kilobytes: 1_000, at: folder.path + "/.retort/serve")
    let server = try await ServerProcess(retort, ["--log-requests"])
    try await server.waits(forVersion: last)
    try spool.fill()
    for _ in 0..<4 { #expect(try await server.ask("turn off the radio").status == 200) }
    for _ in 0..<200 where try await server.metrics().contains("retort_spool_dropped_total 0") {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(try await server.metrics().contains("retort_spool_dropped_total 4"))
    #expect(server.errors.contains("No space left on device"))
    try spool.free()
    for _ in 0..<3 { #expect(try await server.ask("turn on the radio").status == 200) }
    #expect(try await server.end() == 0)
    #expect(try await retort.json("audit")["waiting"]?.integerValue == 3)

    let small = try SmallDisk(kilobytes: 16, at: folder.path + "/models")
    let out = folder.path + "/subscriber"
    let subscriber = try retort.start(["subscribe", "--dir", "models"], output: out)
    for _ in 0..<600 where !RetortProcess.text(out + ".err").contains("trying again") {
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(RetortProcess.text(out + ".err").contains("No space left on device"))
    try small.resize(megabytes: 10)
    for _ in 0..<1_200 where RetortProcess.text(out + ".out").isEmpty { try await Task.sleep(for: .milliseconds(50)) }
    #expect(RetortProcess.text(out + ".out").contains("models/current is small version \(last)"))
    subscriber.terminate()
    await RetortProcess.end(of: subscriber)
  }

  @Test(
    "folders that may not be written: each command says so in a sentence, and what only reads goes on",
    .enabled(if: RetortProcess.canChangeUser, "takes root and setpriv, or a folder of somebody else"))
  func readOnly() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    _ = try await retort.json("requests", "import", "requests.jsonl")
    _ = try await retort.json("run", "--until-idle")
    let last = try #require(try await retort.json("models", "list").arrayValue?.last?["version"]?.integerValue)
    _ = try await retort.json("models", "promote", String(last))
    var nobody = retort
    nobody.userID = 65_534
    for command in [
      ["audit"], ["label", "--until-idle"], ["models", "list"], ["requests", "import", "requests.jsonl"],
    ] {
      expectSentence(try await nobody.run(command), containing: "read_only: the log retort.db may not be written")
    }

    // The log may be written, the state may not: training and subscribing fail, labelling and asking go on.
    for name in ["", "/retort.db", "/retort.db-notify"] {
      try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder.path + name)
    }
    try Data(
      #"{"id":"new","text":"lock the cellar door","call":{"name":"lock_door","arguments":{"door":"cellar","locked":true}}}"#
        .utf8
    )
    .write(to: URL(fileURLWithPath: folder.path + "/more.jsonl"))
    _ = try await nobody.json("requests", "import", "more.jsonl")
    _ = try await nobody.json("label", "--until-idle")
    expectSentence(try await nobody.run(["train", "--until-idle"]), containing: "Permission denied")
    expectSentence(
      try await nobody.run(["subscribe", "--once", "--dir", ".retort/here"]), containing: "Permission denied")
    #expect(try await nobody.run(["predict", "lock the cellar door"]).status == 0)
    _ = try await retort.json("run", "--until-idle")
    let audit = try await retort.json("audit")
    #expect(audit["holds"]?.boolValue == true)
    #expect(audit["samples"]?.integerValue == 301)
  }
}
