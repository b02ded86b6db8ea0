import Inference
import Pipeline
import SQLiteLog
import Testing
import Topics

/// Asking a model many questions.
@Suite struct AnsweringTests {
  @Test("who measures a model stops when told to, before the next question")
  func cancelled() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.deploy(intercept: 0, epoch: 1)
    let model = try ServingModel(gguf: bench.folder + "/student.gguf")
    let messages = [ChatMessage.user("lock the back door")]
    let sample = MeasuredSample(id: "a", messages: messages, call: Call(name: "lock_door", arguments: [:]))
    #expect(try Answering.answers(to: [messages], model: model).count == 1)
    let stopped = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      #expect(throws: CancellationError.self) { try Answering.answers(to: [messages], model: model) }
      #expect(throws: CancellationError.self) { try Answering.evaluate([sample], model: model) }
    }
    await stopped.value
    try await bench.log.close()
  }
}
