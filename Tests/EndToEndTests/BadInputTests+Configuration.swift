import Foundation
import Testing
import Topics

/// Configurations and functions that cannot be worked with.
extension BadInputTests {
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
    // What Kubernetes says of services with such names is no setting.
    var cluster = retort
    cluster.environment = ["RETORT_SERVE_PORT": "tcp://10.96.12.3:8080", "RETORT_METRICS_PORT": "udp://[fd00::1]:9100"]
    #expect(try await cluster.run("audit").status == 0)
    cluster.environment["RETORT_SERVE_PORT"] = "ten"
    expectSentence(try await cluster.run("audit"), status: 2, containing: "RETORT_SERVE_PORT: expected a whole number")
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
    // So is the form that users read.
    let readme = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("README.md").path
    let paragraphs = RetortProcess.text(readme).components(separatedBy: "\n\n")
    let example = try #require(paragraphs.first { $0.hasPrefix("    task:\n      lookups:\n") })
    try write(example.split(separator: "\n").map { $0.dropFirst(4) + "\n" }.joined(), "retort.yaml", in: retort)
    let read = try await retort.run("config", "lint")
    #expect(read.status == 0, "\(read.output)\(read.errors)")
    let bases = paragraphs.filter { $0.hasPrefix("    train:\n      base: ") }
    #expect(bases.count == 2)
    try FileManager.default.createDirectory(
      atPath: "\(retort.folder)/Qwen2.5-0.5B-Instruct", withIntermediateDirectories: true)
    for base in bases {
      try write(base.split(separator: "\n").map { $0.dropFirst(4) + "\n" }.joined(), "retort.yaml", in: retort)
      let read = try await retort.run("config", "lint")
      #expect(read.status == 0, "\(read.output)\(read.errors)")
    }
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
}
