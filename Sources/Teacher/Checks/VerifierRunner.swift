package import Logging
package import Topics

/// Asks the external verifier about a call.
package struct VerifierRunner: Sendable {
  private enum Judge: Sendable {
    case command(ProgramService)
    case http(url: String, HTTPService)
    case inProcess(@Sendable (Call, RequestRecord) async -> VerifierVerdict)
  }

  private static let maximumAnswerBytes = 64 << 10

  private let judge: Judge

  /// Checks the verifier's program or URL.
  ///
  /// - Throws: `TeacherError` with `invalid_verifier`.
  package init(
    _ verifier: Verifier, transport: HTTPTransport, configuration: TeacherConfiguration, clock: TeacherClock,
    logger: Logger
  ) throws(TeacherError) {
    switch verifier {
    case .inProcess(_, let judge): self.judge = .inProcess(judge)
    case .command(let arguments, let timeout):
      guard let program = arguments.first, BoundedProcess.find(program) != nil else {
        throw TeacherError(
          .invalidVerifier, subject: "task.verifier", expected: "a program that can be executed",
          found: arguments.first ?? "nothing")
      }
      judge = .command(
        ProgramService(
          name: "verifier",
          process: BoundedProcess(
            arguments: arguments, timeout: timeout, maximumOutputBytes: Self.maximumAnswerBytes),
          configuration: configuration, clock: clock, logger: logger))
    case .http(let url, let timeout):
      guard HTTPTransport.isUsable(url) else {
        throw TeacherError(
          .invalidVerifier, subject: "task.verifier", expected: "an http or https URL without user information",
          found: HTTPTransport.shown(url))
      }
      let service = HTTPService(
        name: "verifier", timeout: timeout, maximumBytes: Self.maximumAnswerBytes, transport: transport,
        configuration: configuration, clock: clock, logger: logger)
      judge = .http(url: url, service)
    }
  }

  /// The gate of an HTTP address or a program.
  package var gate: EndpointGate? {
    switch judge {
    case .http(_, let service): service.gate
    case .command(let program): program.gate
    case .inProcess: nil
    }
  }

  /// Asks.
  ///
  /// - Throws: `Rejection` with `verifier_failed`, or `CancellationError`.
  package func verdict(on call: Call, for request: RequestRecord) async throws -> VerifierVerdict {
    switch judge {
    case .inProcess(let judge): return await judge(call, request)
    case .command(let program):
      return try read(try output(of: await program.run(input: question(call, request), failure: .verifierFailed)))
    case .http(let url, let service):
      let question = HTTPService.Question(url: url, body: question(call, request))
      return try read(try await service.ask(question, failure: .verifierFailed) { answer($0, $1) })
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

  private func answer(_ status: Int, _ body: [UInt8]?) -> Attempt<[UInt8]> {
    switch status {
    case 200..<300: body.map { .success($0, tokens: 0, money: 0) } ?? .rejected(failed("its answer is too large"))
    case 400, 413, 422: .rejected(failed("it did not understand the question"))
    default: .refused(failed("status \(status)"), isUsual: true)
    }
  }
}
