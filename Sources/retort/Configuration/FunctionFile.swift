import Foundation
import Topics

/// `functions.json`: OpenAI tool definitions.
enum FunctionFile {
  /// - Throws: ``ConfigurationError`` where the file is missing or its definitions do not hold.
  static func read(_ path: String) throws -> FunctionSet {
    let bytes = try InputFile.bytes(
      path, limit: 1 << 26, advice: "expected a JSON list of OpenAI tool definitions (see `retort init`)")
    do {
      return try FunctionSet(json: JSON.parse(bytes))
    } catch {
      throw ConfigurationError("\(path): \(error)")
    }
  }

  /// The definitions as the text of a file, one function a line.
  static func text(of set: FunctionSet) -> String {
    let functions = set.json.arrayValue ?? []
    return "[\n" + functions.map { "  " + $0.text }.joined(separator: ",\n") + "\n]\n"
  }
}
