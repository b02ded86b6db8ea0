import StudentModel
package import Tokenization
package import Topics

/// Turns samples into tokens, with or without exchanged values.
package struct SampleEncoder: Sendable {
  package let codec: CallCodec
  private let maximumSequence: Int

  /// The tokens of one sample.
  package struct Encoded: Sendable {
    package let prompt: [Int32]
    package let answer: [Int32]
    /// Where in the answer the values' tokens are, by the ways to them from the arguments (RFC 6901).
    package let values: [String: Range<Int>]
    package var count: Int { prompt.count + answer.count }
  }

  package init(tokenizer: Tokenizer, functions: FunctionSet, maximumSequence: Int) throws {
    codec = try CallCodec(tokenizer: tokenizer, functions: functions)
    self.maximumSequence = maximumSequence
  }

  /// The tokens of a sample, or why it cannot be learned.
  package func encode(_ sample: TrainingSample) -> Result<Encoded, Unlearnable> {
    encode(sample.messages, sample.call)
  }

  /// The tokens of a request and a call, or why they cannot be learned.
  package func encode(_ messages: [ChatMessage], _ call: Call) -> Result<Encoded, Unlearnable> {
    let prompt = codec.prompt(messages)
    let answer: (ids: [Int32], values: [String: Range<Int>])
    do {
      answer = try codec.writtenAnswer(call, request: Self.request(of: messages))
    } catch {
      return .failure(Unlearnable(reason: "the call cannot be written in the student's language: \(error)"))
    }
    let count = prompt.count + answer.ids.count
    guard count <= maximumSequence else {
      return .failure(
        Unlearnable(reason: "prompt and answer have \(count) tokens, more than maximum_sequence \(maximumSequence)"))
    }
    return .success(Encoded(prompt: prompt, answer: answer.ids, values: answer.values))
  }

  /// The text in which a call's values are looked for: what the user said.
  package static func request(of messages: [ChatMessage]) -> String {
    messages.filter { $0.role == .user }.map(\.content).joined(separator: "\n")
  }

  /// Why a sample cannot be learned.
  package struct Unlearnable: Error, Sendable {
    package let reason: String
  }
}

extension PackedBatch {
  /// Appends an encoded sample: its loss is on the answer, and to a share on the request.
  mutating func append(
    _ encoded: SampleEncoder.Encoded, weight: Double, promptShare: Double, soft: [SoftTarget] = []
  ) {
    append(
      prompt: encoded.prompt, completion: encoded.answer, weight: Float(weight),
      promptWeight: Float(weight * promptShare), soft: soft)
  }
}
