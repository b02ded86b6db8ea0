import ArgumentParser
import Foundation
import Inference
import MessageLog
import Pipeline
import Releases
import RetortClient
import Serving
import Topics

/// Which model a command means: a released one by name, or a file.
struct ModelOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("A released model, by name.", valueName: "name"))
  var model: String?

  @Option(name: .long, help: ArgumentHelp("A GGUF file.", valueName: "file"))
  var file: String?

  @Option(name: .long, help: ArgumentHelp("A version of the model; the deployed one by default.", valueName: "n"))
  var version: Int?

  /// The model, loaded; a released one is fetched and its signature and digests are checked.
  func load(_ wiring: Wiring) async throws -> ServingModel { try await loadWithManifest(wiring).model }

  /// The same with its manifest; a file has none.
  func loadWithManifest(_ wiring: Wiring) async throws -> (model: ServingModel, manifest: Manifest?) {
    if let file {
      guard model == nil, version == nil else {
        throw ConfigurationError("give --file, or --model and --version, not both")
      }
      try ConfigurationError.checkIsThere(file, "--file", "a GGUF file")
      return (try ServingModel(gguf: file), try ServedModel.manifest(beside: file))
    }
    let log = try await wiring.openExistingLog()
    do {
      let fetched = try await fetch(wiring, log: log)
      try await log.close()
      return fetched
    } catch {
      try? await log.close()
      throw error
    }
  }

  private func fetch(_ wiring: Wiring, log: any MessageLog) async throws -> (ServingModel, Manifest?) {
    if let model, model.contains("@") {
      throw ConfigurationError("--model \(model): expected a name; give the version with --version")
    }
    let lookup = ReleaseLookup(wiring: wiring, log: log)
    let manifest = try await lookup.manifest(model ?? wiring.model, version: version)
    return (try await lookup.load(manifest), manifest)
  }
}

/// How much a command looks for better answers than the greedy ones.
struct SearchOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Beginnings followed where an answer is unsure, 0 for the greedy answer; serve.alternatives, or as released, by default.",
      valueName: "n"))
  var alternatives: Int?

  func validate() throws {
    let range = DecodeOptions.alternativesRange
    guard let alternatives, !range.contains(alternatives) else { return }
    throw ValidationError(
      "--alternatives: expected a whole number from \(range.lowerBound) to \(range.upperBound), found \(alternatives)")
  }

  /// The settings that say so.
  var settings: [String: String] { alternatives.map { ["serve.alternatives": String($0)] } ?? [:] }
}

/// Finding releases in the log.
struct ReleaseLookup {
  let wiring: Wiring
  let log: any MessageLog

  /// The manifest of a version, or of what is deployed.
  func manifest(_ model: String, version: Int?) async throws -> Manifest {
    if let version {
      let all = try await wiring.history(in: log).releases(of: model)
      guard let found = all.first(where: { $0.manifest.version == version }) else {
        let known = all.map { String($0.manifest.version) }.joined(separator: ", ")
        throw ClientError(
          .notFound, model, expected: "version \(version)", found: known.isEmpty ? "no version" : "versions \(known)",
          advice: "choose one of `retort models list`")
      }
      return found.manifest
    }
    let standing = try await wiring.history(in: log).standing(of: model)
    guard let deployed = standing.newest else {
      if let refused = standing.refused { throw refused }
      let made = try await wiring.history(in: log).releases(of: model).count
      throw ClientError(
        .notFound, model, expected: "a deployed version",
        found: made == 0 ? "none" : "none among \(made) that were made",
        advice: made == 0
          ? "make one with `retort run`"
          : """
          see why with `retort models show N`; use one all the same (`--version N` of `retort predict` and `eval`), deploy it \
          (`retort models promote N`), or make more with `retort run`
          """)
    }
    return deployed.manifest
  }

  /// What is deployed or, where nothing is, the newest release: how a candidate is named before anyone deploys it.
  func newest(_ model: String) async throws -> Manifest {
    let history = try wiring.history(in: log)
    if let deployed = try await history.newest(of: model) { return deployed.manifest }
    guard let last = try await history.releases(of: model).last else {
      throw ClientError(
        .notFound, model, expected: "the name of a released model", found: "none of that name",
        advice: "see the names in `retort topics tail releases --once`")
    }
    return last.manifest
  }

  /// A release's model: its file is fetched, and its signature and digests are checked.
  func load(_ manifest: Manifest) async throws -> ServingModel {
    try wiring.trustedKeys().verify(manifest)
    guard let file = manifest.weights else {
      throw ClientError(
        .notFound, "\(manifest.model) version \(manifest.version)", expected: "a manifest that names weights",
        found: "none", advice: "release the model again")
    }
    let fetcher = ArtifactFetcher(log: log, names: wiring.names)
    return try ReleaseCheck.load(try await wiring.store.path(of: file, fetcher: fetcher), manifest: manifest)
  }
}
