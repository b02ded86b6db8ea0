import ArgumentParser
import Foundation
import Topics

/// `retort init`: writes a commented `retort.yaml` and `functions.json` here.
struct InitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Write a commented retort.yaml and functions.json into the current folder.")

  @OptionGroup var global: GlobalOptions

  @Option(name: .long, help: ArgumentHelp("OpenAI tool definitions to start from.", valueName: "file"))
  var functions: String?

  @Flag(name: .long, help: "Replace files that are there.")
  var force = false

  func run() async throws {
    guard global.log == nil, global.set.isEmpty else {
      throw ConfigurationError(
        "init: expected no --log and no --set, found some; write them into the file that it makes")
    }
    let path = global.config ?? "retort.yaml"
    let folder = (path as NSString).deletingLastPathComponent
    let functionsPath = folder.isEmpty ? "functions.json" : folder + "/functions.json"
    let definitions = try functions.map(FunctionFile.read) ?? StarterFunctions.set()
    let yaml = ConfigurationTemplate.text()
    try write(yaml, to: path)
    if functions != functionsPath { try write(FunctionFile.text(of: definitions), to: functionsPath) }
    if global.json {
      Output.print([
        "files": [.string(path), .string(functionsPath)], "functions": .integer(Int64(definitions.functions.count)),
      ])
    } else {
      Output.print("Wrote \(path) and \(functionsPath) (\(definitions.functions.count) functions).")
      Output.print("Next: retort requests import FILE.jsonl, then retort run --until-idle")
    }
  }

  private func write(_ text: String, to path: String) throws {
    if FileManager.default.fileExists(atPath: path) && !force {
      let same = FileManager.default.contents(atPath: path) == Data(text.utf8)
      guard same else { throw ConfigurationError("\(path) is there already; use --force to replace it") }
      return
    }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw ConfigurationError("\(path): cannot be written; check the folder's permissions and free space")
    }
  }
}
