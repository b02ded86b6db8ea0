extension Tokenizer {
  /// The ids of `text`, all of them pieces of text.
  public func encode(_ text: String) -> [Int32] { Self.withBytes(of: text) { encode(plain: $0) } }

  /// A text as ``encode(_:)`` reads it: in Unicode's normalization form C where the tokenizer asks for that, else as it is.
  public func normalized(_ text: String) -> String {
    normalizesToNFC ? String(decoding: pipeline.normalized(text), as: UTF8.self) : text
  }

  /// The ids of any bytes, all of them pieces of text; those that are not valid UTF-8 become one token each.
  public func encode(bytes: some Sequence<UInt8>) -> [Int32] {
    bytes.withContiguousStorageIfAvailable { encode(plain: $0) }
      ?? Array(bytes).withUnsafeBufferPointer { encode(plain: $0) }
  }

  /// The ids that Hugging Face's tokenizers gives for `text`: the added tokens that it spells are those tokens, each found as
  /// its own options say (`single_word`, `lstrip`, `rstrip`, `normalized`).
  ///
  /// For text whose every part is trusted: whoever wrote it can write controls.
  ///
  /// - Parameter addingSpecialTokens: whether what the post-processor puts before and after a text, such as Llama 3's
  ///   `<|begin_of_text|>`, is added; default true, as there.
  public func encodeWithAddedTokens(_ text: String, addingSpecialTokens: Bool = true) -> [Int32] {
    Self.withBytes(of: text) { bytes in
      encoding(capacity: bytes.count + pipeline.prefix.count + pipeline.suffix.count) { encoder in
        if addingSpecialTokens { for id in pipeline.prefix { encoder.append(id) } }
        appendWithAddedTokens(bytes, to: &encoder)
        if addingSpecialTokens { for id in pipeline.suffix { encoder.append(id) } }
      }
    }
  }

  /// The ids that `body` appends.
  func encoding(capacity: Int, _ body: (inout TextEncoder) -> Void) -> [Int32] {
    model.withView { view in
      ScalarTable.shared.flags.withUnsafeBufferPointer { flags in
        var encoder = TextEncoder(
          pipeline, view: view, wholeWords: wholeWords, flags: flags.baseAddress.unsafelyUnwrapped,
          capacity: capacity)
        body(&encoder)
        return encoder.tokens
      }
    }
  }

  private func encode(plain bytes: UnsafeBufferPointer<UInt8>) -> [Int32] {
    encoding(capacity: bytes.count) { $0.append(text: bytes) }
  }

  private func appendWithAddedTokens(_ bytes: UnsafeBufferPointer<UInt8>, to encoder: inout TextEncoder) {
    guard let matcher else { return appendNormalized(bytes, to: &encoder) }
    matcher.split(bytes) { piece in
      switch piece {
      case .token(let id): encoder.append(id)
      case .text(let range): appendNormalized(UnsafeBufferPointer(rebasing: bytes[range]), to: &encoder)
      }
    }
  }

  /// Appends text between the tokens that are found in text as it is: normalized, and with those that are found in such text.
  private func appendNormalized(_ bytes: UnsafeBufferPointer<UInt8>, to encoder: inout TextEncoder) {
    guard let normalizedMatcher else { return encoder.append(text: bytes) }
    let normalized = pipeline.normalizesToNFC ? NormalizationFormC.shared.normalized(bytes) : nil
    func append(_ bytes: UnsafeBufferPointer<UInt8>) {
      normalizedMatcher.split(bytes) { piece in
        switch piece {
        case .token(let id): encoder.append(id)
        case .text(let range): encoder.append(normalized: UnsafeBufferPointer(rebasing: bytes[range]))
        }
      }
    }
    if let normalized { normalized.withUnsafeBufferPointer(append) } else { append(bytes) }
  }

  private static func withBytes<T>(of text: String, _ body: (UnsafeBufferPointer<UInt8>) -> T) -> T {
    text.utf8.withContiguousStorageIfAvailable(body) ?? Array(text.utf8).withUnsafeBufferPointer(body)
  }
}

extension Tokenizer {
  /// The ids of one word; for tests.
  package func encode(word: [UInt8]) -> [Int32] {
    word.withUnsafeBufferPointer { word in encoding(capacity: word.count) { $0.append(word: word) } }
  }

  /// The ids of one word by the plain reference; for tests. Knows nothing of `ignore_merges`.
  package func encodePlainly(word: [UInt8]) -> [Int32] { MergeHeap(model).encode(word) }
}
