/// A named value beside a record's key and value; names may repeat and their order is kept.
public struct Header: Sendable, Hashable {
  /// The header's name.
  public var name: String
  /// The header's bytes.
  public var value: [UInt8]

  /// A header with any bytes.
  public init(_ name: String, bytes: [UInt8]) {
    self.name = name
    self.value = bytes
  }

  /// A header with a text, kept as UTF-8.
  public init(_ name: String, _ text: String) {
    self.init(name, bytes: Array(text.utf8))
  }

  /// The value as text; nil where it is not UTF-8.
  public var text: String? { String(validating: value, as: UTF8.self) }
}

extension Sequence<Header> {
  /// The text of the last header with this name, as Kafka's `lastHeader`; nil where there is none or it is not UTF-8.
  public func text(_ name: String) -> String? {
    var found: Header?
    for header in self where header.name == name { found = header }
    return found?.text
  }
}
