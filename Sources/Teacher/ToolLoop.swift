package import Topics

/// One exchange with the teacher: ask, run the lookups it wants, until it calls an answer function.
package struct ToolLoop: Sendable {
  private static let reminder = "Answer by calling exactly one of the functions."

  let client: ChatClient
  let task: TaskDefinition
  let lookups: [String: LookupRunner]
  let checker: AnswerChecker
  let configuration: TeacherConfiguration
  let counters: TeacherCounters
  /// Nil where no log-probabilities are asked for.
  let logprobs: LogprobReader?

  /// The messages of the first turn.
  package func opening(_ request: RequestRecord) -> [JSON] {
    // Only what the protocol knows: an endpoint may refuse a record's own fields.
    [ChatMessage.system(task.instructions).json]
      + request.messages.map { message in
        var plain = message
        plain.extra = message.extra["name"].map { ["name": $0] } ?? [:]
        return plain.json
      }
  }

  /// What grows while an exchange goes on.
  private struct Progress {
    var messages: [JSON]
    let opening: Int
    var usage = TokenUsage.none
    var cost = 0.0
    var active = Duration.zero
    var reminded = false
  }

  /// Runs one exchange.
  ///
  /// - Throws: `Rejection` or `CancellationError`.
  package func run(messages: [JSON], parameters: JSONObject, calls: CallCounter) async throws -> Exchange {
    var progress = Progress(messages: messages, opening: messages.count)
    for _ in 0..<configuration.maximumTurns {
      let answer = try await turn(&progress, parameters, calls)
      progress.usage = progress.usage + answer.usage
      progress.cost += configuration.prices.cost(of: answer.usage)
      let answerCalls = answer.calls.filter { lookups[$0.name] == nil }
      if !answerCalls.isEmpty {
        let call = try single(answerCalls, in: answer)
        return Exchange(
          call: call, usage: progress.usage, cost: progress.cost,
          trace: progress.messages.dropFirst(progress.opening).compactMap { try? ChatMessage(json: $0) },
          topLogprobs: logprobs?.read(answer.logprobs, of: call),
          raw: answer.raw.shortened(toBytes: Rejection.maximumRawAnswerBytes))
      }
      if answer.calls.isEmpty {
        try remind(&progress, answer)
      } else {
        try await lookUp(&progress, answer)
      }
    }
    throw Rejection(
      code: .tooManyTurns, message: "no answer function was called within \(configuration.maximumTurns) turns")
  }

  /// One answer of the teacher; a malformed one is asked for once more.
  private func turn(
    _ progress: inout Progress, _ parameters: JSONObject, _ calls: CallCounter
  ) async throws -> ChatAnswer {
    var last: Rejection?
    for _ in 0..<2 {
      guard progress.active < configuration.totalTimeout else { throw timedOut }
      do {
        let timed = try await client.complete(messages: progress.messages, parameters: parameters, calls: calls)
        let answer = timed.answer
        progress.active += timed.elapsed
        if let broken = answer.calls.first(where: { $0.arguments == nil }) {
          last = Rejection(
            code: .malformedAnswer, message: "the arguments of \(broken.name.prefix(100)) are no JSON object",
            rawAnswer: answer.raw)
          progress.usage = progress.usage + answer.usage
          progress.cost += configuration.prices.cost(of: answer.usage)
          continue
        }
        try refuseIfFiltered(answer)
        return answer
      } catch let rejection as Rejection where rejection.code == .malformedAnswer {
        last = rejection
      }
    }
    throw last ?? timedOut
  }

  private var timedOut: Rejection {
    Rejection(code: .timedOut, message: "the exchange took longer than \(configuration.totalTimeout)")
  }

  private func refuseIfFiltered(_ answer: ChatAnswer) throws(Rejection) {
    if answer.finishReason == "content_filter" {
      throw Rejection(code: .teacherRefused, message: "the answer was filtered", rawAnswer: answer.raw)
    }
    if let refusal = answer.refusal, !refusal.isEmpty {
      throw Rejection(
        code: .teacherRefused, message: "the teacher refused: \(refusal.prefix(300))", rawAnswer: answer.raw)
    }
  }

  /// The one answer call of a turn; the same call twice counts as one.
  private func single(_ calls: [ChatAnswer.ToolCall], in answer: ChatAnswer) throws(Rejection) -> Call {
    let distinct = Set(calls.map { Call(name: $0.name, arguments: $0.arguments ?? [:]) })
    guard distinct.count == 1, let call = distinct.first else {
      throw Rejection(
        code: .severalCalls, message: "expected one answer call, found \(distinct.count)", rawAnswer: answer.raw)
    }
    do { try checker.checkShape(call) } catch {
      throw Rejection(code: error.code, message: error.message, rawAnswer: answer.raw)
    }
    return call
  }

  private func remind(_ progress: inout Progress, _ answer: ChatAnswer) throws(Rejection) {
    guard !progress.reminded else {
      throw Rejection(code: .noCall, message: "the teacher answered in words, twice", rawAnswer: answer.raw)
    }
    progress.reminded = true
    progress.messages.append(["role": "assistant", "content": .string(answer.content ?? "")])
    progress.messages.append(ChatMessage.user(Self.reminder).json)
  }

  /// Runs every lookup of a turn and appends the results in the order of the calls.
  private func lookUp(_ progress: inout Progress, _ answer: ChatAnswer) async throws {
    progress.messages.append([
      "role": "assistant", "content": answer.content.map { .string($0) } ?? .null,
      "tool_calls": .array(
        answer.calls.map { call in
          [
            "id": .string(call.id), "type": "function",
            "function": ["name": .string(call.name), "arguments": .string(call.rawArguments)],
          ]
        }),
    ])
    for call in answer.calls {
      let started = ContinuousClock.now
      let result = try await result(of: call)
      // A lookup that waited out an outage counts with no more than its own limit.
      let limit = lookups[call.name]?.timeout ?? .zero
      progress.active += min(limit, ContinuousClock.now - started)
      progress.messages.append(["role": "tool", "tool_call_id": .string(call.id), "content": .string(result)])
      guard progress.active <= configuration.totalTimeout else { throw timedOut }
    }
  }

  /// Tells lookups what succeeded when a cached exchange was made: after a restart they know no question otherwise
  /// that was ever answered, and could not tell an outage from a question at fault.
  package func recall(_ exchange: Exchange) {
    for call in exchange.trace.flatMap(\.toolCalls) {
      guard let runner = lookups[call.name], let arguments = try? call.call().arguments,
        runner.function.definition.parameters.violations(of: .object(arguments)).isEmpty
      else { continue }
      runner.hasSucceeded(with: arguments)
    }
  }

  private func result(of call: ChatAnswer.ToolCall) async throws -> String {
    guard let runner = lookups[call.name] else { return "" }
    let arguments = call.arguments ?? [:]
    let violations = runner.function.definition.parameters.violations(of: .object(arguments))
    // Wrong arguments of a lookup are the teacher's to mend: it is told, and the turns are bounded.
    guard violations.isEmpty else {
      return JSON.object(["error": .string("invalid arguments: " + violations.prefix(3).joined(separator: "; "))]).text
    }
    counters.update { $0.lookups += 1 }
    return try await runner.run(arguments)
  }
}
