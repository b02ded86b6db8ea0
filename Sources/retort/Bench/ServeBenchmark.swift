import AsyncHTTPClient
import DemoWorld
import Evaluation
import Inference
import Logging
import NIOCore
import NIOHTTP1
import Serving
import StudentModel
import Tokenization
import Topics
import Training

/// How fast the HTTP server answers over loopback. Clients and server share this process and its cores.
enum ServeBenchmark {
  struct Report {
    let requestsPerSecond: Double
    let latency: LatencyPercentiles
    /// Requests that got another status than 200.
    let failed: Int
  }

  /// A random student of the default sizes that knows the demo's functions.
  static func randomModel() throws -> ServedModel {
    let functions = try HomeFunctions.functions().inCanonicalOrder()
    let structure = CallCodec.structureTokens(for: functions)
    let recipe = TrainingRecipe()
    let tokenizer = try Tokenizer.train(
      RequestGrammar(seed: 1).requests(0..<2_000).map(\.text), vocabularySize: recipe.vocabularySize + structure.count,
      spaceFused: recipe.spaceFusedPieces, structure: structure)
    let student = try Student(configuration: recipe.configuration(vocabularySize: tokenizer.vocabularySize), seed: 1)
    return ServedModel(
      model: try ServingModel(student: student, tokenizer: tokenizer, functions: functions), name: "random",
      digest: .sha256("random"))
  }

  /// Bodies of chat completions: the lines of a file of requests, or the demo's.
  static func bodies(of data: String?, model: String) throws -> [[UInt8]] {
    let grammar = RequestGrammar(seed: 2)
    let requests =
      try data.map { path in
        let lines = try LineReader(path: path)
        let requests = try lines.map { try RequestRecord(imported: JSON.parse($0)) }
        if let failure = lines.failure { throw ConfigurationError(failure) }
        guard !requests.isEmpty else { throw ConfigurationError("\(path): expected requests, found none") }
        return requests
      } ?? grammar.requests(0..<1_000).map(\.record)
    return requests.map { request in
      JSON.object(["model": .string(model), "messages": .array(request.messages.map(\.json))]).bytes
    }
  }

  /// Serves the model on a free port and sends `requests` bodies in turn, `concurrency` at a time, after a tenth of them
  /// as warm-up.
  static func run(
    _ model: ServedModel, bodies: [[UInt8]], requests: Int, concurrency: Int, threads: Int, decoding: DecodeOptions
  ) async throws -> Report {
    let (ports, ready) = AsyncStream.makeStream(of: Int.self)
    let service = ServingService(
      options: .init(
        port: 0, engine: .init(workers: threads, maximumRequests: max(64, concurrency), decoding: decoding)),
      slot: ModelSlot(model),
      logger: Wiring.logger("bench", level: .error), onListening: { ready.yield($0) })
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { ready.finish() }
        try await service.run()
      }
      var iterator = ports.makeAsyncIterator()
      guard let port = await iterator.next() else {
        try await group.next()
        throw CancellationError()
      }
      let load = Load(port: port, concurrency: concurrency, bodies: bodies)
      _ = try await load.send(max(concurrency, requests / 10))
      let report = try await load.send(requests)
      try await load.close()
      group.cancelAll()
      try await group.waitForAll()
      return report
    }
  }
}

/// Clients that each send their next request when the last one is answered.
private struct Load {
  private let client: HTTPClient
  private let url: String
  private let concurrency: Int
  private let bodies: [[UInt8]]

  init(port: Int, concurrency: Int, bodies: [[UInt8]]) {
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = concurrency
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    url = "http://127.0.0.1:\(port)/v1/chat/completions"
    self.concurrency = concurrency
    self.bodies = bodies
  }

  func close() async throws { try await client.shutdown() }

  func send(_ requests: Int) async throws -> ServeBenchmark.Report {
    let clock = ContinuousClock()
    let began = clock.now
    var latencies: [Double] = []
    var failed = 0
    try await withThrowingTaskGroup(of: (latencies: [Double], failed: Int).self) { group in
      for first in 0..<concurrency {
        group.addTask { try await self.client(stride(from: first, to: requests, by: concurrency)) }
      }
      for try await result in group {
        latencies += result.latencies
        failed += result.failed
      }
    }
    return ServeBenchmark.Report(
      requestsPerSecond: Double(requests) / ((clock.now - began) / .seconds(1)),
      latency: LatencyPercentiles(milliseconds: latencies), failed: failed)
  }

  private func client(_ turns: StrideTo<Int>) async throws -> (latencies: [Double], failed: Int) {
    var latencies: [Double] = []
    var failed = 0
    for turn in turns {
      var request = HTTPClientRequest(url: url)
      request.method = .POST
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: bodies[turn % bodies.count]))
      let began = ContinuousClock.now
      let response = try await client.execute(request, timeout: .seconds(60))
      _ = try await response.body.collect(upTo: 1 << 20)
      latencies.append((ContinuousClock.now - began) / .milliseconds(1))
      if response.status != .ok { failed += 1 }
    }
    return (latencies, failed)
  }
}
