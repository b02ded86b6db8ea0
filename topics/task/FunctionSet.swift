/// The functions of a task, in order: 1 to 1,024 with different names.
public struct FunctionSet: Sendable {
  /// The functions in the order of the file.
  public let functions: [FunctionDefinition]
  /// The digest of the canonical form of `json`: the same for the nested and the flat way of writing definitions.
  public let digest: Digest
  private let positions: [String: Int]

  /// Reads an array of tool definitions, or an object with such an array under `functions` or `tools`.
  ///
  /// - Throws: `TopicError` that names the function and the place.
  public init(json: JSON) throws(TopicError) {
    let list = json["functions"] ?? json["tools"] ?? json
    guard case .array(let elements) = list else {
      throw TopicError(.type, in: "functions", expected: "an array of tool definitions", found: list.typeName)
    }
    guard (1...1_024).contains(elements.count) else {
      throw TopicError(.value, in: "functions", expected: "1 to 1024 functions", found: "\(elements.count)")
    }
    var functions: [FunctionDefinition] = []
    var positions: [String: Int] = [:]
    for (index, element) in elements.enumerated() {
      let function = try FunctionDefinition(json: element)
      guard positions.updateValue(index, forKey: function.name) == nil else {
        throw TopicError(
          .duplicate, in: "functions", at: "[\(index)].name", expected: "a name of its own",
          found: "\"\(function.name)\" a second time")
      }
      functions.append(function)
    }
    self.functions = functions
    self.positions = positions
    digest = .sha256(JSON.array(functions.map(\.json)).canonical)
  }

  /// The function called `name`, or nil.
  public subscript(name: String) -> FunctionDefinition? {
    guard let position = positions[name] else { return nil }
    return functions[position]
  }

  /// The functions of `earlier` that these do not have, or have with other parameters; descriptions and other annotations, also
  /// of parameters, may differ.
  public func missing(of earlier: FunctionSet) -> [String] {
    earlier.functions.filter {
      self[$0.name]?.parameters.constraints.canonical != $0.parameters.constraints.canonical
    }.map(\.name)
  }

  /// The names in order.
  public var names: [String] { functions.map(\.name) }

  /// The definitions as an array in OpenAI's nested shape.
  public var json: JSON { .array(functions.map(\.json)) }

  /// What is wrong with `call`: nothing, an unknown function, or how its arguments break the schema (at most 32 lines).
  public func violations(of call: Call) -> [String] {
    guard let function = self[call.name] else {
      return ["there is no function \"\(call.name.prefix(64))\""]
    }
    return function.parameters.violations(of: .object(call.arguments))
  }
}
