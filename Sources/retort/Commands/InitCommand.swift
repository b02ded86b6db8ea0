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
    var files = [(path: path, text: ConfigurationTemplate.text())]
    // A file that is where it belongs stays as it is written.
    if functions.map(Self.absolute) != Self.absolute(functionsPath) {
      files.append((functionsPath, FunctionFile.text(of: definitions)))
    }
    // All are looked at before any is written.
    let missing = try files.filter { try force || !isThere($0.path, $0.text) }
    for file in missing { try write(file.text, to: file.path) }
    if global.json {
      Output.print([
        "files": [.string(path), .string(functionsPath)], "functions": .integer(Int64(definitions.functions.count)),
      ])
    } else {
      Output.print("Wrote \(path) and \(functionsPath) (\(definitions.functions.count) functions).")
      Output.print("Next: retort requests import FILE.jsonl, then retort run --until-idle")
    }
  }

  private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).resolvingSymlinksInPath().path }

  /// Whether a file has this text already.
  ///
  /// - Throws: ``ConfigurationError`` where it has another.
  private func isThere(_ path: String, _ text: String) throws -> Bool {
    guard FileManager.default.fileExists(atPath: path) else { return false }
    guard FileManager.default.contents(atPath: path) == Data(text.utf8) else {
      throw ConfigurationError("\(path) is there already; use --force to replace it")
    }
    return true
  }

  private func write(_ text: String, to path: String) throws {
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw ConfigurationError("\(path): cannot be written; check the folder's permissions and free space")
    }
  }
}
