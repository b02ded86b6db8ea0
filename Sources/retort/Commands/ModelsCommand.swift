import ArgumentParser
import MessageLog
import ModelFiles
import Pipeline
import Releases
import RetortClient
import Topics

/// `retort models`: what was released.
struct ModelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models", abstract: "What was released: look at it, compare, fetch, verify, promote, roll back.",
    subcommands: [List.self, Show.self, Diff.self, Fetch.self, Verify.self, Promote.self, Rollback.self, Collect.self])

  /// `retort models list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Every candidate with its verdict.")

    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: "The model's name; that of the configuration by default.")
    var model: String?

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let name = model ?? wiring.model
      let history = try wiring.history(in: log)
      let releases = try await history.releases(of: name)
      let standing = try await history.standing(of: name)
      try await log.close()
      var table = Table(["version", "status", "exact match", "size", "samples", "sha256"])
      var list: [JSON] = []
      for (manifest, verdict) in releases {
        let status = Self.status(manifest, verdict, standing.newest)
        let exact = manifest.evidence.first { $0.metric == "exact_match" && $0.subject == .candidate }?.value
        let sha256 = manifest.weights?.sha256.hex ?? ""
        table.add([
          "\(manifest.version)", status, exact.map(Figures.percent) ?? "",
          Figures.bytes(Int(manifest.weights?.bytes ?? 0)),
          "\(manifest.lineage.samples)", String(sha256.prefix(16)),
        ])
        list.append([
          "name": .string(manifest.model), "version": .integer(Int64(manifest.version)), "status": .string(status),
          "sha256": .string(sha256), "bytes": .integer(manifest.weights?.bytes ?? 0),
          "exact_match": exact.map { .number($0) } ?? .null, "samples": .integer(Int64(manifest.lineage.samples)),
          "created": .string(manifest.created), "manifest_digest": .string(manifest.digest.hex),
          "reasons": .array((verdict?.reasons ?? []).map { .string($0) }),
        ])
      }
      if let refused = standing.refused { Output.complain("passed over: \(refused)") }
      if global.json { Output.print(.array(list)) } else { Output.print(table.text) }
    }

    /// `deployed`, `promoted` (once), `rejected` or `pending`.
    private static func status(
      _ manifest: Manifest, _ verdict: ReleaseVerdict?, _ deployed: DeploymentRecord?
    ) -> String {
      if deployed?.manifestDigest == manifest.digest { return "deployed" }
      guard let verdict else { return "pending" }
      return verdict.promoted ? "promoted" : "rejected"
    }
  }

  /// `retort models show`.
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The manifest of one release, with its evidence and verdict.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var target: ReleaseOptions

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let manifest = try await target.manifest(wiring, log)
      let verdict = try await wiring.history(in: log).releases(of: manifest.model)
        .first { $0.manifest.digest == manifest.digest }?.verdict
      try await log.close()
      if global.json {
        Output.print(["manifest": manifest.json, "verdict": verdict?.json ?? .null])
        return
      }
      Output.print("\(manifest.model) version \(manifest.version), \(manifest.created)")
      Output.print("manifest  \(manifest.digest.hex)")
      for file in manifest.files {
        Output.print("\(file.role.rawValue.padding(10))\(Figures.bytes(Int(file.bytes)))  \(file.sha256.hex)")
      }
      for item in manifest.evidence {
        let range =
          item.low.flatMap { low in item.high.map { " (\(Figures.fixed(low, 4)) to \(Figures.fixed($0, 4)))" } } ?? ""
        let slice = item.function.map { " on \($0)" } ?? ""
        let teacher = item.extra["teacher"]?.stringValue.map { " of labels by \($0)" } ?? ""
        Output.print(
          "evidence  \(item.subject.rawValue) \(item.metric)\(slice)\(teacher) \(Figures.fixed(item.value, 4))\(range), n \(item.n)"
        )
      }
      for reason in verdict?.reasons ?? [] { Output.print("verdict   \(reason)") }
    }
  }

  /// `retort models fetch`.
  struct Fetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a release's files and its manifest into a folder, verified.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var target: ReleaseOptions
    @Option(name: .long, help: ArgumentHelp("Where to; the current folder by default.", valueName: "dir"))
    var out = "."

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let manifest = try await target.manifest(wiring, log)
      try wiring.trustedKeys().verify(manifest)
      try AtomicFile.makeFolder(out)
      var written: [JSON] = []
      for file in manifest.files {
        let path = "\(out)/\(manifest.model)-\(manifest.version).\(file.format)"
        _ = try AtomicFile.write(try await ArtifactFetcher(log: log, names: wiring.names).fetch(file), to: path)
        written.append(.string(path))
      }
      let path = "\(out)/\(manifest.model)-\(manifest.version).manifest.json"
      _ = try AtomicFile.write(manifest.json.bytes, to: path)
      written.append(.string(path))
      try await log.close()
      if global.json {
        Output.print(["files": .array(written)])
      } else {
        for path in written { Output.print(path.stringValue ?? "") }
      }
    }
  }

  /// `retort models verify`.
  struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a release as a subscriber would: signature, digests, loading, probes.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var target: ReleaseOptions

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let manifest = try await target.manifest(wiring, log)
      do {
        try wiring.trustedKeys().verify(manifest)
        let fetcher = ArtifactFetcher(log: log, names: wiring.names)
        var probes: [Probe] = []
        for file in manifest.files {
          let bytes = try await fetcher.fetch(file)
          if file.role == .probes { probes = try Probe.read(bytes, name: "probes") }
          if file.role == .weights { _ = try await wiring.store.path(of: file, fetcher: fetcher) }
        }
        let model = try ReleaseCheck.load(
          wiring.store.path(of: manifest.weights?.sha256 ?? manifest.digest), manifest: manifest)
        try ReleaseCheck.ask(probes, of: model)
        if global.json {
          Output.print([
            "verified": true, "version": .integer(Int64(manifest.version)), "probes": .integer(Int64(probes.count)),
          ])
        } else {
          Output.print(
            "\(manifest.model) version \(manifest.version): signature, digests and \(probes.count) probes hold")
        }
        try await log.close()
      } catch let error as ReleaseError {
        try? await log.close()
        if global.json {
          Output.print(["verified": false, "code": .string(error.code.rawValue), "reason": .string(error.description)])
        }
        Output.complain(error.description)
        throw ExitStatus.checkFailed
      }
    }
  }

  /// `retort models promote`.
  struct Promote: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Deploy a version by hand, whatever the gate said.")

    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: "The model's name; that of the configuration by default.")
    var model: String?
    @Argument(help: "The version.")
    var version: Int
    @Option(name: .long, help: "Why; it is part of the deployment.")
    var reason = "promoted by hand"

    func run() async throws {
      try await ManualDeployment(global: global, model: model, action: .promote, reason: reason).deploy { _, _ in
        version
      }
    }
  }

  /// `retort models rollback`.
  struct Rollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deploy an earlier version: the last before the deployed one that the gate promoted, or --to.",
      discussion: """
        The deploy topic keeps the newest deployment alone, so that one made by hand is not known once another has taken its \
        place: to undo `retort models promote`, give --to the version that it said it took the place of.
        """)

    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: "The model's name; that of the configuration by default.")
    var model: String?
    @Option(name: .long, help: ArgumentHelp("The version to go back to.", valueName: "n"))
    var to: Int?
    @Option(name: .long, help: "Why; it is part of the deployment.")
    var reason = "rolled back by hand"

    func run() async throws {
      try await ManualDeployment(global: global, model: model, action: .rollback, reason: reason).deploy {
        releases, deployed in
        if let to { return to }
        let earlier = releases.filter {
          $0.verdict?.promoted == true && $0.manifest.version < deployed.manifest.version
        }
        guard let last = earlier.last else {
          throw ClientError(
            .notFound, deployed.model, expected: "a promoted version before \(deployed.manifest.version)",
            found: "none", advice: "name one with --to")
        }
        return last.manifest.version
      }
    }
  }

  /// `retort models gc`.
  struct Collect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "gc",
      abstract:
        "Tombstone the chunks and delete the files that nothing promoted refers to, and what killed processes left.")

    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: "The model's name; that of the configuration by default.")
    var model: String?
    @Option(name: .long, help: ArgumentHelp("Promoted versions to keep beside the deployed one.", valueName: "n"))
    var keep = 3
    @Flag(name: .long, help: "Only say what would go.")
    var dryRun = false

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let name = model ?? wiring.model
      let log = try await wiring.openExistingLog()
      if name != wiring.model, try await !wiring.history(in: log).models().contains(name),
        try await TrainStage.announced(log: log, names: wiring.names, model: name).progress == nil
      {
        throw ConfigurationError("--model \(name): expected a model of this deployment, found none of that name")
      }
      let report = try await GarbageCollection.run(
        log: log, names: wiring.names, keys: try wiring.keysIfAny(), store: wiring.store,
        checkpoints: name == wiring.model ? wiring.checkpoints(of: name) : nil, model: name,
        replays: model == nil ? wiring.replays : wiring.replays.filter { $0.key == name }, keep: max(0, keep),
        dryRun: dryRun)
      try await log.close()
      if global.json {
        Output.print(report.json)
      } else {
        Output.print(
          "\(dryRun ? "would remove" : "removed") \(report.chunks) chunks from the log and \(report.files) files, "
            + "\(Figures.bytes(report.bytes))")
      }
    }
  }
}

/// A model and a version of it.
struct ReleaseOptions: ParsableArguments {
  @Option(name: .long, help: "The model's name; that of the configuration by default.")
  var model: String?

  @Argument(help: "The version; the deployed one by default.")
  var version: Int?

  func manifest(_ wiring: Wiring, _ log: any MessageLog) async throws -> Manifest {
    try await ReleaseLookup(wiring: wiring, log: log).manifest(model ?? wiring.model, version: version)
  }
}

extension String {
  fileprivate func padding(_ width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
