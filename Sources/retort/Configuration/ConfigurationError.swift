import Foundation

/// A configuration that cannot be used; the command ends with exit status 2.
struct ConfigurationError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }

  /// Does something for a setting, whose name goes before what is wrong.
  static func within<Result>(_ setting: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as ConfigurationError {
      throw ConfigurationError("\(setting): \(error)")
    }
  }

  /// Refuses a file or folder that a person has named and that is not there.
  ///
  /// - Parameters:
  ///   - name: the option, or the setting and a colon.
  ///   - expected: what should be there.
  static func checkIsThere(_ path: String?, _ name: String, _ expected: String) throws {
    guard let path, !FileManager.default.fileExists(atPath: path) else { return }
    throw ConfigurationError("\(name) \(path): expected \(expected), found nothing; \(InputFile.usualAdvice)")
  }
}
