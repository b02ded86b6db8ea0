/// A configuration that cannot be used; the command ends with exit status 2.
struct ConfigurationError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
