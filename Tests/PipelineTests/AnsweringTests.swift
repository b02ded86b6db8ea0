import DemoWorld
import Evaluation
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

  @Test(
    "of many questions the answers are those that each has alone, and up to a hundred of them, spread evenly, are timed"
  )
  func timed() async throws {
    let bench = try await LabelPolicyTests.Bench()
    try await bench.deploy(intercept: 0, epoch: 1)
    let model = try ServingModel(gguf: bench.folder + "/student.gguf")
    let samples = RequestGrammar(seed: 7).requests(0..<150).map {
      MeasuredSample(id: "\($0.index)", messages: [.user($0.text)], call: $0.call)
    }
    let cases = try Answering.evaluate(samples, model: model)
    #expect(cases.map(\.id) == samples.map(\.id))
    for index in stride(from: 0, to: 150, by: 30) {
      let alone = try Answering.answers(to: [samples[index].messages], model: model, batch: 1)
      #expect(cases[index].predicted == alone.first?.call && cases[index].confidence == alone.first?.confidence)
    }
    #expect(cases.indices.filter { cases[$0].latencyMilliseconds == nil } == Array(stride(from: 2, to: 150, by: 3)))
    #expect(EvaluationReport(cases).latency.count == Answering.timed)
    let few = try Answering.evaluate(Array(samples.prefix(3)), model: model)
    #expect(few.allSatisfy { $0.latencyMilliseconds != nil })
    try await bench.log.close()
  }
}
