import CKernels
import ModelFiles
import Tokenization
public import Topics

/// Answers requests, several at a time, each as if it were alone.
///
/// Prompts are read in one packed pass, what they begin with in common (a system prompt) only once; after that each pass takes one step of every request in flight, forced tokens included, so
/// that the weights are read once for all of them; a request that is done makes room for the next. Constrained answers are the most probable
/// ones that a short search finds (see ``AnswerSearch``), in rows of the pass that requests leave free; others are greedy or drawn. An
/// answer has the same bits whatever else is in flight. Owns its caches and scratch: one task at a time may use it.
public final class Decoder {
  /// What is served.
  public let model: ServingModel
  /// The most requests in flight.
  public let maximumBatch: Int

  /// Rows of a pass, up to which searches follow several beginnings at once: so many cost hardly more than one.
  private let rows: Int
  private let pass: ForwardPass
  private let constraint: AnswerConstraint
  private let prefix: SharedPrefix
  private var caches: [KeyValueCache] = []
  /// How many requests and beginnings have been in memory at once.
  package var cacheCount: Int { caches.count }

  /// A decoder over `model`.
  ///
  /// - Parameter maximumBatch: requests in flight at once, 1…1024. Memory: keys and values of up to `maximumPositions` tokens each, and as
  ///   much for each beginning that is followed or in which one may be, at most ``DecodeOptions/alternatives``.
  /// - Throws: ``InferenceError`` `bad_argument`.
  public convenience init(model: ServingModel, maximumBatch: Int = 8) throws(InferenceError) {
    try self.init(model: model, maximumBatch: maximumBatch, rows: 16)
  }

  /// A decoder whose searches follow several beginnings at once in passes of up to `rows` rows; the answers are the same with any.
  package init(model: ServingModel, maximumBatch: Int, rows: Int) throws(InferenceError) {
    guard (1...1024).contains(maximumBatch) else {
      throw InferenceError(
        .badArgument, context: "maximumBatch", expected: "1…1024", found: "\(maximumBatch)",
        advice: "use as many as requests arrive together")
    }
    self.model = model
    self.maximumBatch = maximumBatch
    self.rows = rows
    pass = ForwardPass(model.model)
    prefix = SharedPrefix(pass)
    constraint = AnswerConstraint(grammar: model.grammar, vocabulary: model.vocabulary)
  }

  /// Answers each conversation with one call.
  ///
  /// What cannot be answered (a request that is too long, one from which no function can be filled or may be called, text that is
  /// no call) is an ``Answer`` with an ``Answer/invalidReason``, never an error.
  ///
  /// - Parameters:
  ///   - prompts: The conversations, any number; more than ``maximumBatch`` wait their turn.
  ///   - options: How to decode.
  /// - Returns: The answers, in order.
  /// - Throws: ``InferenceError`` only where the model itself is inconsistent.
  public func answer(
    _ prompts: [[ChatMessage]], options: DecodeOptions = DecodeOptions()
  ) throws(InferenceError) -> [Answer] {
    constraint.tidy()
    var answers = [Answer?](repeating: nil, count: prompts.count)
    var live: [AnswerSearch] = []
    var next = 0
    while true {
      while next < prompts.count, live.count < maximumBatch {
        switch try begin(prompts[next], index: next, options: options) {
        case .failure(let answer): answers[next] = answer.value
        case .success(let search): live.append(search)
        }
        next += 1
      }
      if live.isEmpty { break }
      try step(&live, options: options)
      settle(&live, prompts, &answers)
      follow(&live, options: options)
    }
    return answers.compactMap { $0 }
  }

  /// Takes in the answers that are over, and the requests that have theirs.
  private func settle(_ live: inout [AnswerSearch], _ prompts: [[ChatMessage]], _ answers: inout [Answer?]) {
    for position in live.indices {
      live[position].settle()
      guard live[position].isOver, let best = live[position].best else { continue }
      answers[best.index] = answer(from: best, to: prompts[best.index])
      caches += live[position].retired
    }
    live.removeAll(where: \.isOver)
  }

  // MARK: One request

  /// An answer without a model pass.
  private struct Refusal: Error {
    let value: Answer
  }

