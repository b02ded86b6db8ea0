/// Reads an object's fields one by one and keeps what nobody asked for.
struct Fields {
  private(set) var rest: JSONObject
  let context: String

  init(_ json: JSON, in context: String) throws(TopicError) {
    guard case .object(let object) = json else {
      throw TopicError(.type, in: context, expected: "an object", found: json.typeName)
    }
    rest = object
    self.context = context
  }

  /// Removes and returns the field, or nil when it is not there. `null` counts as a value.
  mutating func take(_ name: String) -> JSON? {
    guard let value = rest[name] else { return nil }
    rest[name] = nil
    return value
  }

  /// Puts a field in place of one that was read in another form.
  mutating func put(_ name: String, _ value: JSON) { rest[name] = value }

  mutating func require(_ name: String, _ expected: String) throws(TopicError) -> JSON {
    guard let value = take(name) else {
      throw TopicError(.missing, in: context, at: name, expected: expected, found: "nothing")
    }
    return value
  }

  func wrongType(_ name: String, _ expected: String, _ value: JSON) -> TopicError {
    TopicError(.type, in: context, at: name, expected: expected, found: value.typeName)
  }

  func invalid(_ name: String, _ expected: String, _ found: String) -> TopicError {
    TopicError(.value, in: context, at: name, expected: expected, found: found)
  }

  /// Fails when a field is left over, for closed objects.
  func finish() throws(TopicError) {
    guard let first = rest.keys.first else { return }
    throw TopicError(.unexpected, in: context, at: first, expected: "no such field", found: first)
  }
}

// MARK: Scalars

extension Fields {
  /// A string of `range` UTF-8 bytes.
  mutating func string(_ name: String, _ range: ClosedRange<Int> = 1...512) throws(TopicError) -> String {
    try check(name, try require(name, "a string"), range)
  }

  mutating func optionalString(_ name: String, _ range: ClosedRange<Int> = 0...512) throws(TopicError) -> String? {
    guard let value = take(name) else { return nil }
    return try check(name, value, range)
  }

  private func check(_ name: String, _ value: JSON, _ range: ClosedRange<Int>) throws(TopicError) -> String {
    guard case .string(let text) = value else { throw wrongType(name, "a string", value) }
    guard range.contains(text.utf8.count) else {
      throw invalid(name, "a string of \(range.lowerBound) to \(range.upperBound) bytes", "\(text.utf8.count) bytes")
    }
    return text
  }

  /// A whole number within `range`.
  mutating func integer(
    _ name: String, _ range: ClosedRange<Int64> = 0...(1 << 53)
  ) throws(TopicError) -> Int64 {
    try check(name, try require(name, "a whole number"), range)
  }

  mutating func optionalInteger(
    _ name: String, _ range: ClosedRange<Int64> = 0...(1 << 53)
  ) throws(TopicError) -> Int64? {
    guard let value = take(name) else { return nil }
    return try check(name, value, range)
  }

  private func check(_ name: String, _ value: JSON, _ range: ClosedRange<Int64>) throws(TopicError) -> Int64 {
    guard value.doubleValue != nil else { throw wrongType(name, "a whole number", value) }
    guard let number = value.integerValue, range.contains(number) else {
      throw invalid(name, "a whole number from \(range.lowerBound) to \(range.upperBound)", value.text)
    }
    return number
  }

  /// A whole number within `range`, which lies within `Int`.
  mutating func int(_ name: String, _ range: ClosedRange<Int64> = 0...(1 << 53)) throws(TopicError) -> Int {
    Int(try integer(name, range))
  }

  mutating func optionalInt(_ name: String, _ range: ClosedRange<Int64> = 0...(1 << 53)) throws(TopicError) -> Int? {
    guard let value = try optionalInteger(name, range) else { return nil }
    return Int(value)
  }

  /// A number within `range`.
  mutating func number(_ name: String, _ range: ClosedRange<Double>) throws(TopicError) -> Double {
    try check(name, try require(name, "a number"), range)
  }

  mutating func optionalNumber(_ name: String, _ range: ClosedRange<Double>) throws(TopicError) -> Double? {
    guard let value = take(name) else { return nil }
    return try check(name, value, range)
  }

  private func check(_ name: String, _ value: JSON, _ range: ClosedRange<Double>) throws(TopicError) -> Double {
    guard let number = value.doubleValue else { throw wrongType(name, "a number", value) }
    guard range.contains(number) else {
      throw invalid(name, "a number from \(range.lowerBound) to \(range.upperBound)", value.text)
    }
    return number
  }

  mutating func bool(_ name: String) throws(TopicError) -> Bool {
    let value = try require(name, "true or false")
    guard case .bool(let flag) = value else { throw wrongType(name, "true or false", value) }
    return flag
  }

  mutating func optionalBool(_ name: String) throws(TopicError) -> Bool? {
    rest[name] == nil ? nil : try bool(name)
  }

