internal import Topics

/// Whether string arguments must occur in the request.
public struct GroundingPolicy: Sendable, Hashable {
  /// Whether the check is made.
  public var isRequired: Bool
  /// Properties, by name, whose values may be the teacher's own words.
  public var exemptProperties: Set<String>

  /// Makes a policy.
  public init(isRequired: Bool, exemptProperties: Set<String> = []) {
    self.isRequired = isRequired
    self.exemptProperties = exemptProperties
  }

  /// No check.
  public static let off = GroundingPolicy(isRequired: false)
  /// Every string value that no `enum` or `const` fixes must occur.
  public static let required = GroundingPolicy(isRequired: true)

  var json: JSON {
    ["required": .bool(isRequired), "exempt": .array(exemptProperties.sorted().map { .string($0) })]
  }
}
