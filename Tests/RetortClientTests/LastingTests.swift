import Foundation
import ModelFiles
import Releases
import RetortClient
import Synchronization
import Testing
import Topics

/// What subscribers leave behind when they are killed, and what they go on saying while they live.
@Suite struct LastingTests {
  @Test(
    "what a subscriber that was killed left half written goes with what the next one writes, not while another writes")
  func leftovers() async throws {
    let bench = try await FollowerTests.Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    let manifest = try bench.manifest(version: 1, probes: probes)
    try await bench.deploy(manifest, epoch: 1)
    let folder = "\(bench.folder)/a"
    let release = "\(folder)/releases/1-\(manifest.digest.hex.prefix(12))"
    let left = ["\(release)/.model.gguf.1-2.partial", "\(folder)/.state.json.1-2.partial"]
    let files = FileManager.default
    func leave() throws {
      try files.createDirectory(atPath: release, withIntermediateDirectories: true)
      for path in left { #expect(files.createFile(atPath: path, contents: Data([7]))) }
    }
    for isAlone in [true, false] {
      try leave()
      let others = isAlone ? [] : [release, folder]
      let holds = try others.map { try FolderHold(.shared, on: $0, name: nil) }
      let follower = try bench.follower()
      #expect(try await follower.next(timeout: .seconds(5))?.manifest.version == 1)
      await follower.close()
      #expect(left.allSatisfy { files.fileExists(atPath: $0) != isAlone })
      withExtendedLifetime(holds) {}
    }
  }

  @Test("who follows says once a day what runs, as retention takes what is not said again")
  func saidAgain() async throws {
    let bench = try await FollowerTests.Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let hours = Atomic(Int64(0))
    let follower = try bench.follower(now: { hours.load(ordering: .relaxed) * 3_600_000 })
    let release = try #require(try await follower.next(timeout: .seconds(5)))
    try await follower.acknowledge(release)
    for (hour, count) in [(23, 1), (24, 2), (47, 2), (48, 3)] {
      hours.store(Int64(hour), ordering: .relaxed)
      #expect(try await follower.next(timeout: .zero) == nil)
      #expect(try await bench.adoptions().count == count, "after \(hour) hours")
    }
    let said = try await bench.adoptions()
    #expect(Set(said).count == 1 && said.first?.status == .adopted)
    await follower.close()
  }
}
