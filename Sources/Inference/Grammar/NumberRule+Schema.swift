import Topics

extension NumberRule {
  /// The rule of a schema's `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum` and `multipleOf`, or nil when no
  /// number satisfies them within 18 digits.
  ///
  /// Without bounds, integers have at most 18 digits and numbers at most 9 before and 9 after the point; where a bound asks
  /// for greater numbers they are written without a fraction.
  init?(schema: JSONObject, integersOnly: Bool) {
    let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].compactMap { schema[$0]?.doubleValue }
    let fits = bounds.allSatisfy { abs($0) < 1e9 } || bounds.isEmpty
    let fraction = integersOnly || !fits ? 0 : 9
    let scale: Int64 = fraction == 0 ? 1 : 1_000_000_000
    let limit: Int64 = 999_999_999_999_999_999
    var lower = -limit
    var upper = limit
    if let value = schema["minimum"] { lower = max(lower, Self.scaled(value, scale, .up)) }
    if let value = schema["maximum"] { upper = min(upper, Self.scaled(value, scale, .down)) }
    if let value = schema["exclusiveMinimum"] { lower = max(lower, Self.scaled(value, scale, .down) + 1) }
    if let value = schema["exclusiveMaximum"] { upper = min(upper, Self.scaled(value, scale, .up) - 1) }
    let step = Self.step(schema["multipleOf"], scale)
    self.init(fractionDigits: fraction, integerDigits: fraction == 0 ? 18 : 9, lower: lower, upper: upper, step: step)
  }

  private static func scaled(_ value: JSON, _ scale: Int64, _ rule: FloatingPointRoundingRule) -> Int64 {
    let bound: Int64 = 4_000_000_000_000_000_000
    if case .integer(let whole) = value {
      let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
      return overflow ? (whole < 0 ? -bound : bound) : min(max(product, -bound), bound)
    }
    let product = ((value.doubleValue ?? 0) * Double(scale)).rounded(rule)
    guard abs(product) < Double(bound) else { return product < 0 ? -bound : bound }
    return Int64(product)
  }

  private static func step(_ value: JSON?, _ scale: Int64) -> Int64 {
    guard let multiple = value?.doubleValue, multiple > 0 else { return 1 }
    let product = multiple * Double(scale)
    let nearest = product.rounded()
    if nearest >= 1, nearest < 1e18, abs(product - nearest) <= 1e-9 * nearest { return Int64(nearest) }
    let inverse = (1 / product).rounded()
    // A multiple finer than what is written divides it, or else zero alone is sure to be one.
    if product < 1, abs(inverse * product - 1) < 1e-9 { return 1 }
    return .max
  }
}
