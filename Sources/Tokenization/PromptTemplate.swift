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

  /// Recognises a template in Jinja: that of retort-1, or that of Qwen2.5's models that are tuned to instructions.
  ///
  /// No template is run: what a known one gives is made by code of its own. Line ends and space around the text do not matter.
  ///
  /// - Throws: ``TokenizationError`` `tokenizer_unsupported` for any other.
  public init(jinja: String) throws(TokenizationError) {
    let text = jinja.replacing("\r\n", with: "\n").trimmingSpaces()
    if text == PromptTemplate.retort.jinja {
      self = .retort
    } else if Digest.sha256(Array(text.utf8)).hex == Self.qwenDigest {
      self = .chatML
    } else {
      throw TokenizationError(
        .unsupported, context: "chat template", expected: "that of retort-1 or of Qwen2.5-Instruct",
        found: text.isEmpty ? "nothing" : text, advice: "use a model with one of these")
    }
  }

  /// SHA-256 of the template that Qwen2.5's instruction-tuned models are published with.
  private static let qwenDigest = "55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a"

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

  /// The text that `transformers`' `apply_chat_template` gives.
  ///
  /// - Parameters:
  ///   - tools: OpenAI tool definitions, written out as they are; "retort-1" has no place for them.
  ///   - addsGenerationPrompt: whether the text ends where the answer begins; default true.
  public func text(_ messages: [ChatMessage], tools: [JSON] = [], addsGenerationPrompt: Bool = true) -> String {
    parts(messages, tools: tools, addsGenerationPrompt: addsGenerationPrompt).map { part in
      switch part {
      case .control(let text), .marker(let text), .text(let text): text
      }
    }.joined()
  }

  /// A part of a prompt.
  enum Part: Sendable, Hashable {
    /// A control token, by its text.
    case control(String)
    /// An added token where the tokenizer has one with this text, else text.
    case marker(String)
    /// Text that is encoded by itself.
    case text(String)
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

extension String {
  /// Without white space at its ends.
  fileprivate func trimmingSpaces() -> String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
