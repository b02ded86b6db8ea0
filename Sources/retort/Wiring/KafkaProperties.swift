import Foundation
import KafkaLog
import Topics

/// librdkafka's properties from the configuration: a map under `log.kafka`, with secrets from elsewhere.
enum KafkaProperties {
  /// The properties, by name.
  ///
  /// A secret such as `sasl.password` comes from the variable `RETORT_LOG_KAFKA_SASL_PASSWORD` or from the file that
  /// `sasl.password_file` names.
  ///
  /// - Throws: ``ConfigurationError`` for a secret in the file itself, and for values that are neither text, number nor flag.
  static func read(
    _ configuration: Configuration, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> [String: String] {
    var properties: [String: String] = [:]
    let tree = configuration.tree("log.kafka") ?? [:]
    guard let object = tree.objectValue else {
      throw ConfigurationError("log.kafka: expected a map of librdkafka's properties, found a \(tree.typeName)")
    }
    for (name, value) in object {
      if KafkaLog.secretProperties.contains(name) {
        throw ConfigurationError(
          "log.kafka: \(name): secrets do not belong in this file; set \(variable(name)) or \(name)_file")
      }
      if let secret = KafkaLog.secretProperties.first(where: { name == $0 + "_file" }) {
        properties[secret] = try contents(of: configuration.resolve(value.stringValue ?? ""), name)
      } else {
        properties[name] = try text(value, name)
      }
    }
    for name in KafkaLog.secretProperties {
      if let value = environment[variable(name)], !value.isEmpty { properties[name] = value }
    }
    return properties
  }

  /// The variables that are read here; every other property stands under `log.kafka`.
  static var secretVariables: [String] { KafkaLog.secretProperties.map(variable) }

  private static func variable(_ name: String) -> String {
    "RETORT_LOG_KAFKA_" + name.uppercased().replacingOccurrences(of: ".", with: "_")
  }

  private static func text(_ value: JSON, _ name: String) throws -> String {
    if let text = value.stringValue { return text }
    if let flag = value.boolValue { return flag ? "true" : "false" }
    if let number = value.integerValue { return String(number) }
    throw ConfigurationError(
      "log.kafka: \(name): expected a text, a whole number or a flag, found \(value.text.prefix(80))")
  }

  private static func contents(of path: String, _ name: String) throws -> String {
    try ConfigurationError.within("log.kafka: \(name)") { try InputFile.secret(path) }
  }
}
