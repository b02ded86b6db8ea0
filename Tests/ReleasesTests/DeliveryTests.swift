import Releases
import Testing
import Topics

@Suite("Epochs, chunks and probes")
struct DeliveryTests {
  @Test("Epochs only grow, also when rolling back; the same deployment again is the current one")
  func epochs() throws {
    var state = DeploymentState()
    let first = try Fixtures.deployment(epoch: 3)
    #expect(state.decision(on: first) == .accept)
    state.accept(first)
    #expect(state.decision(on: first) == .current)
    #expect(state.decision(on: try Fixtures.deployment(epoch: 4, action: .rollback)) == .accept)
    for epoch: Int64 in [1, 2] {
      guard case .refuse(let error) = state.decision(on: try Fixtures.deployment(epoch: epoch)) else {
        Issue.record("epoch \(epoch) was not refused")
        continue
      }
      #expect(error.code == .staleEpoch)
    }
    var other = try Fixtures.manifest()
    other.version += 1
    let twin = DeploymentRecord(epoch: 3, action: .promote, manifest: other, reason: "x", time: "2026-03-02T08:00:00Z")
    guard case .refuse = state.decision(on: twin) else {
      Issue.record("another deployment of the same epoch was not refused")
      return
    }
    #expect(DeploymentState(epoch: 3, manifestDigest: first.manifestDigest).decision(on: first) == .current)
  }

  private static func file(_ bytes: [UInt8]) -> ManifestFile {
    let digest = Digest.sha256(bytes)
    return ManifestFile(
      role: .weights, format: "gguf", bytes: Int64(bytes.count), sha256: digest, uri: "log:\(digest)")
  }

  @Test(
    "A file comes back from its chunks, whatever its size", arguments: [0, 1, 899_999, 900_000, 900_001, 2_000_000])
  func chunks(size: Int) throws {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let file = Self.file(bytes)
    let chunks = ChunkPlan.chunks(of: bytes, digest: file.sha256)
    #expect(chunks.count == ChunkPlan.count(bytes: file.bytes))
    #expect(chunks.allSatisfy { $0.bytes.count <= ArtifactChunk.maximumBytes })
    #expect(chunks.map(\.key) == chunks.indices.map { "\(file.sha256)/\($0)" })
    let parts = Dictionary(uniqueKeysWithValues: chunks.map { ($0.index, $0.bytes) })
    #expect(try ChunkPlan.assemble(parts, file: file) == bytes)
  }

  @Test("A missing, changed, swapped, short or long chunk is refused")
  func badChunks() throws {
    let bytes = (0..<1_900_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let file = Self.file(bytes)
    let chunks = ChunkPlan.chunks(of: bytes, digest: file.sha256)
    let parts = Dictionary(uniqueKeysWithValues: chunks.map { ($0.index, $0.bytes) })
    func code(_ change: (inout [Int: [UInt8]]) -> Void) -> ReleaseError.Code? {
      var changed = parts
      change(&changed)
      return Fixtures.code { _ = try ChunkPlan.assemble(changed, file: file) }
    }
    #expect(code { _ in } == nil)
    #expect(code { $0[1] = nil } == .incomplete)
    #expect(code { $0[1]?[5] ^= 1 } == .badDigest)
    #expect(code { $0.swapAt(0, 1) } == .badDigest)
    #expect(code { $0[2]?.removeLast() } == .badDigest)
    #expect(code { $0[2]?.append(0) } == .badDigest)
    #expect(code { $0[99] = [1] } == nil)
    #expect(Fixtures.code { try ChunkPlan.verify([1], file: file) } == .badDigest)
  }

  @Test("Probes come back from their file")
  func probes() throws {
    let probes = [
      Probe(messages: [.user("Turn on\nthe light")], call: Call(name: "set_light", arguments: ["level": 100])),
      Probe(messages: [.system("s"), .user("é🚗")], call: nil),
    ]
    #expect(try Probe.read(Probe.write(probes), name: "probes") == probes)
    #expect(
      try Probe.read(Array("\n{\"text\":\"x\"}\r\n\n".utf8), name: "p") == [Probe(messages: [.user("x")], call: nil)])
    #expect(try Probe.read([], name: "p") == [])
    for bad in ["{", "[]", "{}", #"{"text":"x","call":{"name":"f"}}"#, #"{"messages":[{"role":"robot"}]}"#] {
      #expect(Fixtures.code { _ = try Probe.read(Array(bad.utf8), name: "p") } == .probeFile, "\(bad)")
    }
  }

  @Test("Questions are made from the functions alone, at most 32, the same every time")
  func questions() throws {
    let definitions = (0..<40).map { index -> JSON in
      ["name": .string("set_thing-\(index)"), "parameters": ["type": "object", "properties": ["room_name": true]]]
    }
    let functions = try FunctionSet(json: .array(definitions))
    let questions = Probe.questions(for: functions)
    #expect(questions.count == 32)
    #expect(questions.first == [.user("set thing 0 room name")])
    #expect(questions == Probe.questions(for: functions))
  }
}

extension Dictionary where Key == Int {
  fileprivate mutating func swapAt(_ first: Int, _ second: Int) {
    (self[first], self[second]) = (self[second], self[first])
  }
}
