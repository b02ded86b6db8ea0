internal import Topics

/// Asks the teacher about one request: the samples, their vote, the checks of the winner, and the cache.
struct Asker: Sendable {
  let loop: ToolLoop
  let task: TaskDefinition
  let producer: String
  let promptDigest: Digest
  let checker: AnswerChecker
  let cache: ForgivingCache?
  private let underWay = ConversationsUnderWay()

  init(
    loop: ToolLoop, task: TaskDefinition, producer: String, promptDigest: Digest, checker: AnswerChecker,
    cache: ForgivingCache?
  ) {
    self.loop = loop
    self.task = task
    self.producer = producer
    self.promptDigest = promptDigest
    self.checker = checker
    self.cache = cache
  }

  /// One sample: its exchange or why there is none, and its place in the cache.
  private struct Sample: Sendable {
    let key: Digest
    let result: Result<Exchange, Rejection>
    let isCached: Bool

    var exchange: Exchange? {
      if case .success(let exchange) = result { return exchange }
      return nil
    }
  }

  /// Asks; of requests that are the same, with a cache, one after the other.
  ///
  /// - Throws: `Rejection` or `CancellationError`.
  func ask(_ request: RequestRecord, _ calls: CallCounter) async throws -> AcceptedLabel {
    let messages = loop.opening(request)
    let tools = task.tools
    guard cache?.keepsAnswers == true else { return try await ask(request, messages, tools, calls) }
    let (key, _) = place(of: 0, messages, tools)
    return try await underWay.run(key) { try await ask(request, messages, tools, calls) }
  }

  private func ask(
    _ request: RequestRecord, _ messages: [JSON], _ tools: JSON, _ calls: CallCounter
  ) async throws -> AcceptedLabel {
    let samples = try await withThrowingTaskGroup(of: (Int, Sample).self) { group in
      for index in 0..<task.votes.samples {
        group.addTask { (index, try await self.sample(index, messages, tools, calls)) }
      }
      var samples: [(Int, Sample)] = []
      for try await sample in group { samples.append(sample) }
      return samples.sorted { $0.0 < $1.0 }.map(\.1)
    }
    do {
      let label = try await accept(samples, request, calls)
      for sample in samples where !sample.isCached {
        if let exchange = sample.exchange {
          await cache?.store(exchange, for: sample.key, request: AnswerCache.request(request.messages))
        }
      }
      return label
    } catch let rejection as Rejection {
      // A refused label's answers are asked for anew when the record is redriven.
      for sample in samples where sample.isCached { await cache?.remove(sample.key) }
      throw rejection
    }
  }

  /// A sample's place in the cache, and the parameters that it is asked for with.
  private func place(of index: Int, _ messages: [JSON], _ tools: JSON) -> (key: Digest, parameters: JSONObject) {
    let parameters = loop.client.parameters(tools: tools, sample: index)
    let key = AnswerCache.key(
      endpoint: loop.client.url, parameters: parameters, messages: messages, sample: index,
      vocabulary: loop.logprobs?.digest)
    return (key, parameters)
  }

  private func sample(_ index: Int, _ messages: [JSON], _ tools: JSON, _ calls: CallCounter) async throws -> Sample {
    let (key, parameters) = place(of: index, messages, tools)
    if let exchange = await cache?.exchange(for: key) {
      loop.recall(exchange)
      return Sample(key: key, result: .success(exchange), isCached: true)
    }
    do {
      let exchange = try await loop.run(messages: messages, parameters: parameters, calls: calls)
      return Sample(key: key, result: .success(exchange), isCached: false)
    } catch let rejection as Rejection {
      return Sample(key: key, result: .failure(rejection), isCached: false)
    }
  }

  /// The vote, then the checks of the winner.
  private func accept(
    _ samples: [Sample], _ request: RequestRecord, _ calls: CallCounter
  ) async throws -> AcceptedLabel {
    let exchanges = samples.map(\.exchange)
    guard let winner = task.votes.winner(of: exchanges.map { $0?.call }) else { throw disagreement(samples) }
    // Equal calls may differ in the order of their keys: the first sample's order is the label's.
    let first = exchanges.lazy.compactMap { $0 }.first { $0.call == winner.call }
    let verdicts: [LabelVerdict]
    do { verdicts = try await checker.check(winner.call, for: request) } catch let rejection as Rejection {
      throw Rejection(
        code: rejection.code, message: rejection.message, rawAnswer: first?.raw ?? rejection.rawAnswer)
    }
    return AcceptedLabel(
      call: first?.call ?? winner.call, producer: producer, promptDigest: promptDigest, votes: winner.votes,
      verdicts: verdicts, usage: calls.usage, cost: calls.cost, attempts: calls.value, trace: first?.trace ?? [],
      topLogprobs: first?.topLogprobs)
  }

  /// Why no call won: the one reason all samples failed for, or that they did not agree.
  private func disagreement(_ samples: [Sample]) -> Rejection {
    var failures: [Rejection] = []
    for case .failure(let rejection) in samples.map(\.result) { failures.append(rejection) }
    if failures.count == samples.count, let first = failures.first { return first }
    let answers = samples.map { sample -> JSON in
      switch sample.result {
      case .success(let exchange): exchange.call.json
      case .failure(let rejection): ["rejected": .string(rejection.code.rawValue)]
      }
    }
    return Rejection(
      code: .noAgreement,
      message: "no call was given by \(task.votes.agreement) of \(samples.count) samples",
      rawAnswer: JSON.array(answers).text)
  }
}