  /// One of a fixed list of words.
  mutating func word<Word: RawRepresentable & CaseIterable>(
    _ name: String, as type: Word.Type
  ) throws(TopicError) -> Word where Word.RawValue == String {
    guard let word = try optionalWord(name, as: type) else {
      throw TopicError(.missing, in: context, at: name, expected: Self.list(type), found: "nothing")
    }
    return word
  }

  mutating func optionalWord<Word: RawRepresentable & CaseIterable>(
    _ name: String, as type: Word.Type
  ) throws(TopicError) -> Word? where Word.RawValue == String {
    guard let value = take(name) else { return nil }
    guard case .string(let text) = value else { throw wrongType(name, Self.list(type), value) }
    guard let word = Word(rawValue: text) else { throw invalid(name, Self.list(type), "\"\(text)\"") }
    return word
  }

  private static func list<Word: RawRepresentable & CaseIterable>(
    _ type: Word.Type
  ) -> String where Word.RawValue == String {
    type.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
  }

  mutating func digest(_ name: String) throws(TopicError) -> Digest {
    guard let digest = try optionalDigest(name) else {
      throw TopicError(.missing, in: context, at: name, expected: "a SHA-256 digest", found: "nothing")
    }
    return digest
  }

  mutating func optionalDigest(_ name: String) throws(TopicError) -> Digest? {
    guard let value = take(name) else { return nil }
    guard case .string(let text) = value else { throw wrongType(name, "a SHA-256 digest", value) }
    guard let digest = Digest(hex: text) else {
      throw invalid(name, "64 lower-case hexadecimal characters", "\"\(text)\"")
    }
    return digest
  }

  /// A moment as RFC 3339 text.
  mutating func time(_ name: String) throws(TopicError) -> String {
    guard let time = try optionalTime(name) else {
      throw TopicError(.missing, in: context, at: name, expected: "an RFC 3339 time", found: "nothing")
    }
    return time
  }

  mutating func optionalTime(_ name: String) throws(TopicError) -> String? {
    guard let text = try optionalString(name, 1...64) else { return nil }
    guard StringFormat.dateTime.accepts(text) else { throw invalid(name, "an RFC 3339 time", "\"\(text)\"") }
    return text
  }
}

// MARK: Composites

extension Fields {
  mutating func optionalObject(_ name: String) throws(TopicError) -> JSONObject? {
    guard let value = take(name) else { return nil }
    guard case .object(let object) = value else { throw wrongType(name, "an object", value) }
    return object
  }

  /// A value that knows how to read itself; its errors are told from this object's point of view.
  mutating func nested<Value>(
    _ name: String, _ read: (JSON) throws(TopicError) -> Value
  ) throws(TopicError) -> Value {
    guard let value = try optionalNested(name, read) else {
      throw TopicError(.missing, in: context, at: name, expected: "a value", found: "nothing")
    }
    return value
  }

  mutating func optionalNested<Value>(
    _ name: String, _ read: (JSON) throws(TopicError) -> Value
  ) throws(TopicError) -> Value? {
    guard let value = take(name) else { return nil }
    do throws(TopicError) {
      return try read(value)
    } catch {
      throw error.within(context, at: name)
    }
  }

  mutating func array<Value>(
    _ name: String, _ range: ClosedRange<Int>, _ read: (JSON) throws(TopicError) -> Value
  ) throws(TopicError) -> [Value] {
    guard let values = try optionalArray(name, range, read) else {
      throw TopicError(.missing, in: context, at: name, expected: "an array", found: "nothing")
    }
    return values
  }

  mutating func optionalArray<Value>(
    _ name: String, _ range: ClosedRange<Int>, _ read: (JSON) throws(TopicError) -> Value
  ) throws(TopicError) -> [Value]? {
    guard let value = take(name) else { return nil }
    guard case .array(let elements) = value else { throw wrongType(name, "an array", value) }
    guard range.contains(elements.count) else {
      throw invalid(name, "\(range.lowerBound) to \(range.upperBound) elements", "\(elements.count)")
    }
    var result: [Value] = []
    result.reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      do throws(TopicError) {
        result.append(try read(element))
      } catch {
        throw error.within(context, at: "\(name)[\(index)]")
      }
    }
    return result
  }

  /// An array of short strings.
  mutating func optionalStrings(
    _ name: String, _ range: ClosedRange<Int>, each: ClosedRange<Int> = 1...512
  ) throws(TopicError) -> [String]? {
    let context = context
    return try optionalArray(name, range) { (json) throws(TopicError) -> String in
      guard case .string(let text) = json else {
        throw TopicError(.type, in: context, expected: "a string", found: json.typeName)
      }
      guard each.contains(text.utf8.count) else {
        throw TopicError(
          .value, in: context, expected: "a string of \(each.lowerBound) to \(each.upperBound) bytes",
          found: "\(text.utf8.count) bytes")
      }
      return text
    }
  }
}
