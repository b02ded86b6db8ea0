import Topics

/// The number of a rule in its grammar.
typealias RuleID = Int32

/// What one JSON value may be.
enum GrammarRule: Sendable {
  /// One of a set of complete JSON texts.
  case literals(ByteTrie)
  /// A string of `minimum` to `maximum` Unicode scalars, which is a piece of the request.
  case piece(minimum: Int32, maximum: Int32)
  /// A string that its schema's `pattern` or `format` decides: one of the request's word-aligned pieces that satisfy it.
  case candidates(JSONSchema)
  /// A number.
  case number(NumberRule)
  /// An object.
  case object(ObjectRule)
  /// An array of `minimum` to `maximum` items.
  case array(items: RuleID, minimum: Int32, maximum: Int32)
  /// Any one of several; none of them when empty, which nothing satisfies.
  case choice([RuleID])
}

/// The members an object may have.
final class ObjectRule: Sendable {
  /// How many members beyond the declared ones are written at most.
  static let maximumAdditional: Int32 = 8

  /// The rule of each property's value, in schema order.
  let values: [RuleID]
  /// The property names, in the same order.
  let names: [String]
  /// The texts `"name":` with the property's number.
  let keys: ByteTrie
  /// For each node of `keys`, the properties below it.
  let below: [PropertySet]
  /// The properties that must be there.
  let required: PropertySet
  /// All properties.
  let all: PropertySet
  /// The rule of members that are not declared, or −1 where there are none.
  let additional: RuleID

  /// Makes the rule; `names` holds at most `PropertySet.capacity` different names.
  init(names: [String], values: [RuleID], required: PropertySet, additional: RuleID) {
    self.names = names
    self.values = values
    self.required = required
    self.additional = additional
    let keys = ByteTrie(
      names.enumerated().map { number, name in (JSON.string(name).bytes + [UInt8(ascii: ":")], Int32(number)) })
    self.keys = keys
    var below = [PropertySet](repeating: PropertySet(), count: keys.nodeCount)
    // Children have greater numbers than their parents, so that one pass from the end gathers everything.
    for node in stride(from: keys.nodeCount - 1, through: 0, by: -1) {
      for position in keys.valueRange(Int32(node)) { below[node].insert(Int(keys.values[position])) }
      for edge in keys.edges(Int32(node)) { below[node] = below[node].union(below[Int(keys.edgeNodes[edge])]) }
    }
    self.below = below
    self.all = below.first ?? PropertySet()
  }
}
