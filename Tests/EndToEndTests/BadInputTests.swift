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
  private func deployment() async throws -> (TemporaryFolder, RetortProcess) {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    let written = try await retort.run("init")
    guard written.status == 0 else { throw RetortProcess.Failure(written.errors) }
    _ = try await retort.json("topics", "apply", "--yes")
    return (folder, retort)
  }

  private func write(_ text: String, _ name: String, in retort: RetortProcess) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(retort.folder)/\(name)"))
  }

  /// A clear failure: the status, one line that begins with the program's name, no trace of a crash.
  private func expectSentence(_ result: RetortProcess.Result, status: Int32, containing text: String) {
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

  @Test("configuration: an unknown key names the nearest, a wrong value what was expected, a secret is refused")
  func configuration() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    try write("log:\n  urll: sqlite:x.db\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("audit"), status: 2, containing: "did you mean log.url")
    try write("release:\n  every: many\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("audit"), status: 2, containing: "release.every: expected a whole number")
    try write("teacher:\n  api_key: sk-123\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("audit"), status: 2, containing: "secrets do not belong in this file")
    try write("log: {url: \"ftp://x\"}\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("audit"), status: 2, containing: "log.url: expected sqlite:PATH")
    // Names become parts of files and topics, and texts parts of records that every reader checks.
    for (setting, sentence) in [
      ("model=../x", "expected 1 to 64 of a-z"), ("model=", "expected 1 to 64 of a-z"),
      ("state=", "state: expected text of 1 to 4096 bytes"), ("task.functions=", "expected text of 1 to 4096 bytes"),
      ("release.licence=\(String(repeating: "x", count: 513))", "expected text of 1 to 512 bytes"),
    ] {
      expectSentence(try await retort.run("run", "--once", "--set", setting), status: 2, containing: sentence)
    }
    expectSentence(try await retort.run("init", "--set", "model=x"), status: 2, containing: "no --log and no --set")
    #expect(try await retort.run("init", "--config", "\(retort.folder)/other.yaml").status == 0)
    #expect(FileManager.default.fileExists(atPath: "\(retort.folder)/other.yaml"))
    let functions = "\(retort.folder)/functions.json"
    let own = Array((FileManager.default.contents(atPath: functions) ?? Data()) + [0x0A])
    _ = FileManager.default.createFile(atPath: functions, contents: Data(own))
    for path in ["functions.json", "./functions.json", functions] {
      #expect(try await retort.run("init", "--config", "here.yaml", "--functions", path).status == 0, "\(path)")
    }
    expectSentence(try await retort.run("init", "--config", "none.yaml"), status: 2, containing: "is there already")
    #expect(!FileManager.default.fileExists(atPath: "\(retort.folder)/none.yaml"))
    #expect(FileManager.default.contents(atPath: functions) == Data(own))
    try write("log: {url: \"kafka://me:hush@h:9092\"}\n", "retort.yaml", in: retort)
    let secret = try await retort.run("audit")
    expectSentence(secret, status: 2, containing: "found …@h:9092")
    #expect(!secret.errors.contains("hush"))
    try write("log: {url: \"kafka://h:99999\"}\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("audit"), status: 2, containing: "expected a port from 1 to 65535")
    try write("log: {url: \"kafka://h\", kafka: [a]}\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("audit"), status: 2, containing: "log.kafka: expected a map")
    try write("log: {kafka: {sasl.password: hush}}\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("label", "--once"), status: 2, containing: "secrets do not belong in this file")
    for (text, sentence) in [
      ("state: a\nstate: b\n", "line 1: expected each key once, found state again"),
      ("- a\n", "expected keys at the top level, found a list"), ("lable:\n  votes: 3\n", "did you mean label?"),
    ] {
      try write(text, "retort.yaml", in: retort)
      expectSentence(try await retort.run("audit"), status: 2, containing: sentence)
    }
    try write("\u{FEFF}state: there\n", "retort.yaml", in: retort)
    #expect(try await retort.run("audit").status == 0)
    expectSentence(
      try await retort.run("label", "--once", "--set", "log.prefix=a b/"), status: 2, containing: "a b/requests")
    let lists = try await retort.run("config", "lint", "--set", #"task.trusted_producers=["import"]"#)
    #expect(lists.status == 0, "\(lists.output)")
    expectSentence(
      try await retort.run("audit", "--set", "task.trusted_producers=[import"), status: 2, containing: "a list of texts"
    )
    var mistyped = retort
    mistyped.environment["RETORT_LABLE_POLICY"] = "selective"
    mistyped.environment["RETORT_TRAIN_RECIPE_HIDDEN_SIZE"] = "32"
    mistyped.environment["RETORT_LOG_KAFKA_SECURITY_PROTOCOL"] = "SSL"
    mistyped.environment["RETORT_LOG_KAFKA_SASL_PASWORD"] = "hush"
    mistyped.environment["RETORT_LOG_KAFKA_SASL_PASSWORD"] = "hush"
    let doubts = try await mistyped.run("config", "lint")
    #expect(doubts.status == 2 && doubts.output.contains("did you mean RETORT_LABEL_POLICY?"), "\(doubts.output)")
    #expect(doubts.output.contains("give all of RETORT_TRAIN_RECIPE as JSON"))
    #expect(doubts.output.contains("RETORT_LOG_KAFKA_SECURITY_PROTOCOL is no setting; give all of RETORT_LOG_KAFKA as"))
    #expect(doubts.output.contains("did you mean RETORT_LOG_KAFKA_SASL_PASSWORD?") && !doubts.output.contains("hush"))
    #expect(!doubts.output.contains("RETORT_LOG_KAFKA_SASL_PASSWORD is"))
    try write("a: [1, 2\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("config", "lint"), status: 2, containing: "not valid YAML")
    try write("", "retort.yaml", in: retort)
    for (settings, sentence) in [
      (["teacher.logprobs=5"], "expected the teacher's tokenizer.json"),
      (["teacher.logprobs=5", "teacher.tokenizer=none.json"], "none.json cannot be read"),
      (["train.teacher=samples"], "a student from scratch has tokens of its own"),
      (["teacher.tokenizer=none.json"], "teacher.tokenizer: none.json cannot be read"),
      (["train.base=none"], "train.base: none: expected the folder of a pretrained model"),
      (["train.teacher=none"], "train.teacher: none: expected the folder or file of a model"),
      (["serve.trusted_keys=none.pub"], "serve.trusted_keys: none.pub"),
    ] {
      let result = try await retort.run(["config", "lint"] + settings.flatMap { ["--set", $0] })
      #expect(result.status == 2 && result.output.contains(sentence), "\(result.output)\(result.errors)")
    }
    // The weights to distil from need only be where students are made.
    for command in ["label", "train"] {
      let result = try await retort.run(command, "--until-idle", "--set", "train.teacher=elsewhere.gguf")
      #expect(result.status == (command == "label" ? 0 : 2), "\(result.errors)")
      #expect(result.errors.contains("train.teacher:") == (command == "train"), "\(result.errors)")
    }
    func lookup(_ name: String, _ binding: String) -> String {
      #"{"function":{"name":"\#(name)","parameters":{"type":"object","properties":{}}},\#(binding)}"#
    }
    for (binding, sentence) in [
      (#""command":["lookup","--limit",5]"#, "task.lookups[0].command: expected a list of texts"),
      (#""http":{"url":"http://h","metod":"GET"}"#, "task.lookups[0].http: unknown key metod; did you mean method?"),
      (#""http":{"url":"http://h","headers":{"x-tenant":42}}"#, "http.headers.x-tenant: expected a text"),
      (#""http":"http://h","timeout_ms":"30s""#, "timeout_ms: expected a whole number of milliseconds, found"),
      (#""sql":{"database":"a.db","query":"SELECT 1","max_rows":1.5}"#, "sql.max_rows: expected a whole number"),
      (#""http":"http://h","command":["lookup"]"#, "expected one of http"),
      (#""timeout_ms":5"#, "expected one of http"),
    ] {
      let result = try await retort.run("config", "lint", "--set", "task.lookups=[\(lookup("f", binding))]")
      #expect(result.status == 2 && result.output.contains(sentence), "\(result.output)\(result.errors)")
    }
    let http = lookup("f", #""http":{"url":"http://h","headers":{"a":"b"}}"#)
    let sound = try await retort.run(
      "config", "lint", "--set", "task.lookups=[\(http),\(lookup("g", #""command":["a","5"]"#))]")
    #expect(sound.status == 0, "\(sound.output)\(sound.errors)")
    try write("train:\n  recipe:\n    lerning_rate: 1\n", "retort.yaml", in: retort)
    expectSentence(try await retort.run("train", "--until-idle"), status: 2, containing: "learning_rate")
    try write("release: {recovery_steps: autp}\n", "retort.yaml", in: retort)
    let lint = try await retort.run("config", "lint")
    #expect(lint.status == 2)
    #expect(lint.output.contains("recovery_steps: expected auto, or a whole number in 0…1000000, found \"autp\""))
  }

  @Test("where there is no log and no retort.yaml, commands that look at one say so and make none")
  func noLog() async throws {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    for command in [
      ["audit"], ["status"], ["topics", "list"], ["topics", "check"], ["models", "list"], ["deadletters", "list"],
      ["requests", "export"], ["predict", "hello"],
    ] {
      let result = try await retort.run(command)
      expectSentence(result, status: 1, containing: "the log retort.db: expected a file, found none")
      #expect(result.output.isEmpty, "\(command): \(result.output)")
    }
    let doctor = try await retort.run("doctor")
    #expect(doctor.status == 3 && doctor.output.contains("BAD  log: the log retort.db"), "\(doctor.output)")
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(!left.contains { $0.hasPrefix("retort.db") }, "\(left)")
    _ = try await retort.run("init")
    #expect(try await retort.run("audit").status == 0)
  }

  @Test("functions that no student can answer by, or that refuse every answer, are found before anything is labelled")
  func functions() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    func lint(_ parameters: String) async throws -> RetortProcess.Result {
      try write(
        #"[{"type":"function","function":{"name":"f","parameters":\#(parameters)}}]"#, "functions.json", in: retort)
      return try await retort.run("config", "lint")
    }
    let many = (0..<300).map { #""p\#($0)":{"type":"string"}"# }.joined(separator: ",")
    let result = try await lint(#"{"type":"object","properties":{\#(many)}}"#)
    #expect(result.status == 2)
    #expect(result.output.components(separatedBy: "at most 256 properties").count == 2, "\(result.output)")
    expectSentence(try await retort.run("label", "--until-idle"), status: 2, containing: "at most 256 properties")
    let misspelt = try await lint(#"{"type":"object","properties":{"a":{"type":"string"}},"required":["b"]}"#)
    #expect(misspelt.status == 2)
    #expect(misspelt.output.contains("\"b\" is required and no property"), "\(misspelt.output)")
    #expect(try await lint(#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#).status == 0)
    // What Windows writes before a text.
    try write("\u{FEFF}" + #"{"id":"a","text":"lock the front door"}"#, "in.jsonl", in: retort)
    #expect(try await retort.run("requests", "import", "in.jsonl").status == 0)
  }

  @Test("wrong usage ends with status 2 and says what to do")
  func usage() async throws {
    let (folder, retort) = try await deployment()
    defer { withExtendedLifetime(folder) {} }
    #expect(try await retort.run("requests", "import").status == 2)
    #expect(try await retort.run("nonsense").status == 2)
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

  @Test("damaged files are refused by name: model, log, checkpoint, key")
  func damage() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      let retort = try await world.deployment("damage")
      _ = try await retort.json("run", "--until-idle")
      let version = String(try await retort.json("models", "list").arrayValue?.last?["version"]?.integerValue ?? 0)
      let files = try await retort.json("models", "fetch", version, "--out", "files")
      let gguf = try #require(files["files"]?.arrayValue?.compactMap(\.stringValue).first { $0.hasSuffix(".gguf") })
      let model = "\(retort.folder)/\(gguf)"
      let bytes = [UInt8](try #require(FileManager.default.contents(atPath: model)))
      // The manifest beside the file says which release it is; one that is not of it says nothing.
      let fetched = try await retort.json("predict", "--file", gguf, "turn on the hall light")
      #expect(fetched["version"]?.integerValue.map(String.init) == version && fetched["escalate"]?.boolValue != nil)
      let manifest = "\(retort.folder)/" + gguf.replacing(".gguf", with: ".manifest.json")
      try FileManager.default.removeItem(atPath: manifest)
      _ = FileManager.default.createFile(atPath: "\(retort.folder)/files/manifest.json", contents: Data("{}".utf8))
      let unnamed = try await retort.json("predict", "--file", gguf, "turn on the hall light")
      #expect(unnamed["version"] == .null && unnamed["escalate"] == true)
      for (name, damaged) in [
        ("truncated", Array(bytes.prefix(bytes.count / 2))), ("empty", []), ("text", Array("hello".utf8)),
      ] {
        _ = FileManager.default.createFile(atPath: "\(retort.folder)/\(name).gguf", contents: Data(damaged))
        let result = try await retort.run("predict", "--file", "\(name).gguf", "hello")
        expectSentence(result, status: 1, containing: "\(name).gguf")
      }

      // A deployment that no reader would take is not written, and not said to be done.
      let long = String(repeating: "x", count: 4_097)
      expectSentence(
        try await retort.run("models", "promote", version, "--reason", long), status: 1,
        containing: "nothing was written")
      #expect(try await retort.json("topics", "check")["invalid"]?.integerValue == 0)

      // A key that subscribers trust is never replaced by another without a word.
      let key = "\(retort.folder)/.retort/keys/signing.key"
      try FileManager.default.moveItem(atPath: key, toPath: key + ".away")
      for arguments in [["models", "promote", version], ["replay", "--as", "other"]] {
        expectSentence(try await retort.run(arguments), status: 2, containing: "which subscribers trust, found none")
      }
      #expect(try await retort.run("doctor").output.contains("BAD  signing key"))
      try FileManager.default.moveItem(atPath: key + ".away", toPath: key)
      #expect(chmod(key, 0o644) == 0)
      #expect(try await retort.run("doctor").output.contains("others may read it (mode 644)"))
      #expect(chmod(key, 0o600) == 0)
      // Killed between the two files, who made the pair has left the private one alone.
      let published = "\(retort.folder)/.retort/keys/signing.pub"
      let half = FileManager.default.contents(atPath: published)
      try FileManager.default.removeItem(atPath: published)
      #expect(try await retort.run("doctor").output.contains("ok   signing key: "))
      #expect(half != nil && FileManager.default.contents(atPath: published) == half)
      // A machine that does not sign needs no key.
      let elsewhere = try await retort.run("doctor", "--set", "state=else/where/entirely")
      #expect(elsewhere.output.contains("ok   signing key: none here; "), "\(elsewhere.output)")
      #expect(elsewhere.output.contains("ok   state folder: else/where/entirely"), "\(elsewhere.output)")

      // A damaged file of the store is fetched again from the log, and answers as before.
      let sound = try await retort.run("predict", "--version", version, "lock the front door")
      let digest = Digest.sha256(bytes).hex
      let stored = "\(retort.folder)/.retort/store/\(digest.prefix(2))/\(digest)"
      var flipped = bytes
      flipped[bytes.count - 100] ^= 1
      _ = FileManager.default.createFile(atPath: stored, contents: Data(flipped))
      let healed = try await retort.run("predict", "--version", version, "lock the front door")
      #expect(healed.status == 0 && healed.output == sound.output, "\(healed.errors)")
      #expect(FileManager.default.contents(atPath: stored) == Data(bytes))

      // A checkpoint with one bit changed: refused by name, and said what to do.
      let checkpoints = "\(retort.folder)/.retort/checkpoints"
      let all = FileManager.default.enumerator(atPath: checkpoints)?.compactMap { $0 as? String } ?? []
      for file in all {
        let path = "\(checkpoints)/\(file)"
        guard var data = FileManager.default.contents(atPath: path), data.count > 1_000 else { continue }
        data[data.count / 2] ^= 1
        _ = FileManager.default.createFile(atPath: path, contents: data)
      }
      _ = try await retort.json("requests", "import", "../requests.jsonl")
      expectSentence(try await retort.run("train", "--until-idle"), status: 1, containing: "SHA-256")

      // A log that is no database.
      _ = FileManager.default.createFile(
        atPath: "\(retort.folder)/bad.db", contents: Data("not a database at all".utf8))
      let log = try await retort.run("audit", "--log", "sqlite:bad.db")
      #expect(log.status == 1 && log.errors.contains("corrupt"), "\(log.errors)")

      // A key that did not sign this.
      let other = try await retort.json("keys", "new", "--out", "other")
      let publicFile = try #require(other["public"]?.stringValue)
      let refused = try await retort.run(
        "models", "verify", version, "--set", "serve.trusted_keys=\(publicFile)")
      expectSentence(refused, status: 3, containing: "key")
    }
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
