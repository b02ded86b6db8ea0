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
}
