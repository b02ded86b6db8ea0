public import Topics

/// How messages become a prompt.
public enum PromptTemplate: Sendable, Hashable {
  /// "retort-1": per message `<|role|>` and the content, then `<|call|>`; the answer ends with `<|endoftext|>`. Tool calls of
  /// earlier messages are not part of the prompt, their results are; nor are tools, which such a student knows by heart.
  case retort
  /// ChatML as Qwen2.5 has it, with tools, calls and results; the answer ends with `<|im_end|>`. Where a conversation has no
  /// system message it is ``qwenSystem``.
  case chatML

  /// What Qwen2.5's template says where the conversation has no system message.
  public static let qwenSystem = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

  /// The name that files and manifests carry.
  public var name: String {
    switch self {
    case .retort: "retort-1"
    case .chatML: "qwen2.5"
    }
  }

  /// The template in Jinja, for `transformers` and llama.cpp, with `add_generation_prompt`: what it gives is made by code of its own
  /// here. For ChatML not the text that Qwen2.5's models are published with, but one that gives the same.
  public var jinja: String {
    switch self {
    case .retort:
      "{% for message in messages %}{{ '<|' + message['role'] + '|>' + (message['content'] or '') }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|call|>' }}{% endif %}"
    case .chatML: QwenPrompt.jinja
    }
  }

  /// The text that `transformers`' `apply_chat_template` gives.
  ///
  /// - Parameters:
  ///   - tools: OpenAI tool definitions, written out as they are; "retort-1" has no place for them.
  ///   - addsGenerationPrompt: whether the text ends where the answer begins; default true.
  public func text(_ messages: [ChatMessage], tools: [JSON] = [], addsGenerationPrompt: Bool = true) -> String {
    parts(messages, tools: tools, addsGenerationPrompt: addsGenerationPrompt).map(\.string).joined()
  }

  /// A part of a prompt.
  enum Part: Sendable, Hashable {
    /// A control token, by its text.
    case control(String)
    /// An added token where the tokenizer has one with this text, else text.
    case marker(String)
    /// Text that is encoded by itself.
    case text(String)

    var string: String {
      switch self {
      case .control(let text), .marker(let text), .text(let text): text
      }
    }
  }

  /// The parts of the prompt for `messages`.
  func parts(_ messages: [ChatMessage], tools: [JSON] = [], addsGenerationPrompt: Bool = true) -> [Part] {
    switch self {
    case .retort:
      messages.flatMap { [Part.control("<|\($0.role.rawValue)|>"), .text($0.content)] }
        + (addsGenerationPrompt ? [.control("<|call|>")] : [])
    case .chatML: QwenPrompt(messages, tools: tools, addsGenerationPrompt: addsGenerationPrompt).parts
    }
  }
}
