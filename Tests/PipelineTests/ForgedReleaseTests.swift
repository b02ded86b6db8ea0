import Pipeline
import Releases
import RetortClient
import SQLiteLog
import Testing
import Topics

/// What others write into the deploy topic and the history of releases.
@Suite struct ForgedReleaseTests {
  private typealias Bench = ReleaseStageTests.Bench

  @Test("what others wrote on the deploy topic hides no deployment, stops no release, and takes no epoch")
  func forged() async throws {
    let bench = try await Bench()
    try await bench.release()
    let real = try #require(try await bench.history.newest(of: Bench.model))
    let stranger = SigningKey.generate()
    for (epoch, key) in [(real.epoch + 6, stranger), (1 << 53, stranger), (real.epoch + 5, nil)] {
      try await bench.deploy(real.manifest, epoch: epoch, key: key, reason: "forged") {
        _ = try await bench.log.append([$0])
      }
    }
    let standing = try await bench.history.standing(of: Bench.model)
    #expect(standing.newest == real)
    #expect(standing.refused?.code == .unknownKey)
    let problems = try await Status.problems(
      log: bench.log, names: bench.names, keys: TrustedKeys([bench.key.publicKey]), model: Bench.model)
    #expect(problems.count == 1 && problems[0].contains("a signature of a trusted key"), "\(problems)")

    try await bench.learn(60..<120)
    try await bench.release()
    let newest = try #require(try await bench.history.newest(of: Bench.model))
    #expect(newest.manifest.version > real.manifest.version)
    #expect(newest.epoch > real.epoch + 6 && newest.epoch < 100)
    #expect(newest.manifest.parent == real.manifestDigest || newest.manifest.version > real.manifest.version + 1)

    // Compaction may have left the forged record alone, and subscribers, also those that have ended, be further than the topic says.
    let adoption = AdoptionRecord(
      subscriber: "a", model: Bench.model, status: .adopted, epoch: 200, version: 1,
      manifestDigest: real.manifestDigest,
      since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z")
    _ = try await bench.log.append([RecordCoding.record(adoption, topic: bench.names.adoptions, key: adoption.key)])
    #expect(try await bench.history.nextEpoch(of: Bench.model) == 201)
    try await bench.log.close()
  }

  @Test("of the history, what is unsigned or was changed after it was signed is passed over; another key's stays")
  func forgedHistory() async throws {
    let bench = try await Bench()
    try await bench.release()
    let releases = try await bench.history.releases(of: Bench.model)
    var changed = try #require(releases.last?.manifest)
    changed.version += 1
    var unsigned = changed
    unsigned.signature = nil
    var far = changed
    far.version = 1 << 53
    let signed = try SigningKey.generate().sign(far)
    let next = try SigningKey.generate().sign(changed)
    func append(_ manifest: Manifest) async throws {
      let record = RecordCoding.record(
        ReleaseRecord(manifest: manifest), topic: bench.names.releases, key: Bench.model)
      _ = try await bench.log.append([record])
    }
    for manifest in [changed, unsigned, signed] { try await append(manifest) }
    let found = try await bench.history.releases(of: Bench.model).map(\.manifest)
    #expect(found == releases.map(\.manifest))
    try await append(next)
    #expect(try await bench.history.releases(of: Bench.model).last?.manifest == next)
    // Nor does a stranger's manifest of the same samples stand for the release that is due.
    try await bench.learn(60..<120)
    let point = try #require(
      try await TrainStage.announced(log: bench.log, names: bench.names, model: Bench.model).releasePoint)
    var early = next
    early.version += 1
    early.lineage.chain = point.chain
    try await append(try SigningKey.generate().sign(early))
    try await bench.release()
    let own = TrustedKeys([bench.key.publicKey])
    let released = try await bench.history.releases(of: Bench.model).map(\.manifest)
    #expect(released.contains { $0.lineage.chain == point.chain && own.problem(with: $0) == nil })
    // Whoever has no key sees all of it.
    let all = try await DeploymentScan(log: bench.log, names: bench.names, keys: nil).releases(of: Bench.model)
    #expect(all.count == released.count)
    try await bench.log.close()
  }

  @Test("a stranger's manifest takes no own release's place, its verdict is none, and what it had rejected is no try")
  func strangersHistory() async throws {
    let bench = try await Bench()
    try await bench.release()
    let before = try await bench.history.releases(of: Bench.model)
    let last = try #require(before.last)
    func append(_ record: ReleaseRecord) async throws {
      _ = try await bench.log.append([
        RecordCoding.record(record, topic: bench.names.releases, key: Bench.model)
      ])
    }
    func verdict(of manifest: Manifest, promoted: Bool) -> ReleaseVerdict {
      ReleaseVerdict(
        model: Bench.model, version: manifest.version, manifestDigest: manifest.digest, promoted: promoted,
        reasons: ["Because."], evidence: [], time: "2099-01-01T00:00:00Z")
    }
    let stranger = SigningKey.generate()
    var same = last.manifest
    same.parameters += 1
    try await append(ReleaseRecord(manifest: try stranger.sign(same)))
    try await append(ReleaseRecord(verdict: verdict(of: last.manifest, promoted: false)))
    let after = try await bench.history.releases(of: Bench.model)
    #expect(after.map(\.manifest) == before.map(\.manifest) && after.map(\.verdict) == before.map(\.verdict))
    #expect(last.verdict?.promoted == true)

    var next = last.manifest
    next.version += 1
    next = try stranger.sign(next)
    try await append(ReleaseRecord(manifest: next))
    try await append(ReleaseRecord(verdict: verdict(of: next, promoted: false)))
    #expect(try await bench.history.releases(of: Bench.model).last?.verdict?.promoted == false)
    try await bench.learn(60..<120)
    try await bench.release()
    let made = try #require(
      try await bench.history.releases(of: Bench.model).first { $0.manifest.version > next.version })
    #expect(made.verdict?.evidence.first { $0.metric == "gate_look" }?.value == 1)
    try await bench.log.close()
  }
}
