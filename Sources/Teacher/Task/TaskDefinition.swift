public import Topics

/// What the teacher is to do: instructions, functions, and the checks its answers must pass.
public struct TaskDefinition: Sendable {
  /// The system message.
  public var instructions: String
  /// The functions whose call is the label.
  public var functions: FunctionSet
  /// The functions that are executed while labelling.
  public var lookups: [LookupFunction]
  /// Whether string arguments must occur in the request.
  public var grounded: GroundingPolicy
  /// Asked last about a call that passed everything else.
  public var verifier: Verifier?
  /// How many samples are drawn, and how many of them must agree.
  public var votes: VotePolicy
  /// Producers whose recorded answers are labels.
  public var trustedProducers: Set<String>

  /// Makes a task. Default: no lookups, no grounding, no verifier, one sample, imported answers trusted.
  public init(
    instructions: String, functions: FunctionSet, lookups: [LookupFunction] = [],
    grounded: GroundingPolicy = .off, verifier: Verifier? = nil, votes: VotePolicy = VotePolicy(),
    trustedProducers: Set<String> = ["import"]
  ) {
    self.instructions = instructions
    self.functions = functions
    self.lookups = lookups
    self.grounded = grounded
    self.verifier = verifier
    self.votes = votes
    self.trustedProducers = trustedProducers
  }

  /// The tools as the teacher is given them: lookups, then answer functions.
  public var tools: JSON {
    .array(
      (lookups.map(\.definition) + functions.functions).map {
        [
          "type": "function",
          "function": [
            "name": .string($0.name), "description": .string($0.description), "parameters": $0.parametersJSON,
          ],
        ]
      })
  }

  /// SHA-256 of the canonical JSON of instructions and tools: what the teacher is told.
  public var promptDigest: Digest {
    Digest.sha256(JSON.object(["instructions": .string(instructions), "tools": tools]).canonical)
  }

  /// SHA-256 over everything that decides about a label, bindings left out.
  public var digest: Digest {
    Digest.sha256(
      JSON.object([
        "prompt": .string(promptDigest.hex), "functions": .string(functions.digest.hex), "grounded": grounded.json,
        "verifier": verifier.map { .string($0.name) } ?? .null, "votes": votes.json,
        "trusted": .array(trustedProducers.sorted().map { .string($0) }),
      ]).canonical)
  }

  /// Checks what cannot be checked by the parts alone.
  ///
  /// - Throws: `TeacherError`: no functions, one name for two functions, votes out of range.
  public func validate() throws(TeacherError) {
    guard !functions.functions.isEmpty else {
      throw TeacherError(.invalidConfiguration, subject: "task.functions", expected: "a function", found: "none")
    }
    var seen = Set(functions.functions.map(\.name))
    for lookup in lookups where !seen.insert(lookup.definition.name).inserted {
      throw TeacherError(
        .invalidLookup, subject: "lookup \(lookup.definition.name)", expected: "a name of its own",
        found: "the name of another function")
    }
    try votes.validate()
  }
}
