public import Teacher
public import Tokenization

extension TokenVocabulary {
  /// A tokenizer's tokens of text, under the digest that students with the same ones have too.
  public init(_ tokenizer: Tokenizer) {
    self.init(
      digest: tokenizer.textDigest,
      tokens: (0..<Int32(tokenizer.vocabularySize)).lazy.filter { tokenizer.kind(of: $0) == .piece }
        .map { (id: $0, bytes: tokenizer.bytes(of: $0)) })
  }
}
