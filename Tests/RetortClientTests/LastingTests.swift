import Foundation
import ModelFiles
import Releases
import RetortClient
import Testing

/// What subscribers leave behind when they are killed.
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
}
