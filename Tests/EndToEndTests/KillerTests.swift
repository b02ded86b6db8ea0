import DemoWorld
import Foundation
import Testing
import Topics

#if canImport(Glibc)
  import Glibc
#endif

/// SIGKILL at any moment changes nothing: not what is in the log, not a bit of the model.
@Suite(.serialized)
struct KillerTests {
  private let requests = 420
  private let kills = 20

  @Test("twenty kills in one run: the audit holds and the last model has the bytes of an undisturbed run")
  func killed() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      try await killAndCompare(World(requests: requests, endpoint: endpoint))
    }
  }

  private func killAndCompare(_ world: World) async throws {
    let undisturbed = try await world.deployment("undisturbed")
    _ = try await undisturbed.json("run", "--until-idle")
    let expected = try await undisturbed.releases()

    // Two threads instead of one: neither they nor the kills may change a bit.
    let disturbed = try await world.deployment("disturbed", threads: 2)
    var random = SeededRandom(state: 20_260_101)
    for _ in 0..<kills {
      let process = try disturbed.start(["run", "--until-idle"])
      try await Task.sleep(for: .milliseconds(120 + Int(random.next() % 1_400)))
      kill(process.processIdentifier, SIGKILL)
      await RetortProcess.end(of: process)
      #expect([SIGKILL, 0].contains(process.terminationStatus))
    }
    _ = try await disturbed.json("run", "--until-idle")
    let found = try await disturbed.releases()
    #expect(found == expected)

    let audit = try await disturbed.json("audit")
    #expect(audit["holds"]?.boolValue == true)
    #expect(audit["requests"]?.integerValue == Int64(requests))
    #expect(audit["missing"]?.integerValue == 0)
    #expect(audit["duplicates"]?.integerValue == 0)
  }
}

/// Demo requests and the address of a stand-in teacher, for several deployments of the same task.
struct World {
  let folder: TemporaryFolder
  let endpoint: String
  let requests: Int

  init(requests: Int, endpoint: String) throws {
    folder = try TemporaryFolder()
    self.requests = requests
    self.endpoint = endpoint
    let grammar = RequestGrammar(seed: 7)
    let lines = (0..<requests).map { grammar.request(at: $0).record.json.text }
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(
      to: URL(fileURLWithPath: folder.path + "/requests.jsonl"))
  }

  /// A folder with a small student's configuration, the requests imported.
  func deployment(_ name: String, configuration: String = World.small, threads: Int = 1) async throws -> RetortProcess {
    let path = "\(folder.path)/\(name)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let retort = RetortProcess(
      folder: path,
      environment: [
        "RETORT_TEACHER_ENDPOINT": endpoint, "RETORT_TEACHER_MODEL": StandInTeacher.model,
        "RETORT_THREADS": String(threads),
      ])
    let written = try await retort.run("init")
    guard written.status == 0 else { throw RetortProcess.Failure(written.errors) }
    try Data(configuration.utf8).write(to: URL(fileURLWithPath: "\(path)/retort.yaml"))
    let imported = try await retort.json("requests", "import", "../requests.jsonl")
    guard imported["imported"]?.integerValue == Int64(requests) else { throw RetortProcess.Failure(imported.text) }
    return retort
  }

  /// A student small enough that a run takes seconds.
  static let small = """
    model: small
    train:
      recipe:
        hidden_size: 32
        layer_count: 2
        head_count: 2
        key_value_head_count: 1
        feed_forward_size: 64
        vocabulary_size: 640
        tokenizer_samples: 64
        round_size: 32
        replay_per_sample: 2
        batch_size: 16
        decay_steps: 10
        candidate_steps: 0
        base_steps: 4
        base_batch_size: 2
        sample_count: 4
        rft_steps: 4
        rft_requests: 32
        rl_steps: 4
        rl_requests: 4
    release:
      every: 160
      prune: 0.5
      recovery_steps: 5
      gate:
        minimum: 5
    """
}

/// SplitMix64, so that the moments are the same in every run.
struct SeededRandom {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
