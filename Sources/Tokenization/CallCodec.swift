public import Topics

/// Prompts, answers and calls of one task: text to tokens and back.
///
/// The answer to a request is the canonical text of the call: `{"name":…,"arguments":{…}}` without spaces, keys in the order of
/// ``canonicalText(of:request:functions:)``. Its structure is made of structure tokens (``StructureTokens``), its values of
/// pieces, encoded by themselves: the same pieces as in the request. Immutable; safe from any number of tasks.
public struct CallCodec: Sendable {
  /// The tokenizer, with the structure tokens of the functions.
  public let tokenizer: Tokenizer
  /// The functions that answers may call.
  public let functions: FunctionSet
  /// How prompts are written: "retort-1" where the tokenizer has its controls, else ChatML.
  public let template: PromptTemplate
  /// The id that ends an answer.
  public let endOfAnswer: Int32

  /// Connects a tokenizer with the functions of a task.
  ///
  /// - Throws: ``TokenizationError`` `missing_token` where the tokenizer has the controls of neither template.
  public init(tokenizer: Tokenizer, functions: FunctionSet) throws(TokenizationError) {
    (template, endOfAnswer) = try Self.template(of: tokenizer)
    self.tokenizer = tokenizer
    self.functions = functions
  }

  /// The template whose controls a tokenizer has, and the id that ends an answer there.
  ///
  /// - Throws: ``TokenizationError`` `missing_token` where it has the controls of neither template.
  public static func template(
    of tokenizer: Tokenizer
  ) throws(TokenizationError) -> (template: PromptTemplate, endOfAnswer: Int32) {
    let controls = tokenizer.controls
    let own = [controls.user, controls.assistant, controls.system, controls.tool, controls.call]
    if own.allSatisfy({ $0 != nil }) { return (.retort, controls.endOfText) }
    let names = ["<|im_start|>", "<|im_end|>"]
    let ids = names.compactMap { tokenizer.control($0) }
    if ids.count == names.count { return (.chatML, ids[1]) }
    let printed = names.filter { tokenizer.addedToken($0) != nil && tokenizer.control($0) == nil }
    throw TokenizationError(
      .missingToken, context: "tokenizer",
      expected: "<|user|> and the other controls of retort-1, or <|im_start|> and <|im_end|>",
      found: printed.isEmpty ? "neither" : "\(printed.joined(separator: " and ")) as text that is printed",
      advice: printed.isEmpty
        ? "use a tokenizer of the Qwen2 family or one that retort trained"
        : "set `special` to true there, in added_tokens of tokenizer.json")
  }

  /// The structure tokens that a tokenizer for these functions should have; ``StructureTokens/texts(for:)``.
  public static func structureTokens(for functions: FunctionSet) -> [String] { StructureTokens.texts(for: functions) }

  /// The template "retort-1" in Jinja: with `add_generation_prompt` it gives exactly ``promptText(_:)``.
  public static var chatTemplate: String { PromptTemplate.retort.jinja }

  /// The call with its keys in canonical order.
  ///
  /// Keys stand in the order in which their values first occur in the request (at word boundaries where they do), then those
  /// whose values do not occur, in the schema's order, then those that the schema does not name, in order of their bytes;
  /// nested objects alike.
  public static func canonical(_ call: Call, request: String, functions: FunctionSet) -> Call {
    let schema = functions[call.name]?.parameters
    return Call(name: call.name, arguments: CanonicalCall(request: request, schema: schema).arguments(call.arguments))
  }

  /// The canonical text of a call: compact JSON of ``canonical(_:request:functions:)``.
  public static func canonicalText(of call: Call, request: String, functions: FunctionSet) -> String {
    canonical(call, request: request, functions: functions).json.text
  }

  /// The prompt for a conversation; it ends where the answer begins.
  ///
  /// - Parameter tools: OpenAI tool definitions, which ChatML writes into the system message; default none.
  public func prompt(_ messages: [ChatMessage], tools: [JSON] = []) -> [Int32] {
    var ids: [Int32] = []
    // Text between tokens is encoded as a whole, markers that are no tokens included.
    var text = ""
    for part in template.parts(messages, tools: tools) {
      switch part {
      case .text(let more): text += more
      case .marker(let name), .control(let name):
        if let id = tokenizer.addedToken(name) {
          ids += tokenizer.encode(text) + [id]
          text = ""
        } else {
          text += name
        }
      }
    }
    return ids + tokenizer.encode(text)
  }

  /// The text of the prompt, controls spelled out.
  public func promptText(_ messages: [ChatMessage]) -> String { template.text(messages) }

