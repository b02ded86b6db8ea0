/// The members of a JSON object: keys unique, in the order in which they were put in.
///
/// Equality and hash ignore the order. Small objects are searched one key after another; larger ones keep an index.
public struct JSONObject: Sendable {
  private var entries: [Entry]
  private var index: [ExactString: Int]?

  private struct Entry: Sendable {
    var key: String
    var value: JSON
  }

  private static let indexThreshold = 16

  /// An object without members.
  public init() {
    entries = []
  }

  /// The keys in order.
  public var keys: [String] { entries.map(\.key) }

  /// The values in order.
  public var values: [JSON] { entries.map(\.value) }

  /// The value of `key`. Assigning to a new key appends it; assigning nil removes the member.
  public subscript(key: String) -> JSON? {
    get {
      guard let position = position(of: key) else { return nil }
      return entries[position].value
    }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): entries[position].value = value
      case (let position?, nil): remove(at: position)
      case (nil, let value?): append(key, value)
      case (nil, nil): break
      }
    }
  }

  /// Appends a member whose key is not there yet; false, and no change, when it is.
  package mutating func appendUnique(_ key: String, _ value: JSON) -> Bool {
    guard position(of: key) == nil else { return false }
    append(key, value)
    return true
  }

  /// Sets the members of `other` after one's own, as the subscript does one by one.
  public mutating func merge(_ other: JSONObject) {
    for (key, value) in other { self[key] = value }
  }

  /// The object with the members of `other` set after its own.
  func merging(_ other: JSONObject) -> JSONObject {
    var result = self
    result.merge(other)
    return result
  }

  private func position(of key: String) -> Int? {
    if let index { return index[ExactString(key)] }
    return entries.firstIndex { ExactString.equal($0.key, key) }
  }

  private mutating func append(_ key: String, _ value: JSON) {
    entries.append(Entry(key: key, value: value))
    if index != nil {
      index?[ExactString(key)] = entries.count - 1
    } else if entries.count > Self.indexThreshold {
      buildIndex()
    }
  }

  private mutating func remove(at position: Int) {
    entries.remove(at: position)
    if index != nil { buildIndex() }
  }

  private mutating func buildIndex() {
    var fresh: [ExactString: Int] = [:]
    fresh.reserveCapacity(entries.count * 2)
    for (position, entry) in entries.enumerated() { fresh[ExactString(entry.key)] = position }
    index = fresh
  }
}

extension JSONObject: RandomAccessCollection {
  /// The position of the first member.
  public var startIndex: Int { 0 }

  /// One past the position of the last member.
  public var endIndex: Int { entries.count }

  /// The member at `position`, which must be within bounds.
  public subscript(position: Int) -> (key: String, value: JSON) {
    let entry = entries[position]
    return (entry.key, entry.value)
  }
}

extension JSONObject: Hashable {
  /// Whether both have the same keys with the same values, in any order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    guard left.count == right.count else { return false }
    return left.allSatisfy { member in right[member.key] == member.value }
  }

  /// Feeds the members to `hasher` without regard to their order.
  public func hash(into hasher: inout Hasher) {
    var sum = 0
    for entry in entries {
      var inner = Hasher()
      ExactString(entry.key).hash(into: &inner)
      inner.combine(entry.value)
      sum ^= inner.finalize()
    }
    hasher.combine(entries.count)
    hasher.combine(sum)
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  /// An object of the members in order; of a repeated key the last value counts.
  public init(dictionaryLiteral elements: (String, JSON)...) {
    self.init()
    for (key, value) in elements { self[key] = value }
  }
}
