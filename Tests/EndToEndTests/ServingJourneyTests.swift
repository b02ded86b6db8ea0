import AsyncHTTPClient
import DemoWorld
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Topics

/// From a signed deployment to HTTP answers, and to a folder with a program behind it, over processes.
@Suite(.serialized)
struct ServingJourneyTests {
  /// A deployment with at least two releases, none of them deployed beyond `version` 1, which is promoted by hand.
  private func released(_ world: World) async throws -> (retort: RetortProcess, last: Int64) {
    let retort = try await world.deployment("served")
    _ = try await retort.json("run", "--until-idle")
    let versions = try await retort.json("models", "list").arrayValue?.compactMap { $0["version"]?.integerValue } ?? []
    try #require(versions.count >= 2)
    _ = try await retort.json("models", "promote", "1")
    return (retort, try #require(versions.max()))
  }

  @Test("serve answers from a signed deployment, and swaps to a newer release without a failed request")
  func serve() async throws {
    try await StandInTeacher(seed: 7).whileRunning { endpoint in
      let world = try World(requests: 300, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, last) = try await released(world)
      let server = try await ServerProcess(retort, ["--log-requests"])
      try await server.waits(forVersion: 1)

      // Four clients ask without a pause while the deployment changes twice.
      let isOver = Flag()
      let answers = try await withThrowingTaskGroup(of: [ServerProcess.Reply].self) { group in
        for client in 0..<4 {
          group.addTask {
            var replies: [ServerProcess.Reply] = []
            while !isOver.isUp.load(ordering: .relaxed) {
              replies.append(try await server.ask("client \(client) says turn on the kitchen light"))
            }
            return replies
          }
        }
        _ = try await retort.json("models", "promote", String(last))
        try await server.waits(forVersion: last)
        let back = try await retort.json("models", "rollback", "--to", "1")
        #expect(back["replaced"]?.integerValue == last)
        try await server.waits(forVersion: 1)
        isOver.isUp.store(true, ordering: .relaxed)
        return try await group.reduce(into: []) { $0 += $1 }
      }
      #expect(answers.count > 8)
      #expect(answers.allSatisfy { $0.status == 200 })
      #expect(Set(answers.compactMap { $0.json["retort"]?["version"]?.integerValue }) == [1, last])
      #expect(answers.allSatisfy { $0.json["choices"]?[0]?["message"]?["role"] == "assistant" })

      // Who runs what: whoever still runs.
      let running = try await retort.json("status")["adoptions"]?.arrayValue ?? []
      #expect(
        running.count == 1 && running.first?["subscriber"]?.stringValue?.hasSuffix("/.retort/serve/small") == true,
        "\(running)")
      #expect(try await server.end() == 0)
      #expect(try await retort.json("status")["adoptions"] == [], "\(server.errors)")
      // What was answered is on the log once the server has ended, said by the student and so no label.
      let audit = try await retort.json("audit")
      #expect(audit["waiting"]?.integerValue == Int64(answers.count))
      let adoptions = try await retort.run("topics", "tail", "adoptions", "--once")
      #expect(adoptions.output.contains("adopted"), "\(adoptions.errors)")

      // It takes no version's place, which is what a person would be told to go back to.
      let again = try await retort.run("models", "promote", "1")
      #expect(again.status == 0 && again.output.contains("version 1 was deployed already"), "\(again.errors)")
      #expect(!again.output.contains("in place of"))

      // Servers that are started while the log is away, or that find no deployment in it, go on with what was served before.
      for log in ["kafka://127.0.0.1:1", "sqlite:empty.db"] {
        let restarted = try await ServerProcess(retort, ["--set", "log.url=\(log)"])
        try await restarted.waits(forVersion: 1)
        let line = restarted.errors.split(separator: "\n").first { $0.contains("the one before the restart is served") }
        // As soon as it has been verified, not when the log's own time limits are over.
        let isSilent = try #require(line, "\(restarted.errors)").contains("has not answered yet")
        #expect(isSilent == log.hasPrefix("kafka:"), "\(restarted.errors)")
        _ = try await restarted.end()
      }
    }
  }

