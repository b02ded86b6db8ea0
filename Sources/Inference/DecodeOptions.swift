/// How answers are decoded.
public struct DecodeOptions: Sendable, Hashable {
  /// Whether only legal calls can be written (default). Otherwise the text is the model's own greedy text, checked afterwards.
  public var constrained: Bool
  /// Under the constraint, whether strings without an enumeration must be contiguous pieces of the request (default).
  public var grounded: Bool
  /// The most tokens of an answer, 1 or more; default 256. A constrained answer that gets there is closed legally and has
  /// confidence 0; a free one is invalid.
  public var maximumTokens: Int

  /// Options.
  public init(constrained: Bool = true, grounded: Bool = true, maximumTokens: Int = 256) {
    self.constrained = constrained
    self.grounded = grounded
    self.maximumTokens = max(1, maximumTokens)
  }
}
