package import Topics

/// Every check that a call must pass before it is a label, whoever gave it.
package struct AnswerChecker: Sendable {
  private let functions: FunctionSet
  private let grounded: GroundingPolicy
  private let verifier: VerifierRunner?
  private let counters: TeacherCounters

  package init(task: TaskDefinition, verifier: VerifierRunner?, counters: TeacherCounters) {
    functions = task.functions
    grounded = task.grounded
    self.verifier = verifier
    self.counters = counters
  }

  /// Whether the function is known and the arguments fit its schema.
  ///
  /// - Throws: `Rejection` with `unknown_function` or `invalid_arguments`.
  package func checkShape(_ call: Call) throws(Rejection) {
    guard functions[call.name] != nil else {
      throw Rejection(
        code: .unknownFunction,
        message: "expected one of the task's functions, found \(call.name.prefix(100))", rawAnswer: call.json.text)
    }
    let violations = functions.violations(of: call)
    guard violations.isEmpty else {
      throw Rejection(
        code: .invalidArguments, message: "\(call.name): \(violations.prefix(3).joined(separator: "; "))",
        rawAnswer: call.json.text)
    }
  }

  /// All checks, the verifier last.
  ///
  /// - Returns: what each said.
  /// - Throws: `Rejection` or `CancellationError`.
  package func check(_ call: Call, for request: RequestRecord) async throws -> [LabelVerdict] {
    try checkShape(call)
    var verdicts = [LabelVerdict(name: "schema", passed: true)]
    if grounded.isRequired, let function = functions[call.name] {
      let grounding = Grounding(policy: grounded, messages: request.messages)
      if let (path, value) = grounding.violation(in: call, of: function) {
        throw Rejection(
          code: .ungrounded, message: "\(call.name).\(path): \"\(value.prefix(200))\" does not occur in the request",
          rawAnswer: call.json.text)
      }
      verdicts.append(LabelVerdict(name: "grounded", passed: true))
    }
    if let verifier {
      counters.update { $0.verifications += 1 }
      let verdict = try await verifier.verdict(on: call, for: request)
      guard verdict.accepted else {
        throw Rejection(
          code: .verifierRefused, message: verdict.reason.isEmpty ? "the verifier refused" : verdict.reason,
          rawAnswer: call.json.text)
      }
      verdicts.append(
        LabelVerdict(
          name: "verifier", passed: true,
          detail: verdict.reason.isEmpty ? nil : String(verdict.reason.prefix(300)).shortened(toBytes: 4_096)))
    }
    return verdicts
  }
}
