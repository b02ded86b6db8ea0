/// A function call: what the teacher answers, what the student learns, what it is compared by.
///
/// Calls are equal when the names are and the arguments are as JSON objects: members in any order, lists in order.
public struct Call: Sendable, Hashable {
  /// The function's name.
  public var name: String
  /// The arguments by name.
  public var arguments: JSONObject

  /// A call.
  public init(name: String, arguments: JSONObject) {
    self.name = name
    self.arguments = arguments
  }

  /// Reads `{"name", "arguments"}`; the arguments may be an object or, as OpenAI sends them, a string that holds one.
  ///
  /// - Throws: `TopicError` when a field is missing, of another type, or not one of these two.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "call")
    name = try fields.string("name", 1...64)
    let value = try fields.require("arguments", "an object")
    arguments = try Self.arguments(value)
    try fields.finish()
  }

  /// How deep arguments nest at most that are text: a record of 64 levels holds those of a judged answer in its fifth.
  private static let maximumTextDepth = 60

  /// The arguments from an object, or from text that holds one; empty text counts as no arguments.
  static func arguments(_ value: JSON) throws(TopicError) -> JSONObject {
    switch value {
    case .object(let object): return object
    case .string(let text):
      if text.isEmpty { return [:] }
      let parsed: JSON
      do throws(JSONError) {
        parsed = try JSON.parse(text, maximumDepth: maximumTextDepth)
      } catch {
        throw TopicError(.json, in: "call", at: "arguments", expected: "a JSON object", found: error.description)
      }
      guard case .object(let object) = parsed else {
        throw TopicError(.type, in: "call", at: "arguments", expected: "an object", found: parsed.typeName)
      }
      return object
    default:
      throw TopicError(.type, in: "call", at: "arguments", expected: "an object", found: value.typeName)
    }
  }

  /// The call as `{"name", "arguments"}`, arguments as an object.
  public var json: JSON { ["name": .string(name), "arguments": .object(arguments)] }
}
