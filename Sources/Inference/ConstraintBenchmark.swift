import CKernels
public import Tokenization
public import Topics

/// The time that holding answers to the functions' schemas takes, without a model: what `retort bench constrain` prints.
///
/// Tokens are drawn at random from those allowed, by a hash of the place, so that all of the schemas is walked and not only what
/// a student would say; forced tokens count as tokens.
public enum ConstraintBenchmark {
  /// The best of the repetitions.
  public struct Report: Sendable, Hashable {
    /// Answers written to their end, by the constraint alone where they got too long.
    public let answers: Int
    /// Tokens of all answers.
    public let tokens: Int
    /// Tokens of the vocabulary.
    public let vocabulary: Int
    /// Microseconds a token: finding what is allowed, and stepping on.
    public let microsecondsPerToken: Double
    /// The same for 99 of 100 tokens at most, in the same repetition.
    public let microsecondsPerTokenP99: Double
    /// Microseconds of preparing for one request, before its first token.
    public let microsecondsPerRequest: Double
    /// Milliseconds of compiling the functions.
    public let compileMilliseconds: Double
    /// Answers that their schema does not accept: none, by construction.
    public let invalid: Int
  }

  /// Measures on the requests one after the other, on one thread.
  ///
  /// - Parameters:
  ///   - functions: The functions.
  ///   - tokenizer: The vocabulary; structure tokens of the functions are used where it has them.
  ///   - requests: The texts that values are pieces of.
  ///   - maximumTokens: Tokens of an answer after which it is closed.
  ///   - repetitions: How often all requests are answered; the first time counts too, with nothing kept from before.
  /// - Throws: ``InferenceError`` `bad_schema` where the functions cannot be compiled.
  public static func run(
    functions: FunctionSet, tokenizer: Tokenizer, requests: [String], maximumTokens: Int = 64, repetitions: Int = 3
  ) throws(InferenceError) -> Report {
    var start = ContinuousClock.now
    let grammar = try AnswerGrammar(functions)
    let compile = seconds(since: start)
    let vocabulary = ServingModel.vocabulary(of: tokenizer, functions)
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
    var best: (total: Double, walk: Walk)?
    for _ in 0..<max(1, repetitions) {
      var walk = Walk()
      for (index, request) in requests.enumerated() {
        start = .now
        let context = RequestContext(grammar: grammar, texts: [request])
        walk.preparing += seconds(since: start)
        guard !context.isHopeless else { continue }
        walk.answer(constraint, context, vocabulary, functions, seed: UInt64(index), maximumTokens: maximumTokens)
      }
      let total = walk.times.reduce(0, +)
      if total < best?.total ?? .infinity { best = (total, walk) }
    }
    let walk = best?.walk ?? Walk()
    let sorted = walk.times.sorted()
    return Report(
      answers: walk.answers, tokens: sorted.count, vocabulary: vocabulary.bytes.count,
      microsecondsPerToken: 1e6 * (best?.total ?? 0) / Double(max(1, sorted.count)),
      microsecondsPerTokenP99: sorted.isEmpty ? 0 : 1e6 * sorted[(sorted.count - 1) * 99 / 100],
      microsecondsPerRequest: 1e6 * walk.preparing / Double(max(1, requests.count)),
      compileMilliseconds: compile * 1e3, invalid: walk.invalid)
  }

  /// What was measured on the way.
  private struct Walk {
    var (answers, invalid) = (0, 0)
    var preparing = 0.0
    /// Seconds of each token.
    var times: [Double] = []

    mutating func answer(
      _ constraint: AnswerConstraint, _ context: RequestContext, _ vocabulary: ConstraintVocabulary,
      _ functions: FunctionSet, seed: UInt64, maximumTokens: Int
    ) {
      var state = constraint.start(context)
      var text: [UInt8] = []
      for place in 0..<maximumTokens where !state.isComplete {
        let start = ContinuousClock.now
        let allowed = constraint.allowed(state, context)
        guard !allowed.ids.isEmpty else { break }
        let draw = Int(retort_random_bits(seed, 3, UInt64(place)) >> 33) % allowed.ids.count
        let token = allowed.forced >= 0 ? allowed.forced : allowed.ids[draw]
        state = constraint.advance(state, token: token, context)
        times.append(seconds(since: start))
        text += vocabulary.bytes[Int(token)]
      }
      answers += 1
      text += constraint.completion(state, context) ?? []
      let call = try? Call(json: JSON.parse(text))
      if call.map({ !functions.violations(of: $0).isEmpty }) ?? true { invalid += 1 }
    }
  }

  private static func seconds(since start: ContinuousClock.Instant) -> Double {
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }
}
