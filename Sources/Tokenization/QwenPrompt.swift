import Topics

/// Writes a conversation as the chat template of Qwen2.5's instruction-tuned models does.
struct QwenPrompt {
  private(set) var parts: [PromptTemplate.Part] = []

  init(_ messages: [ChatMessage], tools: [JSON], addsGenerationPrompt: Bool) {
    let isSystemFirst = messages.first?.role == .system
    open("system")
    write("\n" + (isSystemFirst ? messages[0].content : PromptTemplate.qwenSystem))
    if !tools.isEmpty { write(tools: tools) }
    close()
    for (index, message) in messages.enumerated() where index > 0 || !isSystemFirst {
      if message.role == .tool {
        let isFirst = index == 0 || messages[index - 1].role != .tool
        let isLast = index + 1 == messages.count || messages[index + 1].role != .tool
        if isFirst { open("user") }
        write("\n", around: "tool_response", message.content)
        if isLast { close() }
        continue
      }
      open(message.role.rawValue)
      if message.role == .assistant, !message.toolCalls.isEmpty {
        if !message.content.isEmpty { write("\n" + message.content) }
        for call in message.toolCalls { write(call) }
      } else {
        write("\n" + message.content)
      }
      close()
    }
    if addsGenerationPrompt {
      open("assistant")
      write("\n")
    }
  }

  private mutating func open(_ role: String) {
    parts.append(.control("<|im_start|>"))
    write(role)
  }

  private mutating func close() {
    parts.append(.control("<|im_end|>"))
    write("\n")
  }

  /// Text that stands together is encoded together.
  private mutating func write(_ text: String) {
    if case .text(let before)? = parts.last {
      parts[parts.count - 1] = .text(before + text)
    } else {
      parts.append(.text(text))
    }
  }

  private mutating func write(_ before: String, around tag: String, _ content: String) {
    write(before)
    parts.append(.marker("<\(tag)>"))
    write("\n" + content + "\n")
    parts.append(.marker("</\(tag)>"))
  }

  private mutating func write(tools: [JSON]) {
    write(Self.toolsOpening)
    for tool in tools { write("\n" + PythonJSON.text(tool)) }
    for part in Self.toolsClosing {
      if case .text(let text) = part { write(text) } else { parts.append(part) }
    }
  }

  private static let toolsOpening =
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    + "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"

  private static let toolsClosing: [PromptTemplate.Part] = [
    .text("\n</tools>\n\nFor each function call, return a json object with function name and arguments within "),
    .marker("<tool_call>"), .marker("</tool_call>"), .text(" XML tags:\n"), .marker("<tool_call>"),
    .text("\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"), .marker("</tool_call>"),
  ]

  /// A call; its arguments as the object that they are, as text where they are none.
  private mutating func write(_ call: ToolCall) {
    let arguments = (try? call.call()).map { JSON.object($0.arguments) } ?? .string(call.arguments)
    write("\n", around: "tool_call", "{\"name\": \"\(call.name)\", \"arguments\": \(PythonJSON.text(arguments))}")
  }

  /// The same in Jinja, for whoever renders conversations with it: `transformers`, llama.cpp.
  static let jinja: String = {
    func literal(_ text: String) -> String {
      "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'").replacing("\n", with: "\\n") + "'"
    }
    let system = literal(PromptTemplate.qwenSystem)
    let opening = literal(toolsOpening)
    let closing = literal(toolsClosing.map(\.string).joined())
    return
      "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
      + "{% else %}{% set system = \(system) %}{% set rest = messages %}{% endif %}"
      + "{{ '<|im_start|>system\\n' + system }}"
      + "{% if tools %}{{ \(opening) }}{% for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}{{ \(closing) }}{% endif %}"
      + "{{ '<|im_end|>\\n' }}"
      + "{% for message in rest %}{% if message['role'] == 'tool' %}"
      + "{% if loop.first or rest[loop.index0 - 1]['role'] != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
      + "{{ '\\n<tool_response>\\n' + message['content'] + '\\n</tool_response>' }}"
      + "{% if loop.last or rest[loop.index0 + 1]['role'] != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}"
      + "{% else %}{{ '<|im_start|>' + message['role'] }}"
      + "{% if message['role'] == 'assistant' and message['tool_calls'] %}"
      + "{% if message['content'] %}{{ '\\n' + message['content'] }}{% endif %}"
      + "{% for call in message['tool_calls'] %}{% set function = call['function'] or call %}"
      + "{{ '\\n<tool_call>\\n{\"name\": \"' + function['name'] + '\", \"arguments\": ' }}"
      + "{{ function['arguments'] | tojson }}{{ '}\\n</tool_call>' }}{% endfor %}"
      + "{% else %}{{ '\\n' + (message['content'] or '') }}{% endif %}{{ '<|im_end|>\\n' }}{% endif %}{% endfor %}"
      + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
  }()
}
