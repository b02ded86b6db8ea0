import DemoWorld
import Logging
import Teacher
import Testing
import Topics

@Suite("The stand-in teacher over real HTTP")
struct StandInTests {
  private static func task(_ address: String, verified: Bool = true) throws -> TaskDefinition {
    TaskDefinition(
      instructions: HomeFunctions.instructions, functions: try HomeFunctions.functions(),
      lookups: [
        LookupFunction(
          definition: try HomeFunctions.lookup(), binding: .http(url: address + "/lookup/find_devices"))
      ], grounded: .required, verifier: verified ? .http(url: address + "/verify") : nil)
  }

  private static func outcomes(
    _ requests: [DemoRequest], faults: FaultRates, verified: Bool = true
  ) async throws -> ([Int: LabelOutcome], StandInStatistics) {
    let standIn = StandInTeacher(faults: faults, seed: 3)
    let outcomes = try await standIn.whileRunning { address -> [Int: LabelOutcome] in
      var configuration = TeacherConfiguration(endpoint: address, model: StandInTeacher.model)
      configuration.retry.base = .milliseconds(1)
      configuration.maximumConcurrentRequests = 16
      let teacher = try Teacher(task: try task(address, verified: verified), configuration: configuration)
      let outcomes = try await withThrowingTaskGroup(of: (Int, LabelOutcome).self) { group in
        for request in requests { group.addTask { (request.index, try await teacher.label(request.record)) } }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      await teacher.shutdown()
      return outcomes
    }
    return (outcomes, standIn.statistics)
  }

  @Test("Without faults every label is the truth, and rooms are looked up first")
  func faultless() async throws {
    let requests = RequestGrammar(seed: 5).requests(0..<300)
    let (outcomes, statistics) = try await Self.outcomes(requests, faults: .none)
    for request in requests {
      guard case .accepted(let label) = outcomes[request.index] else {
        Issue.record("\(request.text): \(String(describing: outcomes[request.index]))")
        continue
      }
      #expect(label.call == request.call)
      #expect(label.producer == "stand-in-teacher")
      #expect(label.usage.promptTokens > 0)
    }
    let looked = requests.filter { ["set_light", "set_temperature", "set_blinds"].contains($0.call.name) }.count
    #expect(statistics.lookups == looked)
    #expect(statistics.verifications == 300)
  }

  @Test("With faults no wrong label passes, faults come at their rates, and a rerun gives the same outcomes")
  func faulty() async throws {
    let requests = RequestGrammar(seed: 6).requests(0..<500)
    var faults = FaultRates()
    faults.wrong = 0.1
    faults.malformed = 0.1
    faults.rateLimited = 0.05
    faults.retryAfterSeconds = 0
    faults.delay = .milliseconds(20)
    let (first, statistics) = try await Self.outcomes(requests, faults: faults)
    let (second, _) = try await Self.outcomes(requests.reversed(), faults: faults)
    var codes: [RejectionCode: Int] = [:]
    for request in requests {
      switch (first[request.index], second[request.index]) {
      case (.accepted(let one), .accepted(let two)):
        #expect(one.call == request.call)
        #expect(two.call == request.call)
      case (.rejected(let one), .rejected(let two)):
        #expect(one.code == two.code)
        codes[one.code, default: 0] += 1
      default: Issue.record("\(request.text) had two different outcomes")
      }
    }
    let rejected = codes.values.reduce(0, +)
    #expect((60...140).contains(rejected), "\(codes)")
    #expect(codes[.verifierRefused, default: 0] > 0)
    #expect(codes[.noCall, default: 0] > 0)
    #expect(codes[.malformedAnswer, default: 0] > 0)
    #expect(codes[.unknownFunction, default: 0] > 0)
    #expect(codes[.invalidArguments, default: 0] > 0)
    #expect((10...45).contains(statistics.rateLimited))
  }
}
