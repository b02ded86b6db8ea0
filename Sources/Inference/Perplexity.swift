import CKernels
import ModelFiles
import Tokenization
public import Topics

/// How well a model predicts a text.
public enum Perplexity {
  /// The result.
  public struct Report: Sendable, Hashable {
    /// Tokens that were predicted.
    public let tokens: Int
    /// The mean negative logarithm (natural) of their probabilities.
    public let nll: Double
    /// e to the power of ``nll``.
    public let perplexity: Double

    /// The report as JSON: tokens, nll, perplexity.
    public var json: JSON {
      ["tokens": .integer(Int64(tokens)), "nll": .number(nll), "perplexity": .number(perplexity)]
    }
  }

  /// The rows of logits that are held at once.
  private static let rows = 64

  /// Measures the model on a text.
  ///
  /// - Parameters:
  ///   - model: The model; it must have a tokenizer.
  ///   - text: Any text.
  ///   - maximumTokens: How many of its tokens to look at; default all.
  ///   - window: The length of the context in tokens; default 512, at most the model's `maximumPositions`.
  /// - Throws: ``InferenceError`` `bad_tokenizer` without a tokenizer, else as for tokens.
  public static func evaluate(
    _ model: DecoderModel, text: String, maximumTokens: Int = .max, window: Int = 512
  ) throws(InferenceError) -> Report {
    guard let tokenizer = model.tokenizer else {
      throw InferenceError(
        .badTokenizer, context: "model", expected: "a tokenizer", found: "none",
        advice: "load the model with its tokenizer")
    }
    return try evaluate(
      model, tokens: tokenizer.encode(text), beginning: tokenizer.beginning, maximumTokens: maximumTokens,
      window: window)
  }

  /// Measures the model on tokens.
  ///
  /// The tokens are cut into consecutive windows; every token but the first of a window is predicted from those before it in the
  /// window. Where a token begins texts, each window begins with that one.
  ///
  /// - Throws: ``InferenceError`` `bad_argument` for fewer than 2 tokens or a token outside the vocabulary.
  public static func evaluate(
    _ model: DecoderModel, tokens: [Int32], beginning: Int32? = nil, maximumTokens: Int = .max, window: Int = 512
  ) throws(InferenceError) -> Report {
    let tokens = tokens.prefix(max(0, maximumTokens))
    let width = min(max(window, 2), model.configuration.maximumPositions)
    guard tokens.count >= 2, width >= 2 else {
      throw InferenceError(
        .badArgument, context: "text", expected: "at least 2 tokens", found: "\(tokens.count)",
        advice: "use a longer text")
    }
    let pass = ForwardPass(model)
    let cache = KeyValueCache(model.configuration)
    var sum = 0.0
    var count = 0
    let head = beginning.map { [$0] } ?? []
    for start in stride(from: 0, to: tokens.count, by: width - head.count) {
      let part = head + tokens[start..<min(start + width - head.count, tokens.count)]
      guard part.count >= 2 else { break }
      cache.reset(capacity: part.count)
      for first in stride(from: 0, to: part.count - 1, by: rows) {
        let inputs = Array(part[first..<min(first + rows, part.count - 1)])
        let targets = Array(part[first + 1...first + inputs.count])
        sum += try nll(pass, cache, inputs, targets)
        count += inputs.count
      }
    }
    let mean = sum / Double(count)
    return Report(tokens: count, nll: mean, perplexity: retort_exp(mean))
  }

  private static func nll(
    _ pass: ForwardPass, _ cache: KeyValueCache, _ inputs: [Int32], _ targets: [Int32]
  ) throws(InferenceError) -> Double {
    let size = pass.model.configuration.vocabularySize
    guard targets.allSatisfy({ $0 >= 0 && Int($0) < size }) else {
      throw InferenceError(
        .badArgument, context: "tokens", expected: "each in 0..<\(size)", found: "others",
        advice: "encode with the model's own tokenizer")
    }
    let weights = [Float](repeating: 1, count: inputs.count)
    var losses = [retort_row_loss](repeating: retort_row_loss(), count: inputs.count)
    try pass.run([ForwardPass.Segment(cache: cache, tokens: inputs, output: .all)]) { logits in
      retort_cross_entropy(inputs.count, size, logits, size, targets, weights, 1, nil, 0, 0, 0, &losses)
    }
    return losses.reduce(0) { $0 + Double($1.cross_entropy) }
  }
}
