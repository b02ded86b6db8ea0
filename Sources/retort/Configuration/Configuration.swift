import Foundation
import Topics
import Yams

/// The settings of one run: defaults, under `retort.yaml`, under the environment, under flags.
struct Configuration: Sendable {
  /// Every key that was set or has a default.
  private var values: [String: JSON] = [:]
  /// Whether there is a `retort.yaml`, and so a deployment.
  private(set) var isWritten = false
  /// The folder of `retort.yaml`; relative paths in it start there.
  let folder: String

  /// Reads the configuration.
  ///
  /// - Parameters:
  ///   - path: the file; where `nil`, `retort.yaml` in the current folder if it is there, else the defaults alone.
  ///   - overrides: settings from flags, by key.
  ///   - environment: environment variables.
  /// - Throws: ``ConfigurationError`` for the first thing that is wrong.
  init(
    path: String?, overrides: [String: String] = [:],
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws {
    let file = path ?? "retort.yaml"
    self.init(defaultsBeside: file)
    if path != nil || FileManager.default.fileExists(atPath: file) {
      let problems = try read(file: file)
      if let first = problems.first { throw ConfigurationError(first) }
      isWritten = true
    }
    for setting in Settings.all {
      if let text = environment[setting.variable], !text.isEmpty, !setting.isService(text) {
        values[setting.key] = try setting.parse(text, from: setting.variable)
      }
    }
    for (key, text) in overrides.sorted(by: { $0.key < $1.key }) {
      guard let setting = Settings.byKey[key] else { throw ConfigurationError("unknown setting \(key)") }
      values[key] = try setting.parse(text, from: key)
    }
  }

  /// Everything that is wrong with a file, one sentence each.
  static func problems(in file: String) throws -> [String] {
    var configuration = Configuration(defaultsBeside: file)
    return try configuration.read(file: file)
  }

  /// The defaults alone.
  private init(defaultsBeside file: String) {
    folder = (file as NSString).deletingLastPathComponent
    for setting in Settings.all { values[setting.key] = setting.standard }
  }

  // MARK: - Values

  func text(_ key: String) -> String { values[key]?.stringValue ?? "" }
  func optionalText(_ key: String) -> String? {
    values[key]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
  }
  func integer(_ key: String) -> Int { Int(values[key]?.integerValue ?? 0) }
  func optionalInteger(_ key: String) -> Int? { values[key]?.integerValue.map { Int($0) } }
  func number(_ key: String) -> Double { values[key]?.doubleValue ?? 0 }
  func optionalNumber(_ key: String) -> Double? { values[key]?.doubleValue }
  func flag(_ key: String) -> Bool { values[key]?.boolValue ?? false }
  func texts(_ key: String) -> [String] { values[key]?.arrayValue?.compactMap(\.stringValue) ?? [] }
  func tree(_ key: String) -> JSON? { values[key] }
  func duration(_ key: String) -> Duration { .milliseconds(integer(key)) }

  /// A path from a setting, from the folder of the configuration file.
  func path(_ key: String) -> String { resolve(text(key)) }

  /// The same for any path.
  func resolve(_ path: String) -> String {
    path.hasPrefix("/") || folder.isEmpty ? path : "\(folder)/\(path)"
  }

  /// A secret: from the environment variable of `key`, or the file that `key_file` names; never from YAML.
  func secret(_ key: String, environment: [String: String] = ProcessInfo.processInfo.environment) throws -> String? {
    let variable = "RETORT_" + key.uppercased().replacingOccurrences(of: ".", with: "_")
    if let value = environment[variable], !value.isEmpty { return value }
    guard let file = optionalText(key + "_file") else { return nil }
    return try ConfigurationError.within("\(key)_file") { try InputFile.secret(resolve(file)) }
  }

  /// Variables that look like settings and are none, one sentence each. Variables that other programs have given such names are
  /// not near any setting.
  static func doubts(about environment: [String: String] = ProcessInfo.processInfo.environment) -> [String] {
    let known = Set(Settings.all.map(\.variable) + KafkaProperties.secretVariables + ["RETORT_TEACHER_API_KEY"])
    return environment.keys.filter { $0.hasPrefix("RETORT_") && !known.contains($0) }.sorted().compactMap { name in
      if let nearest = NearestKey.of(name, among: known, within: 2) {
        return "the variable \(name) is no setting; did you mean \(nearest)?"
      }
      return Settings.all.first { $0.isTree && name.hasPrefix($0.variable + "_") }.map {
        "the variable \(name) is no setting; give all of \($0.variable) as JSON"
      }
    }
  }

  // MARK: - Reading YAML

  /// Takes over a file's settings and returns what is wrong with it.
  private mutating func read(file: String) throws -> [String] {
    var problems: [String] = []
    take(
      try Self.object(in: file, advice: "run `retort init` to write one, or name it with --config"), under: "",
      file: file, problems: &problems)
    return problems
  }

  /// The keys of a YAML or JSON file.
  ///
  /// - Throws: ``ConfigurationError`` where it cannot be read, is larger than 1 MB, or has no keys at its top level.
  static func object(in file: String, advice: String = InputFile.usualAdvice) throws -> JSONObject {
    let data = try InputFile.bytes(file, limit: 1 << 20, advice: advice)
    let node: Node?
    do {
      // Some editors begin a file with a byte order mark.
      let text = data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data[...]
      node = try Yams.compose(yaml: String(decoding: text, as: UTF8.self))
    } catch {
      throw ConfigurationError("\(file)\(YAMLTree.complaint(error)); correct the file")
    }
    guard let node else { return [:] }
    guard case .object(let root) = try YAMLTree.json(of: node, file: file) else {
      throw ConfigurationError(
        "\(file): expected keys at the top level, found \(node.sequence == nil ? "one value" : "a list")")
    }
    return root
  }

  private mutating func take(_ object: JSONObject, under prefix: String, file: String, problems: inout [String]) {
    for (name, value) in object {
      let key = prefix + name
      if let setting = Settings.byKey[key] {
        if setting.accepts(value) {
          values[key] = value
        } else if value != .null {
          problems.append("\(file): \(key): expected \(setting.expectation), found \(value.text.prefix(80))")
        }
      } else if Settings.isSecret(key) {
        problems.append(
          "\(file): \(key): secrets do not belong in this file; set the environment variable or \(key)_file")
      } else if Settings.sections.contains(key), case .object(let section) = value {
        take(section, under: key + ".", file: file, problems: &problems)
      } else if Settings.sections.contains(key), value == .null {
        continue
      } else {
        let nearest = NearestKey.of(key, among: Array(Settings.byKey.keys) + Settings.sections)
        problems.append("\(file): unknown key \(key)" + (nearest.map { "; did you mean \($0)?" } ?? ""))
      }
    }
  }
}

extension Setting {
  /// Whether a variable's text is what Kubernetes tells every container of a namespace of a service `retort-serve`, whose variable has the
  /// name of the setting `serve.port`: nobody has set that.
  fileprivate func isService(_ text: String) -> Bool {
    guard case .integer = kind else { return false }
    return ["tcp://", "udp://", "sctp://"].contains { text.hasPrefix($0) }
  }

  fileprivate func parse(_ text: String, from origin: String) throws -> JSON {
    guard let value = value(from: text) else {
      throw ConfigurationError("\(origin): expected \(expectation), found \(text.prefix(80))")
    }
    return value
  }
}
