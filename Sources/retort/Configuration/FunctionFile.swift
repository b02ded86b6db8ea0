import Foundation
import Topics

/// `functions.json`: OpenAI tool definitions.
enum FunctionFile {
  /// - Throws: ``ConfigurationError`` where the file is missing or its definitions do not hold.
  static func read(_ path: String) throws -> FunctionSet {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ConfigurationError(
        "\(path): cannot be read; expected a JSON list of OpenAI tool definitions (see `retort init`)")
    }
    do {
      return try FunctionSet(json: JSON.parse([UInt8](data)))
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
