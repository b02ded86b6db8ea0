import Topics

extension NumberRule {
  /// The rule of a schema's `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum` and `multipleOf`, or nil when no
  /// number of those satisfies them.
  ///
  /// Without bounds, integers are those of 64 bits and numbers have at most 9 digits before and 9 after the point; where a bound asks
  /// for greater numbers they are written without a fraction.
  init?(schema: JSONObject, integersOnly: Bool) {
    let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].compactMap { schema[$0]?.doubleValue }
    let fits = bounds.allSatisfy { abs($0) < 1e9 } || bounds.isEmpty
    let fraction = integersOnly || !fits ? 0 : 9
    let scale: Int128 = fraction == 0 ? 1 : 1_000_000_000
    let limit: Int128 = 999_999_999_999_999_999
    var (lower, upper) = fraction == 0 ? (Int128(Int64.min), Int128(Int64.max)) : (-limit, limit)
    if let value = schema["minimum"] { lower = max(lower, Self.scaled(value, scale, .up)) }
    if let value = schema["maximum"] { upper = min(upper, Self.scaled(value, scale, .down)) }
    if let value = schema["exclusiveMinimum"] { lower = max(lower, Self.scaled(value, scale, .down) + 1) }
    if let value = schema["exclusiveMaximum"] { upper = min(upper, Self.scaled(value, scale, .up) - 1) }
    let step = Self.step(schema["multipleOf"], scale)
    self.init(fractionDigits: fraction, integerDigits: fraction == 0 ? 19 : 9, lower: lower, upper: upper, step: step)
  }

  private static func scaled(_ value: JSON, _ scale: Int128, _ rule: FloatingPointRoundingRule) -> Int128 {
    if case .integer(let whole) = value { return Int128(whole) * scale }
    // Far beyond what is written, and far from overflowing.
    let bound = 1e30
    return Int128(max(-bound, min(bound, ((value.doubleValue ?? 0) * Double(scale)).rounded(rule))))
  }

  private static func step(_ value: JSON?, _ scale: Int128) -> Int128 {
    if case .integer(let whole)? = value, whole > 0 { return Int128(whole) * scale }
    guard let multiple = value?.doubleValue, multiple > 0 else { return 1 }
    let product = multiple * Double(scale)
    let nearest = product.rounded()
    if nearest >= 1, nearest < 1e18, abs(product - nearest) <= 1e-9 * nearest { return Int128(nearest) }
    let inverse = (1 / product).rounded()
    // A multiple finer than what is written divides it, or else zero alone is sure to be one.
    if product < 1, abs(inverse * product - 1) < 1e-9 { return 1 }
    return .max
  }
}