  @Test("two servers of one release share its weights; one whose disk is full has its own, says so, and answers alike")
  func sharedWeights() async throws {
    try await StandInTeacher(seed: 7).whileRunning { endpoint in
      let world = try World(requests: 300, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, _) = try await released(world)
      let disk = SmallDisk.isAvailable ? try SmallDisk(kilobytes: 64, at: retort.folder + "/full") : nil
      defer { withExtendedLifetime(disk) {} }
      try disk?.fill()
      var servers: [ServerProcess] = []
      var answers: [JSON] = []
      for _ in 0..<2 { servers.append(try await ServerProcess(retort)) }
      if disk != nil { servers.append(try await ServerProcess(retort, ["--set", "serve.shared_weights=full"])) }
      for server in servers {
        try await server.waits(forVersion: 1)
        let message = try await server.ask("turn on the kitchen light").json["choices"]?[0]?["message"]
        answers.append(message?["tool_calls"]?[0]?["function"] ?? message?["content"] ?? .null)
      }
      #expect(answers.allSatisfy { $0 == answers[0] && $0 != .null })
      for server in servers.prefix(2) { #expect(server.errors.contains("weights are shared"), "\(server.errors)") }
      let files = try FileManager.default.contentsOfDirectory(atPath: retort.folder + "/.retort/packed")
      #expect(files.count == 1)
      if disk != nil {
        #expect(servers[2].errors.contains("not shared") && servers[2].errors.contains("No space left"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: retort.folder + "/full") == ["filling"])
      }
      for server in servers { #expect(try await server.end() == 0) }
    }
  }

  @Test("a server that does not trust the signer serves nothing and says so")
  func wrongKey() async throws {
    try await StandInTeacher(seed: 7).whileRunning { endpoint in
      let world = try World(requests: 300, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, _) = try await released(world)
      let other = try await retort.json("keys", "new", "--out", "other")
      let key = try #require(other["public"]?.stringValue)
      let server = try await ServerProcess(retort, ["--set", "serve.trusted_keys=\(key)"])
      for _ in 0..<600 where !server.errors.contains("deployment refused") {
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(server.errors.contains("signature of a trusted key"), "\(server.errors)")
      #expect(try await server.ask("hello").status == 503)
      #expect(try await server.end() == 0)
    }
  }

  @Test("subscribe switches its folder at each release, and runs the program with the release's folder and number")
  func subscribe() async throws {
    try await StandInTeacher(seed: 7).whileRunning { endpoint in
      let world = try World(requests: 300, endpoint: endpoint)
      defer { withExtendedLifetime(world) {} }
      let (retort, last) = try await released(world)
      let program = #"echo "$RETORT_MODEL_VERSION $(wc -c < "$RETORT_MODEL_DIR/model.gguf")" >> switched"#
      let process = try retort.start(["subscribe", "--dir", "here", "--exec", program])
      let lines = { RetortProcess.text(retort.folder + "/switched").split(separator: "\n").map(String.init) }
      for _ in 0..<600 where lines().count < 1 { try await Task.sleep(for: .milliseconds(50)) }
      _ = try await retort.json("models", "promote", String(last))
      for _ in 0..<600 where lines().count < 2 { try await Task.sleep(for: .milliseconds(50)) }
      process.terminate()
      await RetortProcess.end(of: process)
      #expect(process.terminationStatus == 0 && process.terminationReason == .exit)
      let models = try await retort.json("models", "list").arrayValue ?? []
      let expected = [1, last].map { version in
        let bytes = models.first { $0["version"]?.integerValue == version }?["bytes"]?.integerValue ?? -1
        return "\(version) \(bytes)"
      }
      #expect(lines() == expected)

      // What a program leaves in the background is not waited for; one that does not end is ended with the subscriber.
      let left = try await retort.run("subscribe", "--dir", "left", "--once", "--exec", "sleep 60 & echo $! > left.pid")
      #expect(left.status == 0, "\(left.errors)")
      let sleeping = try #require(
        pid_t(RetortProcess.text(retort.folder + "/left.pid").trimmingCharacters(in: .whitespacesAndNewlines)))
      #expect(kill(sleeping, SIGKILL) == 0, "it still runs")
      let hanging = try retort.start(["subscribe", "--dir", "hanging", "--exec", "echo > begun; sleep 60"])
      for _ in 0..<600 where !FileManager.default.fileExists(atPath: retort.folder + "/begun") {
        try await Task.sleep(for: .milliseconds(50))
      }
      let stopped = ContinuousClock.now
      hanging.terminate()
      await RetortProcess.end(of: hanging)
      #expect(hanging.terminationStatus == 0 && ContinuousClock.now - stopped < .seconds(30))

      // A program that fails is said on adoptions; the switch stands.
      let failing = try await retort.run("subscribe", "--dir", "there", "--once", "--exec", "exit 3")
      #expect(failing.status == 1, "\(failing.errors)")
      let adoptions = try await retort.run("topics", "tail", "adoptions", "--once").output
      #expect(adoptions.contains("the program after the switch ended with status 3"))
      let folder = (retort.folder as NSString).lastPathComponent
      #expect(
        adoptions.contains("/\(folder)/there"), "who has adopted it is told apart from other folders of that name")
      #expect(FileManager.default.fileExists(atPath: retort.folder + "/there/current/model.gguf"))
    }
  }
}

private final class Flag: Sendable {
  let isUp = Atomic(false)
}

/// `retort serve` on a free port, and requests to it.
final class ServerProcess: Sendable {
  struct Reply: Sendable {
    let status: UInt
    let json: JSON
  }

