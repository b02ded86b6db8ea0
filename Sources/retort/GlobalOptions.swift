import ArgumentParser

/// The options that every command takes.
struct GlobalOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp("The configuration; retort.yaml in the current folder by default.", valueName: "file"))
  var config: String?

  @Flag(name: .long, help: "Machine-readable results: JSON on standard output.")
  var json = false

  @Option(name: .long, help: ArgumentHelp("Which log: sqlite:PATH or kafka://HOST:PORT.", valueName: "url"))
  var log: String?

  @Option(
    name: .long, help: ArgumentHelp("Any setting, as key=value; may be given several times.", valueName: "key=value"))
  var set: [String] = []

  /// The settings of this run.
  func configuration(_ overrides: [String: String] = [:]) throws -> Configuration {
    var all = overrides
    if let log { all["log.url"] = log }
    for pair in set {
      guard let equals = pair.firstIndex(of: "=") else {
        throw ConfigurationError("--set \(pair): expected key=value, such as --set train.seed=7")
      }
      let key = String(pair[..<equals])
      guard Settings.byKey[key] != nil else {
        let nearest = NearestKey.of(key, among: Settings.byKey.keys)
        throw ConfigurationError("--set \(key): unknown setting" + (nearest.map { "; did you mean \($0)?" } ?? ""))
      }
      all[key] = String(pair[pair.index(after: equals)...])
    }
    for doubt in Configuration.doubts() { Output.note(doubt) }
    return try Configuration(path: config, overrides: all)
  }
}
