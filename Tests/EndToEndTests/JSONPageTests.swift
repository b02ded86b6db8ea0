import Foundation
import Testing
import Topics

/// The sections of `JSON.md`: which keys the result of a command has at its top.
enum JSONPage {
  /// For each command its keys, and whether a key may be left out.
  static let sections: [String: [String: Bool]] = {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("JSON.md").path
    var sections: [String: [String: Bool]] = [:]
    var commands: [String] = []
    for line in RetortProcess.text(path).split(separator: "\n") {
      if line.hasPrefix("#") {
        commands = line.hasPrefix("### ") ? line.dropFirst(4).components(separatedBy: ", ") : []
        for command in commands { sections[command] = [:] }
      } else if line.hasPrefix("| `") || line.hasPrefix("| **`") {
        let cell = line.split(separator: "|")[0]
        let key = String(cell.split(separator: "`")[1])
        for command in commands { sections[command]?[key] = cell.contains("?") }
      }
    }
    return sections
  }()

  /// Compares a result, or each object of a list, with the section of the command.
  static func check(_ result: JSON, of arguments: [String]) throws {
    let names = [2, 1].map { arguments.prefix($0).joined(separator: " ") }
    guard let command = names.first(where: { sections[$0] != nil }), let keys = sections[command] else {
      throw RetortProcess.Failure("JSON.md: expected a section \(names[1]), found none; write one")
    }
    for object in result.arrayValue ?? [result] {
      let found = Set(object.objectValue?.keys ?? [])
      let unknown = found.subtracting(keys.keys).sorted()
      let lost = Set(keys.filter { !$0.value }.keys).subtracting(found).sorted()
      guard unknown.isEmpty, lost.isEmpty else {
        throw RetortProcess.Failure(
          "JSON.md, \(command): expected the keys of the result, found no \(unknown), and \(lost), which it does not have"
        )
      }
    }
  }
}

/// What users read about results is what commands print. All other end-to-end tests compare the results that they read, too.
@Suite(.serialized)
struct JSONPageTests {
  @Test("every command that takes --json has a section on the page, and every section is a command's")
  func commands() async throws {
    let folder = try TemporaryFolder()
    let help = try await RetortProcess(folder: folder.path).run("--experimental-dump-help")
    var commands: Set<String> = []
    func walk(_ command: JSON, _ path: [String]) {
      let parts = command["subcommands"]?.arrayValue ?? []
      for part in parts { walk(part, path + [part["commandName"]?.stringValue ?? ""]) }
      let names = (command["arguments"]?.arrayValue ?? []).flatMap { $0["names"]?.arrayValue ?? [] }
      guard parts.isEmpty, names.contains(where: { $0["name"] == "json" }) else { return }
      commands.insert(path.joined(separator: " "))
    }
    walk(try #require(try JSON.parse(help.output)["command"]), [])
    #expect(commands.count > 40)
    #expect(Set(JSONPage.sections.keys.map { $0.components(separatedBy: " --")[0] }) == commands)
  }

  @Test("the results of commands that need no model have the keys of the page")
  func results() async throws {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    let requests = """
      {"id":"ok","text":"lock the front door","call":{"name":"lock_door","arguments":{"door":"front","locked":true}}}
      {"id":"fly","text":"fly me","call":{"name":"fly","arguments":{}}}
      """
    try Data(requests.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/in.jsonl"))
    try Data(#"{"request_id":"ok","score":1,"producer":"import"}"#.utf8).write(
      to: URL(fileURLWithPath: "\(folder.path)/said.jsonl"))
    for arguments in [
      ["init"], ["config", "lint"], ["topics", "apply", "--yes"], ["requests", "import", "in.jsonl"],
      ["label", "--until-idle"], ["feedback", "import", "said.jsonl"], ["deadletters", "list"],
      ["deadletters", "show", "0"], ["topics", "list"], ["topics", "check"], ["status"], ["audit"], ["doctor"],
      ["models", "list"], ["models", "gc", "--dry-run"], ["deadletters", "redrive", "--all"],
      ["requests", "forget", "ok"], ["keys", "new", "--out", "keys"],
    ] {
      // The status of those that look for faults depends on the machine.
      try JSONPage.check(try await retort.run(arguments + ["--json"]).json(), of: arguments)
    }
  }

  @Test("the results of benchmarks have the keys of the page")
  func benchmarks() async throws {
    let folder = try TemporaryFolder()
    let retort = RetortProcess(folder: folder.path)
    _ = try await retort.json("bench", "train", "--steps", "1", "--batch", "1")
    _ = try await retort.json("bench", "prefill", "--tokens", "8")
    _ = try await retort.json("bench", "decode", "--tokens", "8")
    _ = try await retort.json("bench", "constrain")
    _ = try await retort.json("bench", "tokenize")
    _ = try await retort.json("bench", "log", "--records", "1000")
    _ = try await retort.json("bench", "label", "--requests", "2000")
    _ = try await retort.json("bench", "serve", "--requests", "20", "--concurrency", "2")
  }
}
