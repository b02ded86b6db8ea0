/// One function that an answer may call: an OpenAI tool definition.
public struct FunctionDefinition: Sendable {
  /// The name: 1 to 64 letters, digits, "_" or "-".
  public let name: String
  /// What the function does, for the teacher; may be empty.
  public let description: String
  /// The schema that the arguments must satisfy.
  public let parameters: JSONSchema
  /// The same schema as JSON.
  public let parametersJSON: JSON
  /// The names of the arguments in the schema's order.
  public let propertyNames: [String]
  /// Fields of the definition that this version does not know.
  public let extra: JSONObject

  /// Reads `{"type": "function", "function": {"name", "description", "parameters"}}` or the inner object alone.
  ///
  /// - Throws: `TopicError`, `unsupportedSchema` where the parameters use what our JSON Schema subset does not have.
  public init(json: JSON) throws(TopicError) {
    var outer = try Fields(json, in: "function")
    if let type = try outer.optionalString("type"), type != "function" {
      throw outer.invalid("type", "\"function\"", "\"\(type)\"")
    }
    if let inner = outer.take("function") {
      try outer.finish()
      outer = try Fields(inner, in: "function")
    }
    name = try outer.string("name", 1...64)
    guard name.utf8.allSatisfy(Self.isNameByte) else {
      throw outer.invalid("name", "letters, digits, \"_\" or \"-\"", "\"\(name)\"")
    }
    description = try outer.optionalString("description", 0...65_536) ?? ""
    parametersJSON = outer.take("parameters") ?? ["type": "object", "properties": [:]]
    guard parametersJSON["type"] == "object" else {
      throw outer.invalid("parameters.type", "\"object\"", parametersJSON["type"]?.text ?? "nothing")
    }
    do throws(JSONSchemaError) {
      parameters = try JSONSchema(parametersJSON)
    } catch {
      throw TopicError(
        .unsupportedSchema, in: "function \"\(name)\"", at: "parameters\(error.path)", expected: error.expected,
        found: error.found)
    }
    propertyNames = parametersJSON["properties"]?.objectValue?.keys ?? []
    extra = outer.rest
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2D: true
    default: false
    }
  }

  /// The definition in OpenAI's nested shape, whichever it was read from.
  public var json: JSON {
    var function: JSONObject = ["name": .string(name)]
    if !description.isEmpty { function["description"] = .string(description) }
    function["parameters"] = parametersJSON
    function.merge(extra)
    return ["type": "function", "function": .object(function)]
  }
}
