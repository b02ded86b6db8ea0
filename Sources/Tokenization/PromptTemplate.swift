import Topics

/// How messages become a prompt.
public enum PromptTemplate: Sendable, Hashable {
  /// "retort-1": per message `<|role|>` and the content, then `<|call|>`; the answer ends with `<|endoftext|>`. Tool calls of
  /// earlier messages are not part of the prompt, their results are.
  case retort
  /// ChatML as Qwen2.5 has it; the answer ends with `<|im_end|>`.
  case chatML

  /// The name that files and manifests carry.
  public var name: String {
    switch self {
    case .retort: "retort-1"
    case .chatML: "qwen2.5"
    }
  }

  /// The template in Jinja, for `transformers` and llama.cpp, with `add_generation_prompt`; for ChatML nil, as the base model's
  /// own template stays.
  public var jinja: String? {
    switch self {
    case .retort:
      "{% for message in messages %}{{ '<|' + message['role'] + '|>' + (message['content'] or '') }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|call|>' }}{% endif %}"
    case .chatML: nil
    }
  }

  /// A part of a prompt.
  enum Part: Sendable, Hashable {
    /// A control token, by its text.
    case control(String)
    /// Text that is encoded by itself.
    case text(String)
  }

  /// The parts of the prompt for `messages`.
  func parts(_ messages: [ChatMessage]) -> [Part] {
    switch self {
    case .retort:
      messages.flatMap { [Part.control("<|\($0.role.rawValue)|>"), .text($0.content)] } + [.control("<|call|>")]
    case .chatML: Self.chatML(messages)
    }
  }

  /// What Qwen2.5's template says where the conversation has no system message.
  private static let defaultSystem = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

  private static func chatML(_ messages: [ChatMessage]) -> [Part] {
    var parts: [Part] = []
    func open(_ role: String, _ text: String) { parts += [.control("<|im_start|>"), .text(role + "\n" + text)] }
    func close() { parts += [.control("<|im_end|>"), .text("\n")] }
    if messages.first?.role != .system {
      open("system", defaultSystem)
      close()
    }
    var index = 0
    while index < messages.count {
      let message = messages[index]
      index += 1
      guard message.role == .tool else {
        open(message.role.rawValue, message.content)
        close()
        continue
      }
      var text = "<tool_response>\n" + message.content + "\n</tool_response>"
      while index < messages.count, messages[index].role == .tool {
        text += "\n<tool_response>\n" + messages[index].content + "\n</tool_response>"
        index += 1
      }
      open("user", text)
      close()
    }
    return parts + [.control("<|im_start|>"), .text("assistant\n")]
  }
}
