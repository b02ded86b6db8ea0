import DemoWorld
import Foundation
import Testing
import Topics

/// Files that are not what they were.
extension BadInputTests {
  @Test("damaged files are refused by name: model, log, checkpoint, key")
  func damage() async throws {
    let teacher = StandInTeacher(seed: 7)
    try await teacher.whileRunning { endpoint in
      let world = try World(requests: 200, endpoint: endpoint)
      let retort = try await world.deployment("damage")
      _ = try await retort.json("run", "--until-idle")
      let version = String(try await retort.json("models", "list").arrayValue?.last?["version"]?.integerValue ?? 0)
      let files = try await retort.json("models", "fetch", version, "--out", "files")
      let gguf = try #require(files["files"]?.arrayValue?.compactMap(\.stringValue).first { $0.hasSuffix(".gguf") })
      let model = "\(retort.folder)/\(gguf)"
      let bytes = [UInt8](try #require(FileManager.default.contents(atPath: model)))
      // The manifest beside the file says which release it is; one that is not of it says nothing.
      let fetched = try await retort.json("predict", "--file", gguf, "turn on the hall light")
      #expect(fetched["version"]?.integerValue.map(String.init) == version && fetched["escalate"]?.boolValue != nil)
      let manifest = "\(retort.folder)/" + gguf.replacing(".gguf", with: ".manifest.json")
      try FileManager.default.removeItem(atPath: manifest)
      _ = FileManager.default.createFile(atPath: "\(retort.folder)/files/manifest.json", contents: Data("{}".utf8))
      let unnamed = try await retort.json("predict", "--file", gguf, "turn on the hall light")
      #expect(unnamed["version"] == .null && unnamed["escalate"] == true)
      for (name, damaged) in [
        ("truncated", Array(bytes.prefix(bytes.count / 2))), ("empty", []), ("text", Array("hello".utf8)),
      ] {
        _ = FileManager.default.createFile(atPath: "\(retort.folder)/\(name).gguf", contents: Data(damaged))
        let result = try await retort.run("predict", "--file", "\(name).gguf", "hello")
        expectSentence(result, status: 1, containing: "\(name).gguf")
      }

      // A deployment that no reader would take is not written, and not said to be done.
      let long = String(repeating: "x", count: 4_097)
      expectSentence(
        try await retort.run("models", "promote", version, "--reason", long), status: 1,
        containing: "nothing was written")
      #expect(try await retort.json("topics", "check")["invalid"]?.integerValue == 0)

      // A key that subscribers trust is never replaced by another without a word.
      let key = "\(retort.folder)/.retort/keys/signing.key"
      try FileManager.default.moveItem(atPath: key, toPath: key + ".away")
      for arguments in [["models", "promote", version], ["replay", "--as", "other"]] {
        expectSentence(try await retort.run(arguments), status: 2, containing: "which subscribers trust, found none")
      }
      #expect(try await retort.run("doctor").output.contains("BAD  signing key"))
      try FileManager.default.moveItem(atPath: key + ".away", toPath: key)
      #expect(chmod(key, 0o644) == 0)
      #expect(try await retort.run("doctor").output.contains("others may read it (mode 644)"))
      #expect(chmod(key, 0o600) == 0)
      // Killed between the two files, who made the pair has left the private one alone.
      let published = "\(retort.folder)/.retort/keys/signing.pub"
      let half = FileManager.default.contents(atPath: published)
      try FileManager.default.removeItem(atPath: published)
      #expect(try await retort.run("doctor").output.contains("ok   signing key: "))
      #expect(half != nil && FileManager.default.contents(atPath: published) == half)
      // A machine that does not sign needs no key.
      let elsewhere = try await retort.run("doctor", "--set", "state=else/where/entirely")
      #expect(elsewhere.output.contains("ok   signing key: none here; "), "\(elsewhere.output)")
      #expect(elsewhere.output.contains("ok   state folder: else/where/entirely"), "\(elsewhere.output)")

      // A damaged file of the store is fetched again from the log, and answers as before.
      let sound = try await retort.run("predict", "--version", version, "lock the front door")
      let digest = Digest.sha256(bytes).hex
      let stored = "\(retort.folder)/.retort/store/\(digest.prefix(2))/\(digest)"
      var flipped = bytes
      flipped[bytes.count - 100] ^= 1
      _ = FileManager.default.createFile(atPath: stored, contents: Data(flipped))
      let healed = try await retort.run("predict", "--version", version, "lock the front door")
      #expect(healed.status == 0 && healed.output == sound.output, "\(healed.errors)")
      #expect(FileManager.default.contents(atPath: stored) == Data(bytes))

      // A checkpoint with one bit changed: refused by name, and said what to do.
      let checkpoints = "\(retort.folder)/.retort/checkpoints"
      let all = FileManager.default.enumerator(atPath: checkpoints)?.compactMap { $0 as? String } ?? []
      for file in all {
        let path = "\(checkpoints)/\(file)"
        guard var data = FileManager.default.contents(atPath: path), data.count > 1_000 else { continue }
        data[data.count / 2] ^= 1
        _ = FileManager.default.createFile(atPath: path, contents: data)
      }
      _ = try await retort.json("requests", "import", "../requests.jsonl")
      expectSentence(try await retort.run("train", "--until-idle"), status: 1, containing: "SHA-256")

      // A log that is no database.
      _ = FileManager.default.createFile(
        atPath: "\(retort.folder)/bad.db", contents: Data("not a database at all".utf8))
      let log = try await retort.run("audit", "--log", "sqlite:bad.db")
      #expect(log.status == 1 && log.errors.contains("corrupt"), "\(log.errors)")

      // A key that did not sign this.
      let other = try await retort.json("keys", "new", "--out", "other")
      let publicFile = try #require(other["public"]?.stringValue)
      let refused = try await retort.run(
        "models", "verify", version, "--set", "serve.trusted_keys=\(publicFile)")
      expectSentence(refused, status: 3, containing: "key")
    }
  }
}
