import Inference
import Topics

/// `functions.json`: OpenAI tool definitions.
enum FunctionFile {
  /// - Throws: ``ConfigurationError`` where the file is missing, its definitions do not hold, or no student could answer by them.
  static func read(_ path: String) throws -> FunctionSet {
    let bytes = try InputFile.bytes(
      path, limit: 1 << 26, advice: "expected a JSON list of OpenAI tool definitions (see `retort init`)")
    do {
      let set = try FunctionSet(json: JSON.parse(InputFile.withoutMark(bytes)))
      _ = try AnswerGrammar(set)
      return set
    } catch {
      throw ConfigurationError("\(path): \(error)")
    }
  }

  /// What is allowed and yet can hardly be meant.
  static func doubts(_ set: FunctionSet) -> [String] {
    set.functions.flatMap { function in
      let schema = function.parametersJSON
      let properties = schema["properties"]?.objectValue ?? [:]
      let required = schema["required"]?.arrayValue?.compactMap(\.stringValue) ?? []
      return required.filter { properties[$0] == nil }.map {
        """
        the parameters of \(function.name): "\($0)" is required and no property; every call without it is refused: declare it, or \
        take it out of required
        """
      }
    }
  }

  /// The definitions as the text of a file, one function a line.
  static func text(of set: FunctionSet) -> String {
    let functions = set.json.arrayValue ?? []
    return "[\n" + functions.map { "  " + $0.text }.joined(separator: ",\n") + "\n]\n"
  }
}
