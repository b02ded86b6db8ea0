import Testing

/// One `retort.yaml` for all machines: each has the files of its own stages, and no others.
@Suite struct MachinesTests {
  @Test(
    "a stage needs no file that only other stages read, and says which of its own is missing",
    arguments: [
      (
        "label",
        ["release.probes=none.jsonl", "train.base=none", "train.teacher=samples", "teacher.tokenizer=none.json"]
      ),
      ("train", ["release.probes=none.jsonl", "teacher.api_key_file=none.key"]),
      ("release", ["teacher.api_key_file=none.key"]),
    ])
  func files(command: String, missing: [String]) async throws {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    #expect(try await retort.run("init").status == 0)
    func run(_ settings: [String]) async throws -> RetortProcess.Result {
      try await retort.run([command, "--until-idle"] + settings.flatMap { ["--set", $0] })
    }
    let spared = try await run(missing)
    #expect(spared.status == 0, "\(spared.errors)")
    let own = ["label": "teacher.api_key_file", "train": "train.base", "release": "release.probes"][command] ?? ""
    let refused = try await run([own + "=none"])
    #expect(refused.status == 2 && refused.errors.contains(own + ": none"), "\(refused.errors)")
    withExtendedLifetime(folder) {}
  }

  @Test("a prefix that leaves no room for the longest topic's name is found before any topic is made")
  func longPrefix() async throws {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    #expect(try await retort.run("init").status == 0)
    // requests would be a name, deadletters is none.
    let lint = try await retort.run("config", "lint", "--set", "log.prefix=" + String(repeating: "p", count: 240))
    #expect(lint.status == 2 && lint.output.contains("1 to 249"), "\(lint.output)")
    withExtendedLifetime(folder) {}
  }
}