  /// The ids of the answer that makes `call`; they end with ``endOfAnswer``.
  ///
  /// Without the end they decode to ``canonicalText(of:request:functions:)`` (for a tokenizer that does not normalize), save that
  /// small numbers are written without an exponent where nine digits behind the point suffice.
  ///
  /// - Parameter request: the text in which values are looked for, which decides the order of keys.
  /// - Throws: ``TokenizationError`` `unknown_function`.
  public func answer(_ call: Call, request: String) throws(TokenizationError) -> [Int32] {
    try writtenAnswer(call, request: request).ids
  }

  /// ``answer(_:request:)``, and where in it the values' tokens are, by the ways to them from the arguments (RFC 6901).
  ///
  /// - Throws: ``TokenizationError`` `unknown_function`.
  package func writtenAnswer(
    _ call: Call, request: String
  ) throws(TokenizationError) -> (ids: [Int32], values: [String: Range<Int>]) {
    try requireKnown(call.name)
    let call = Self.canonical(call, request: request, functions: functions)
    var (ids, values): ([Int32], [String: Range<Int>]) = ([], [:])
    for part in AnswerWriter(call, find: tokenizer.structure).parts {
      switch part {
      case .structure(let id): ids.append(id)
      case .text(let text): ids += tokenizer.encode(text)
      case .value(let text, let pointer):
        let start = ids.count
        ids += tokenizer.encode(text)
        values[pointer] = start..<ids.count
      }
    }
    ids.append(endOfAnswer)
    return (ids, values)
  }

  /// The call that an answer's text makes.
  ///
  /// Strict: one JSON object with exactly `name` and `arguments`, a known function, an object of arguments, nothing before or
  /// after. Whether the arguments satisfy the function's schema is for `functions.violations(of:)` to say.
  ///
  /// - Throws: ``TokenizationError`` `invalid_answer`, `unknown_function`.
  public func call(fromAnswer text: String) throws(TokenizationError) -> Call { try call(fromAnswer: Array(text.utf8)) }

  /// The call that an answer's bytes make; ``call(fromAnswer:)-(String)``.
  ///
  /// - Throws: ``TokenizationError`` `invalid_answer`, `unknown_function`.
  public func call(fromAnswer bytes: [UInt8]) throws(TokenizationError) -> Call {
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes, maximumBytes: 1 << 20)
    } catch {
      throw Self.invalid("one JSON object", error.description)
    }
    guard let object = json.objectValue, object.count == 2, let name = object["name"]?.stringValue,
      let arguments = object["arguments"]?.objectValue
    else { throw Self.invalid("an object with exactly a name and an object of arguments", json.text) }
    try requireKnown(name)
    return Call(name: name, arguments: arguments)
  }

  /// An answer's call with its values as they are written in the request.
  ///
  /// A tokenizer may read requests in Unicode's normalization form C; the student then only knows that form of them. A string value that
  /// is no piece of the request, but of its form, becomes the piece whose form it is. Values that the schema fixes by `enum` or
  /// `const` stay, and so does a call whose values the schema would not allow as they are written. Nothing changes where
  /// the request is in the form, or the tokenizer does not ask for it.
  ///
  /// - Parameter request: what all messages say, line by line.
  public func asWritten(_ call: Call, request: String) -> Call {
    guard tokenizer.normalizesToNFC, let text = ComposedText(request) else { return call }
    let schema = SchemaNavigator(functions[call.name]?.parameters)
    func written(_ value: JSON, _ schemas: [JSON]) -> JSON {
      switch value {
      case .string(let piece):
        let isFixed = schemas.flatMap { schema.variants(of: $0) }.contains {
          $0["enum"]?.arrayValue?.contains(value) == true || $0["const"] == value
        }
        return isFixed ? value : text.piece(of: piece).map { .string($0) } ?? value
      case .array(let elements):
        let items = schema.items(of: schemas)
        return .array(elements.map { written($0, items) })
      case .object(let object):
        var result = JSONObject()
        for (key, value) in object { result[key] = written(value, schema.property(key, of: schemas)) }
        return .object(result)
      default: return value
      }
    }
    guard let arguments = written(.object(call.arguments), [schema.root]).objectValue else { return call }
    let result = Call(name: call.name, arguments: arguments)
    return functions.violations(of: result).isEmpty || !functions.violations(of: call).isEmpty ? result : call
  }

  private func requireKnown(_ name: String) throws(TokenizationError) {
    guard functions[name] != nil else {
      throw TokenizationError(
        .unknownFunction, context: "answer", expected: "one of \(functions.functions.count) functions", found: name,
        advice: "check that the model belongs to this task")
    }
  }

  private static func invalid(_ expected: String, _ found: String) -> TokenizationError {
    TokenizationError(
      .invalidAnswer, context: "answer", expected: expected, found: found,
      advice: "train longer, or decode with constraints")
  }
}
