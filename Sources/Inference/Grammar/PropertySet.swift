/// A set of the properties of one object schema, by their number.
struct PropertySet: Hashable, Sendable {
  /// How many properties one object may declare.
  static let capacity = 256

  private var words: SIMD4<UInt64> = .zero

  /// The empty set.
  init() {}

  /// Whether nothing is in the set.
  var isEmpty: Bool { words == .zero }

  /// Whether `index` (0 ..< 256) is in the set.
  @inline(__always)
  func contains(_ index: Int) -> Bool { words[index >> 6] & (1 << UInt64(index & 63)) != 0 }

  /// Puts `index` (0 ..< 256) in.
  mutating func insert(_ index: Int) { words[index >> 6] |= 1 << UInt64(index & 63) }

  /// What is in both.
  func intersection(_ other: PropertySet) -> PropertySet {
    var result = self
    result.words &= other.words
    return result
  }

  /// What is in either.
  func union(_ other: PropertySet) -> PropertySet {
    var result = self
    result.words |= other.words
    return result
  }

  /// What is here and not in `other`.
  func subtracting(_ other: PropertySet) -> PropertySet {
    var result = self
    result.words &= ~other.words
    return result
  }

  /// Whether all of this is in `other`.
  func isSubset(of other: PropertySet) -> Bool { subtracting(other).isEmpty }
}