  private func begin(
    _ messages: [ChatMessage], index: Int, options: DecodeOptions
  ) throws(InferenceError) -> Result<AnswerSearch, Refusal> {
    let prompt = model.codec.prompt(messages)
    let limit = model.configuration.maximumPositions
    func refuse(_ reason: String) -> Result<AnswerSearch, Refusal> {
      .failure(
        Refusal(
          value: Answer(
            text: "", call: nil, confidence: 0, tokens: 0, promptTokens: prompt.count, invalidReason: reason)))
    }
    guard !prompt.isEmpty else { return refuse("request is empty") }
    guard prompt.count < limit else { return refuse("request is longer than \(limit - 1) tokens") }
    guard prompt.allSatisfy({ Int($0) < model.configuration.vocabularySize }) else {
      return refuse("request has tokens that the model does not know")
    }
    var context: RequestContext?
    var state: AnswerConstraint.State?
    if options.constrained {
      let request = model.context(of: messages, wholeWords: model.answersInWholeWords, functions: options.functions)
      guard !request.isHopeless else {
        return refuse(
          options.functions?.isEmpty == true
            ? "the request allows none of the model's functions" : "no function can be filled from this request")
      }
      context = request
      state = constraint.start(request)
    }
    let cache = caches.popLast() ?? KeyValueCache(model.configuration)
    cache.reset(capacity: min(limit, prompt.count + options.maximumTokens(for: model)))
    let known = try prefix.fill(cache, for: prompt, pass)
    var sequence = LiveSequence(
      index: index, cache: cache, promptTokens: prompt.count, context: context, state: state,
      pending: Array(prompt[known...]))
    takeForced(&sequence, options: options)
    return .success(AnswerSearch(sequence, limit: options.alternatives(for: model)))
  }

  /// Feeds all pending tokens and takes each sequence's next ones.
  private func step(_ live: inout [AnswerSearch], options: DecodeOptions) throws(InferenceError) {
    var places: [(search: Int, sequence: Int)] = []
    var segments: [ForwardPass.Segment] = []
    for search in live.indices {
      for (place, sequence) in live[search].sequences.enumerated() where !sequence.isOver {
        places.append((search, place))
        segments.append(
          ForwardPass.Segment(
            cache: sequence.cache, tokens: sequence.pending, output: sequence.allowed.map { .tokens($0) } ?? .last))
      }
    }
    guard !places.isEmpty else { return }
    let size = model.configuration.vocabularySize
    try pass.run(segments) { logits in
      for (row, place) in places.enumerated() {
        live[place.search].sequences[place.sequence].pending.removeAll(keepingCapacity: true)
        choose(&live[place.search], place.sequence, UnsafePointer(logits + row * size), options: options)
      }
    }
  }

  /// Takes the best token that may come next in the answer at `place`, and those that it forces.
  private func choose(
    _ search: inout AnswerSearch, _ place: Int, _ logits: UnsafePointer<Float>, options: DecodeOptions
  ) {
    let size = model.configuration.vocabularySize
    let choice = pick(search.sequences[place], logits, count: size, options.sampling)
    guard let allowed = search.sequences[place].allowed else {
      chooseFreely(&search.sequences[place], choice, options: options)
      return
    }
    guard choice.token >= 0 else {
      search.sequences[place].failure =
        allowed.isEmpty ? "no token continues the answer" : "the model's output is not a number"
      return
    }
    search.passBy(allowed, choosing: choice, at: place, logits, count: size)
    search.sequences[place].logProbability += choice.logProbability
    take(choice.token, &search.sequences[place])
    takeForced(&search.sequences[place], options: options)
  }

  /// Follows the beginnings that searches ask for, each in a cache of its own that begins as the one in which it lies.
  private func follow(_ live: inout [AnswerSearch], options: DecodeOptions) {
    var spare = rows - live.reduce(0) { $0 + $1.sequences.count }
    for position in live.indices {
      for beginning in live[position].next(spare: spare) {
        var sequence = beginning.sequence
        let length = sequence.promptTokens + sequence.generated.count
        let cache = caches.popLast() ?? KeyValueCache(model.configuration)
        cache.reset(
          capacity: min(model.configuration.maximumPositions, sequence.promptTokens + options.maximumTokens(for: model))
        )
        cache.copy(length, from: sequence.cache)
        sequence.id = beginning.id
        sequence.cache = cache
        sequence.logProbability = beginning.logProbability
        take(beginning.token, &sequence)
        takeForced(&sequence, options: options)
        live[position].sequences.append(sequence)
        spare -= 1
      }
      caches += live[position].freeCaches()
    }
  }

