import DemoWorld
import Foundation
import Testing
import Topics

#if canImport(Glibc)
  import Glibc
#endif

/// Bad input gets one clear sentence or one dead letter; nothing else is lost and nothing crashes.
@Suite(.serialized)
struct BadInputTests {
  func deployment() async throws -> (TemporaryFolder, RetortProcess) {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    let written = try await retort.run("init")
    guard written.status == 0 else { throw RetortProcess.Failure(written.errors) }
    _ = try await retort.json("topics", "apply", "--yes")
    return (folder, retort)
  }

  func write(_ text: String, _ name: String, in retort: RetortProcess) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(retort.folder)/\(name)"))
  }

  /// A clear failure: the status, one line that begins with the program's name, no trace of a crash.
  func expectSentence(_ result: RetortProcess.Result, status: Int32, containing text: String) {
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errors.contains(text), "\(result.errors)")
    #expect(!result.errors.contains("Fatal error"))
  }

  @Test("import: bad lines are reported by number, the good ones go in")
  func importing() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    let good = #"{"id":"a","text":"lock the front door"}"#
    let lines = [
      good, "{\"id\":", #"{"id":"b","text":5}"#, #"{"id":"c"}"#, "[1,2]", #"{"id":"d","text":"x","text":"y"}"#,
      #"{"id":"e","text":"set a timer for 5 minutes"}"#,
    ]
    try write(lines.joined(separator: "\n"), "in.jsonl", in: retort)
    let result = try await retort.run("requests", "import", "in.jsonl", "--json")
    #expect(result.status == 1)
    #expect(result.errors.contains("5 lines of in.jsonl are not requests"), "\(result.errors)")
    let json = try result.json()
    #expect(json["imported"]?.integerValue == 2)
    #expect(json["refused"]?.integerValue == 5)
    for number in [2, 3, 4, 5, 6] { #expect(result.errors.contains("in.jsonl, line \(number):"), "\(number)") }

    let call = #"{"name":"lock_door","arguments":{"door":"front","locked":true}}"#
    try write(
      #"{"request_id":"a","score":0,"call":\#(call),"producer":"import"}"# + "\n" + #"{"request_id":"b"}"#,
      "said.jsonl", in: retort)
    let said = try await retort.run("feedback", "import", "said.jsonl", "--json")
    expectSentence(said, status: 1, containing: "said.jsonl, line 2:")
    #expect(try said.json()["imported"]?.integerValue == 1)
    #expect(try await retort.records(of: "feedback").map { $0["value"]?["request_id"]?.stringValue } == ["a"])
  }

  @Test("requests that cannot be labelled become dead letters with their reason, and conservation holds")
  func deadLetters() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    let long = "types" + String(repeating: "x", count: 70)
    let lines = [
      #"{"id":"ok","text":"lock the front door","call":{"name":"lock_door","arguments":{"door":"front","locked":true}}}"#,
      #"{"id":"unknown","text":"fly me","call":{"name":"fly","arguments":{}}}"#,
      #"{"id":"\#(long)","text":"lock it","call":{"name":"lock_door","arguments":{"door":5,"locked":true}}}"#,
      #"{"id":"none","text":"nobody answers this"}"#,
      #"{"id":"ok","text":"another text under a used id","call":{"name":"lock_door","arguments":{"door":"front","locked":true}}}"#,
    ]
    try write(lines.joined(separator: "\n"), "in.jsonl", in: retort)
    _ = try await retort.json("requests", "import", "in.jsonl")
    _ = try await retort.json("label", "--until-idle")
    let audit = try await retort.json("audit")
    #expect(audit["holds"]?.boolValue == true)
    #expect(audit["requests"]?.integerValue == 5)
    let letters = try await retort.json("deadletters", "list").arrayValue ?? []
    let codes = Dictionary(letters.map { ($0["key"]?.stringValue ?? "", $0["code"]?.stringValue ?? "") }) { $1 }
    #expect(codes["unknown"] == "unknown_function")
    #expect(codes[long] == "invalid_arguments")
    let unknown = try await retort.run("deadletters", "redrive", "1000000")
    expectSentence(unknown, status: 1, containing: "expected one at offset 1000000, found none")

    // Putting one back: once, and only once.
    #expect(
      try await retort.json("deadletters", "redrive", "--code", "unknown_function")["redriven"]?.integerValue == 1)
    #expect(
      try await retort.json("deadletters", "redrive", "--code", "unknown_function")["redriven"]?.integerValue == 0)
    _ = try await retort.json("label", "--until-idle")
    #expect(try await retort.json("audit")["holds"]?.boolValue == true)
  }

  @Test("wrong usage ends with status 2 and says what to do")
  func usage() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    for (arguments, sentence) in [
      (["subscribe", "--once"], "missing expected argument '--dir <dir>'; see `retort subscribe --help`"),
      (["nonsense"], "unexpected argument 'nonsense'; see `retort --help`"),
      (["status", "--jsn"], "unknown option '--jsn'; did you mean '--json'? See `retort status --help`"),
      (["serve", "--port", "x"], "the value 'x' is invalid for '--port <port>'; see `retort serve --help`"),
    ] {
      let result = try await retort.run(arguments)
      #expect(result.status == 2 && result.errors == "retort: \(sentence)\n", "\(result.errors)")
    }
    #expect(try await retort.run("requests", "import").status == 2)
    expectSentence(try await retort.run("requests", "import", "missing.jsonl"), status: 2, containing: "missing.jsonl")
    expectSentence(
      try await retort.run("predict", "--model", "assistant", "hello"), status: 1,
      containing: "expected a deployed version, found none")
    expectSentence(
      try await retort.run("predict", "--alternatives", "1001", "hello"), status: 2,
      containing: "--alternatives: expected a whole number from 0 to 1000, found 1001")
    expectSentence(try await retort.run("topics", "tail", "request"), status: 2, containing: "did you mean requests")
    expectSentence(
      try await retort.run("eval", "--data", "x", "--threshold", "nan"), status: 2, containing: "a share from 0 to 1")
    expectSentence(
      try await retort.run("bench", "label", "--requests", "1000"), status: 2,
      containing: "--requests: expected 2,000 to 100,000,000")
    expectSentence(
      try await retort.run("compress", "--in", "x", "--out", "y", "--calibrate", "gptq"), status: 2,
      containing: "expected --data with it")
    expectSentence(
      try await retort.run("compress", "--in", "x", "--out", "y", "--quantize", "q8_0"), status: 2,
      containing: "--quantize q8_0: expected --out to end in .gguf, found y, a folder")
    expectSentence(
      try await retort.run("compress", "--in", "checkpoint", "--out", "y"), status: 2,
      containing: "expected a checkpoint of assistant, found none")
    // Said before the model is read, which `.` is not.
    for out in ["nowhere/small.gguf", "nowhere/small", "nowhere/small/"] {
      expectSentence(
        try await retort.run("compress", "--in", ".", "--out", out), status: 1,
        containing:
          "nowhere/small\(out.hasSuffix(".gguf") ? ".gguf" : ""): expected to create it, found No such file or directory"
      )
    }
    // Nobody is there to answer.
    let unanswered = try await retort.run("topics", "apply", "--json", "--set", "log.prefix=other.")
    expectSentence(unanswered, status: 1, containing: "nothing was changed")
    #expect(try unanswered.json()["created"] == [])
    #expect(try await retort.json("topics", "list", "--set", "log.prefix=other.") == [])
    #expect(try await retort.json("topics", "list").arrayValue?.count == 10)
    expectSentence(try await retort.run("models", "gc", "--model", "x"), status: 2, containing: "none of that name")
    for command in [["promote", "1"], ["rollback"]] {
      expectSentence(try await retort.run(["models"] + command), status: 1, containing: "found no release of it")
    }
    expectSentence(
      try await retort.through("/bin/sh").run("-c", "ulimit -n 40; exec '\(RetortProcess.executable)' status"),
      status: 2,
      containing: "open files: expected leave to have 64, found 40")
    try write(
      (["a: &b0 [1,1,1,1,1,1,1,1,1]"]
        + (1..<9).map { "x\($0): &b\($0) [*b\($0 - 1),*b\($0 - 1),*b\($0 - 1),*b\($0 - 1),*b\($0 - 1)]" })
        .joined(separator: "\n"), "bomb.yaml", in: retort)
    expectSentence(
      try await retort.run("replay", "--as", "x", "--recipe", "bomb.yaml"), status: 2,
      containing: "at most 100,000 values")
    expectSentence(
      try await retort.run("requests", "import", "missing.jsonl"), status: 2, containing: "(no such file or directory)")
    expectSentence(
      try await retort.run("replay", "--recipe", "none", "--as", "x"), status: 2, containing: "permissions")
    for arguments in [
      ["predict", "--file", "none.gguf", "hello"], ["serve", "--file", "none.gguf"],
      ["models", "diff", "none.gguf", "none.gguf"], ["compress", "--in", "none.gguf", "--out", "small.gguf"],
      ["bench", "prefill", "--file", "none.gguf"], ["models", "list", "--set", "serve.trusted_keys=none.pub"],
    ] {
      expectSentence(try await retort.run(arguments), status: 2, containing: "found nothing; check the path")
    }
    // An empty name is no folder: "\(name)/file" would be in the root of the file system.
    for arguments in [["keys", "new", "--out", ""], ["subscribe", "--once", "--dir="]] {
      expectSentence(try await retort.run(arguments), status: 2, containing: "expected a value, found an empty one")
    }
    mkfifo("\(retort.folder)/pipe", 0o600)
    expectSentence(
      try await retort.run("predict", "--file", "pipe", "hello"), status: 1, containing: "expected a regular file")
  }

  @Test("output that cannot be written is a failure, messages that cannot are nobody's loss")
  func standardHandles() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    let shell = retort.through("/bin/sh")
    func run(_ redirections: String) async throws -> RetortProcess.Result {
      try await shell.run("-c", "exec '\(RetortProcess.executable)' audit \(redirections)")
    }
    expectSentence(
      try await run("> /dev/full"), status: 1,
      containing: "standard output cannot be written (no space left on device)")
    expectSentence(
      try await run(">&-"), status: 1, containing: "standard output cannot be written (")
    #expect(try await run("2> /dev/full").status == 0)
    #expect(try await run("2>&- <&-").output.contains("0 requests"))
    #expect(try await run(">&- 2>&- <&-").status == 1)
  }

  @Test("an unreachable teacher pauses labelling; nothing is lost or dead")
  func unreachable() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    var offline = retort
    offline.environment = ["RETORT_TEACHER_ENDPOINT": "http://127.0.0.1:9/v1", "RETORT_TEACHER_MODEL": "none"]
    try write(#"{"id":"a","text":"lock the front door"}"#, "in.jsonl", in: retort)
    _ = try await retort.json("requests", "import", "in.jsonl")
    let process = try offline.start(["label", "--until-idle"])
    try await Task.sleep(for: .seconds(2))
    #expect(process.isRunning, "it waits for the teacher")
    process.terminate()
    await RetortProcess.end(of: process)
    let audit = try await retort.json("audit")
    #expect(audit["deadletters"]?.integerValue == 0)
    #expect(audit["waiting"]?.integerValue == 1)
  }
}
