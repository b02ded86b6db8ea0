#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
package import Logging
package import Topics

/// Executes one bound lookup function.
package struct LookupRunner: Sendable {
  /// The largest result, in bytes.
  package static let maximumResultBytes = 1 << 20

  private enum Executor: Sendable {
    case http(url: String, method: String, headers: [(String, String)], HTTPService)
    case command(ProgramService)
    case sql(SQLLookup)
  }

  package let function: LookupFunction
  /// The time one run may take.
  package let timeout: Duration
  private let executor: Executor

  /// Checks the binding and opens what it needs.
  ///
  /// - Throws: `TeacherError` with `invalid_lookup`.
  package init(
    _ function: LookupFunction, transport: HTTPTransport, configuration: TeacherConfiguration, clock: TeacherClock,
    logger: Logger
  ) throws(TeacherError) {
    self.function = function
    let name = function.definition.name
    switch function.binding {
    case .http(let url, let method, let headers, let timeout):
      self.timeout = timeout
      try Self.check(name, timeout)
      let methods = ["GET", "POST", "PUT", "PATCH"]
      guard HTTPTransport.isUsable(url), methods.contains(method) else {
        throw TeacherError(
          .invalidLookup, subject: "lookup \(name)",
          expected: "an http or https URL without user information and one of \(methods.joined(separator: ", "))",
          found: "\(method) \(HTTPTransport.shown(url))")
      }
      let service = HTTPService(
        name: "lookup \(name)", timeout: timeout, maximumBytes: Self.maximumResultBytes, transport: transport,
        configuration: configuration, clock: clock, logger: logger)
      let sorted = headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
      executor = .http(url: url, method: method, headers: sorted, service)
    case .command(let arguments, let timeout):
      self.timeout = timeout
      try Self.check(name, timeout)
      guard let program = arguments.first, BoundedProcess.find(program) != nil else {
        throw TeacherError(
          .invalidLookup, subject: "lookup \(name)", expected: "a program that can be executed",
          found: arguments.first ?? "nothing")
      }
      executor = .command(
        ProgramService(
          name: "lookup \(name)",
          process: BoundedProcess(
            arguments: arguments, timeout: timeout, maximumOutputBytes: Self.maximumResultBytes),
          configuration: configuration, clock: clock, logger: logger))
    case .sql(let path, let query, let maximumRows, let timeout):
      self.timeout = timeout
      try Self.check(name, timeout)
      executor = .sql(
        try SQLLookup(
          function: function.definition, databasePath: path, query: query, maximumRows: maximumRows, timeout: timeout,
          maximumBytes: Self.maximumResultBytes))
    }
  }

  private static func check(_ name: String, _ timeout: Duration) throws(TeacherError) {
    guard timeout > .zero, timeout <= .seconds(3_600) else {
      throw TeacherError(
        .invalidLookup, subject: "lookup \(name)", expected: "a timeout above 0 and at most an hour",
        found: "\(timeout)")
    }
  }

  /// The gate of an HTTP address or a program.
  package var gate: EndpointGate? {
    switch executor {
    case .http(_, _, _, let service): service.gate
    case .command(let program): program.gate
    case .sql: nil
    }
  }

  /// Runs the function; arguments have been checked against its schema.
  ///
  /// - Returns: the result, JSON or text, at most 1 MB.
  /// - Throws: `Rejection` with `lookup_failed`, or `CancellationError`.
  package func run(_ arguments: JSONObject) async throws -> String {
    switch executor {
    case .http(let url, let method, let headers, let service):
      let question = Self.question(url, method, headers, arguments)
      return try await service.ask(question, failure: .lookupFailed) { read($0, $1) }
    case .command(let program):
      return try result(of: await program.run(input: JSON.object(arguments).bytes, failure: .lookupFailed))
    case .sql(let lookup):
      switch await lookup.run(arguments) {
      case .rows(let text): return text
      case .timedOut:
        try Task.checkCancellation()
        throw failed("the query took too long")
      case .tooLarge: throw failed("the rows are larger than \(Self.maximumResultBytes) bytes")
      case .failed(let message):
        try Task.checkCancellation()
        throw failed(message)
      }
    }
  }

  private func failed(_ message: String) -> Rejection {
    Rejection(code: .lookupFailed, message: "lookup \(function.definition.name): \(message)")
  }

  private func result(of ending: BoundedProcess.Result) throws -> String {
    switch ending {
    case .exited(0, let output, _):
      guard let text = String(validating: output, as: UTF8.self) else { throw failed("the output is no UTF-8") }
      return text
    case .exited(let status, _, let errors): throw failed("exit status \(status): \(errors.prefix(300))")
    case .signalled(let signal, let errors): throw failed("ended by signal \(signal): \(errors.prefix(300))")
    case .timedOut: throw failed("the command took too long")
    case .outputTooLarge: throw failed("the output is larger than \(Self.maximumResultBytes) bytes")
    case .cancelled: throw CancellationError()
    case .notStarted(let message): throw failed("the command did not start: \(message)")
    }
  }

  /// Takes note of a run that succeeded when a cached exchange was made.
  package func hasSucceeded(with arguments: JSONObject) {
    guard case .http(let url, let method, let headers, let service) = executor else { return }
    service.wasAnswered(Self.question(url, method, headers, arguments))
  }

  private static func question(
    _ url: String, _ method: String, _ headers: [(String, String)], _ arguments: JSONObject
  ) -> HTTPService.Question {
    let carriesBody = method != "GET"
    return HTTPService.Question(
      method: method, url: carriesBody ? url : Self.url(url, with: arguments), headers: headers,
      body: carriesBody ? JSON.object(arguments).bytes : nil)
  }

  private func read(_ status: Int, _ body: [UInt8]?) -> Attempt<String> {
    // A redirection (to a page that asks who one is) mostly means that a session has ended.
    if [401, 403, 407].contains(status) || (300..<400).contains(status) {
      return .refused(failed("status \(status)"), isUsual: true)
    }
    guard (200..<300).contains(status) else { return .rejected(failed("status \(status)")) }
    guard let body else { return .rejected(failed("the body is larger than \(Self.maximumResultBytes) bytes")) }
    guard let text = String(validating: body, as: UTF8.self) else { return .rejected(failed("the body is no UTF-8")) }
    return .success(text, tokens: 0, money: 0)
  }

  /// The URL with the arguments as percent-encoded query items.
  package static func url(_ url: String, with arguments: JSONObject) -> String {
    guard var parts = URLComponents(string: url) else { return url }
    var items = parts.queryItems ?? []
    for (key, value) in arguments { items.append(URLQueryItem(name: key, value: value.stringValue ?? value.text)) }
    parts.queryItems = items.isEmpty ? nil : items
    // A plus sign is a space to many servers.
    parts.percentEncodedQuery = parts.percentEncodedQuery?.split(separator: "+", omittingEmptySubsequences: false)
      .joined(separator: "%2B")
    return parts.string ?? url
  }
}