  private func pick(
    _ sequence: LiveSequence, _ logits: UnsafePointer<Float>, count: Int, _ sampling: DecodeOptions.Sampling?
  ) -> TokenChoice {
    guard let sampling else { return TokenChoice(logits, count: count, allowed: sequence.allowed) }
    let place = UInt64(sampling.first + sequence.index)
    let bits = retort_random_bits(sampling.seed, place, UInt64(sequence.generated.count))
    return TokenChoice(
      logits, count: count, allowed: sequence.allowed, temperature: sampling.temperature,
      point: Double(bits >> 11) * 0x1p-53)
  }

  private func chooseFreely(_ sequence: inout LiveSequence, _ choice: TokenChoice, options: DecodeOptions) {
    guard choice.token >= 0 else {
      sequence.failure = "the model's output is not a number"
      return
    }
    sequence.logProbability += choice.logProbability
    if choice.token == model.codec.endOfAnswer || choice.token == model.tokenizer.controls.endOfText {
      sequence.end = choice.token
      sequence.isFinished = true
      return
    }
    take(choice.token, &sequence)
    if isFull(sequence, options: options) {
      sequence.failure = "answer is longer than \(sequence.generated.count) tokens"
    }
  }

  private func take(_ token: Int32, _ sequence: inout LiveSequence) {
    sequence.generated.append(token)
    sequence.pending.append(token)
    sequence.text += model.tokenizer.bytes(of: token)
    if let context = sequence.context, let state = sequence.state {
      sequence.state = constraint.advance(state, token: token, context)
    }
  }

  /// Whether no further token may be generated.
  private func isFull(_ sequence: LiveSequence, options: DecodeOptions) -> Bool {
    sequence.generated.count >= options.maximumTokens(for: model)
      || sequence.promptTokens + sequence.generated.count >= model.configuration.maximumPositions
  }

  /// Under the constraint: takes tokens as long as there is no choice, and notes the end.
  private func takeForced(_ sequence: inout LiveSequence, options: DecodeOptions) {
    guard let context = sequence.context else { return }
    while let state = sequence.state, !state.isComplete {
      guard !isFull(sequence, options: options) else {
        close(&sequence, state, context)
        return
      }
      let next = constraint.allowed(state, context)
      guard next.forced >= 0, Int(next.forced) < model.configuration.vocabularySize else {
        sequence.allowed = next.ids
        return
      }
      take(next.forced, &sequence)
    }
    sequence.isFinished = true
  }

  /// Ends an answer that has become too long, by the grammar alone.
  private func close(_ sequence: inout LiveSequence, _ state: AnswerConstraint.State, _ context: RequestContext) {
    guard let rest = constraint.completion(state, context) else {
      sequence.failure = "answer is longer than \(sequence.generated.count) tokens"
      return
    }
    sequence.text += rest
    sequence.isCutOff = true
    sequence.isFinished = true
  }

  private func answer(from sequence: LiveSequence, to messages: [ChatMessage]) -> Answer {
    var text = String(decoding: sequence.text, as: UTF8.self)
    func make(_ call: Call?, _ reason: String?) -> Answer {
      let isSure = call != nil && !sequence.isCutOff
      return Answer(
        text: text, call: call, confidence: isSure ? retort_exp(sequence.logProbability) : 0,
        tokens: sequence.generated.count,
        generated: sequence.generated + (sequence.end.map { [$0] } ?? []), promptTokens: sequence.promptTokens,
        invalidReason: reason)
    }
    if let failure = sequence.failure { return make(nil, failure) }
    do {
      let said = try model.codec.call(fromAnswer: sequence.text)
      let call = model.codec.asWritten(said, request: messages.map(\.content).joined(separator: "\n"))
      if call != said { text = AnswerText.text(of: call.json) }
      let violations = model.functions.violations(of: call)
      return violations.isEmpty ? make(call, nil) : make(nil, violations.prefix(3).joined(separator: "; "))
    } catch {
      return make(nil, error.description)
    }
  }
}