  let url: String
  private let process: Process
  private let errorFile: String

  /// What it has said on standard error.
  var errors: String { RetortProcess.text(errorFile) }

  /// Starts it and waits until it listens.
  init(_ retort: RetortProcess, _ arguments: [String] = []) async throws {
    let file = "\(retort.folder)/serve-\(UInt32.random(in: 0 ... .max))"
    errorFile = file + ".err"
    process = try retort.start(["serve", "--port", "0", "--json"] + arguments, output: file)
    var address: String?
    for _ in 0..<600 where address == nil && process.isRunning {
      try await Task.sleep(for: .milliseconds(50))
      address = try? JSON.parse(Array(RetortProcess.text(file + ".out").utf8))["url"]?.stringValue
    }
    guard let address else {
      throw RetortProcess.Failure("serve does not listen: \(RetortProcess.text(file + ".err"))")
    }
    url = address
  }

  func get(_ path: String) async throws -> Reply {
    try await send(HTTPClientRequest(url: url + path))
  }

  /// Metrics as text.
  func metrics() async throws -> String {
    let response = try await HTTPClient.shared.execute(
      HTTPClientRequest(url: url + "/metrics"), timeout: .seconds(30))
    return String(buffer: try await response.body.collect(upTo: 1 << 20))
  }

  func ask(_ text: String) async throws -> Reply {
    var request = HTTPClientRequest(url: url + "/v1/chat/completions")
    request.method = .POST
    let body: JSON = ["messages": [["role": "user", "content": .string(text)]]]
    request.body = .bytes(ByteBuffer(bytes: body.bytes))
    return try await send(request)
  }

  private func send(_ request: HTTPClientRequest) async throws -> Reply {
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    let body = try await response.body.collect(upTo: 16 << 20)
    return Reply(status: response.status.code, json: (try? JSON.parse(Array(body.readableBytesView))) ?? .null)
  }

  /// Waits until it serves this version, for at most 30 seconds.
  func waits(forVersion version: Int64) async throws {
    for _ in 0..<600 {
      if try await get("/readyz").json["version"]?.integerValue == version { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw RetortProcess.Failure("version \(version) is not served: \(errors)")
  }

  /// Asks it to end; its exit status.
  func end() async throws -> Int32 {
    process.terminate()
    await RetortProcess.end(of: process)
    return process.terminationStatus
  }
}
