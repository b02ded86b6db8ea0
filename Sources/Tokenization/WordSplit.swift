/// A step of a pre-tokenizer: how text, or a word of the step before, is split into words.
enum WordSplit: Sendable, Hashable {
  /// The regular expression of GPT-2, which Hugging Face's `ByteLevel` has built in.
  case gpt2
  /// The regular expression of Llama 3: up to three digits a word.
  case llama3
  /// The regular expression of Qwen2: one digit a word.
  case qwen2
  /// Hugging Face's `Digits`: numbers apart from all else, each digit by itself or all that stand together.
  case digits(individual: Bool)

  /// As errors say it.
  var name: String {
    switch self {
    case .gpt2: "GPT-2's"
    case .llama3: "Llama 3's"
    case .qwen2: "Qwen2's"
    case .digits(let individual): individual ? "single digits" : "whole numbers"
    }
  }

  /// The regular expression, as tokenizer files spell it.
  var pattern: String? {
    switch self {
    case .gpt2: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    case .llama3: Self.pattern(digits: #"\p{N}{1,3}"#)
    case .qwen2: Self.pattern(digits: #"\p{N}"#)
    case .digits: nil
    }
  }

  private static func pattern(digits: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }
}
