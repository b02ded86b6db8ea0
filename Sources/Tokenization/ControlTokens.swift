/// The ids of the tokens that have a role in a prompt.
///
/// Only the end is always there; the others belong to the template "retort-1", which tokenizers of other models lack.
public struct ControlTokens: Sendable, Hashable {
  /// `<|endoftext|>`, or `<|end_of_text|>` in Llama 3: ends an answer, and pads.
  public let endOfText: Int32
  /// `<|user|>`: what the user said follows.
  public let user: Int32?
  /// `<|assistant|>`: what the model said earlier follows.
  public let assistant: Int32?
  /// `<|system|>`: instructions follow.
  public let system: Int32?
  /// `<|tool|>`: a tool's result follows.
  public let tool: Int32?
  /// `<|call|>`: the answer follows.
  public let call: Int32?

  /// The texts, in the order in which a trained vocabulary has them.
  public static let texts = ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|call|>"]

  init(_ find: (String) -> Int32?) throws(TokenizationError) {
    guard let end = find("<|endoftext|>") ?? find("<|end_of_text|>") else {
      throw TokenizationError(
        .missingToken, context: "vocabulary", expected: "an added token <|endoftext|> or <|end_of_text|>",
        found: "none", advice: "use a tokenizer of the GPT-2, Llama 3 or Qwen2 kind, or one that retort trained")
    }
    endOfText = end
    user = find("<|user|>")
    assistant = find("<|assistant|>")
    system = find("<|system|>")
    tool = find("<|tool|>")
    call = find("<|call|>")
  }
}
