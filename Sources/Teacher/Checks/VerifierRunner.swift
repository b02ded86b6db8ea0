package import Logging
package import Topics

/// Asks the external verifier about a call.
package struct VerifierRunner: Sendable {
  private enum Judge: Sendable {
    case command(BoundedProcess)
    case http(url: String, timeout: Duration, ResilientCaller)
    case inProcess(@Sendable (Call, RequestRecord) async -> VerifierVerdict)
  }

  private static let maximumAnswerBytes = 64 << 10

  private let judge: Judge
  private let transport: HTTPTransport

  /// Checks the verifier's program or URL.
  ///
  /// - Throws: `TeacherError` with `invalid_verifier`.
  package init(
    _ verifier: Verifier, transport: HTTPTransport, configuration: TeacherConfiguration, clock: TeacherClock,
    logger: Logger
  ) throws(TeacherError) {
    self.transport = transport
    switch verifier {
    case .inProcess(_, let judge): self.judge = .inProcess(judge)
    case .command(let arguments, let timeout):
      guard let program = arguments.first, BoundedProcess.find(program) != nil else {
        throw TeacherError(
          .invalidVerifier, subject: "task.verifier", expected: "a program that can be executed",
          found: arguments.first ?? "nothing")
      }
      judge = .command(
        BoundedProcess(arguments: arguments, timeout: timeout, maximumOutputBytes: Self.maximumAnswerBytes))
    case .http(let url, let timeout):
      guard HTTPTransport.isUsable(url) else {
        throw TeacherError(
          .invalidVerifier, subject: "task.verifier", expected: "an http or https URL without user information",
          found: url)
      }
      let gate = EndpointGate(
        name: "verifier", maximumConcurrent: configuration.maximumConcurrentRequests, breaker: configuration.breaker,
        budget: nil, clock: clock, logger: logger)
      judge = .http(
        url: url, timeout: timeout, ResilientCaller(gate: gate, retry: configuration.retry, clock: clock))
    }
  }

  /// The gate of an HTTP verifier.
  package var gate: EndpointGate? {
    if case .http(_, _, let caller) = judge { return caller.gate }
    return nil
  }

  /// Asks.
  ///
  /// - Throws: `Rejection` with `verifier_failed`, or `CancellationError`.
  package func verdict(on call: Call, for request: RequestRecord) async throws -> VerifierVerdict {
    switch judge {
    case .inProcess(let judge): return await judge(call, request)
    case .command(let process): return try read(try output(of: await process.run(input: question(call, request))))
    case .http(let url, let timeout, let caller):
      let body = question(call, request)
      let answer = try await caller.run(failure: .verifierFailed, canary: nil) { _ in
        await self.ask(url, timeout, body)
      }
      return try read(answer)
    }
  }

  private func question(_ call: Call, _ request: RequestRecord) -> [UInt8] {
    let messages = JSON.array(request.messages.map(\.json))
    return JSON.object(["request": ["id": .string(request.id), "messages": messages], "call": call.json]).bytes
  }

  private func failed(_ message: String) -> Rejection {
    Rejection(code: .verifierFailed, message: "the verifier failed: \(message)")
  }

  private func output(of ending: BoundedProcess.Result) throws -> [UInt8] {
    switch ending {
    case .exited(0, let output, _): return output
    case .exited(let status, _, let errors): throw failed("exit status \(status): \(errors.prefix(300))")
    case .signalled(let signal, let errors): throw failed("ended by signal \(signal): \(errors.prefix(300))")
    case .timedOut: throw failed("it took too long")
    case .outputTooLarge: throw failed("it wrote too much")
    case .cancelled: throw CancellationError()
    case .notStarted(let message): throw failed("it did not start: \(message)")
    }
  }

  private func read(_ bytes: [UInt8]) throws -> VerifierVerdict {
    guard let json = try? JSON.parse(bytes, maximumDepth: 16, maximumBytes: Self.maximumAnswerBytes),
      let accepted = json["accepted"]?.boolValue
    else { throw failed("expected {\"accepted\": true or false}, found something else") }
    return VerifierVerdict(accepted: accepted, reason: String((json["reason"]?.stringValue ?? "").prefix(300)))
  }

  private func ask(_ url: String, _ timeout: Duration, _ body: [UInt8]) async -> Attempt<[UInt8]> {
    let result = await transport.send(
      method: "POST", url: url, headers: [], body: body, timeout: timeout, maximumBytes: Self.maximumAnswerBytes)
    switch result {
    case .answer(200..<300, _, let bytes): return .success(bytes, tokens: 0, money: 0)
    case .answer(400, _, _), .answer(422, _, _): return .rejected(failed("it did not understand the question"))
    case .answer(let status, _, _) where status == 429 || status == 503:
      return .outage(.outage, message: "status \(status)", retryAfter: nil, blamable: false)
    case .answer(let status, _, _) where status >= 500:
      return .outage(.outage, message: "status \(status)", retryAfter: nil, blamable: true)
    case .answer(let status, _, _): return .misconfigured(message: "status \(status)")
    case .tooLarge: return .rejected(failed("its answer is too large"))
    case .timedOut: return .outage(.outage, message: "no answer within \(timeout)", retryAfter: nil, blamable: true)
    case .failed(let message): return .outage(.outage, message: message, retryAfter: nil, blamable: false)
    }
  }
}
