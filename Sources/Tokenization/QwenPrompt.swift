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
    write(
      "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        + "You are provided with function signatures within <tools></tools> XML tags:\n<tools>")
    for tool in tools { write("\n" + PythonJSON.text(tool)) }
    write("\n</tools>\n\nFor each function call, return a json object with function name and arguments within ")
    parts += [.marker("<tool_call>"), .marker("</tool_call>")]
    write(" XML tags:\n")
    write("", around: "tool_call", "{\"name\": <function-name>, \"arguments\": <args-json-object>}")
  }

  /// A call; its arguments as the object that they are, as text where they are none.
  private mutating func write(_ call: ToolCall) {
    let arguments = (try? call.call()).map { JSON.object($0.arguments) } ?? .string(call.arguments)
    write("\n", around: "tool_call", "{\"name\": \"\(call.name)\", \"arguments\": \(PythonJSON.text(arguments))}")
  }

  /// The template itself, as Qwen2.5's instruction-tuned models are published with it (Apache-2.0).
  static let jinja = #"""
    {%- if tools %}
        {{- '<|im_start|>system\n' }}
        {%- if messages[0]['role'] == 'system' %}
            {{- messages[0]['content'] }}
        {%- else %}
            {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
        {%- endif %}
        {{- "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided \#
    with function signatures within <tools></tools> XML tags:\n<tools>" }}
        {%- for tool in tools %}
            {{- "\n" }}
            {{- tool | tojson }}
        {%- endfor %}
        {{- "\n</tools>\n\nFor each function call, return a json object with function name and arguments within \#
    <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": \#
    <args-json-object>}\n</tool_call><|im_end|>\n" }}
    {%- else %}
        {%- if messages[0]['role'] == 'system' %}
            {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
        {%- else %}
            {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful \#
    assistant.<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
    {%- for message in messages %}
        {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == \#
    "assistant" and not message.tool_calls) %}
            {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
        {%- elif message.role == "assistant" %}
            {{- '<|im_start|>' + message.role }}
            {%- if message.content %}
                {{- '\n' + message.content }}
            {%- endif %}
            {%- for tool_call in message.tool_calls %}
                {%- if tool_call.function is defined %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '\n<tool_call>\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {{- tool_call.arguments | tojson }}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
            {{- '<|im_end|>\n' }}
        {%- elif message.role == "tool" %}
            {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
                {{- '<|im_start|>user' }}
            {%- endif %}
            {{- '\n<tool_response>\n' }}
            {{- message.content }}
            {{- '\n</tool_response>' }}
            {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
                {{- '<|im_end|>\n' }}
            {%- endif %}
        {%- endif %}
    {%- endfor %}
    {%- if add_generation_prompt %}
        {{- '<|im_start|>assistant\n' }}
    {%- endif %}
    """#
}
