import Tokenization
import Topics

extension NumberRule {
  /// The rule of a schema's `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum` and `multipleOf`, or nil when no
  /// number of those satisfies them.
  ///
  /// Without bounds, integers are those of 64 bits and numbers have at most 9 digits before and 9 after the point; where a bound
  /// is of more digits, as many of the 18 stand before the point. Numbers of more, and those that only begin beyond nine digits
  /// and have no end, are whole.
  init?(schema: JSONObject, integersOnly: Bool) {
    let least = ["minimum", "exclusiveMinimum"].compactMap { schema[$0]?.doubleValue }.max()
    let greatest = ["maximum", "exclusiveMaximum"].compactMap { schema[$0]?.doubleValue }.min()
    let isOpen = (greatest == nil && least ?? 0 >= 1e9) || (least == nil && greatest ?? 0 <= -1e9)
    let reach = max(abs(least ?? 0), abs(greatest ?? 0))
    let digits = (9..<18).first { reach < Double(Self.powers[$0]) }
    let fraction = integersOnly || isOpen ? 0 : 18 - (digits ?? 18)
    let limit: Int128 = 999_999_999_999_999_999
    var (lower, upper) = fraction == 0 ? (Int128(Int64.min), Int128(Int64.max)) : (-limit, limit)
    if let value = schema["minimum"] { lower = max(lower, Self.scaled(value, fraction, .up)) }
    if let value = schema["maximum"] { upper = min(upper, Self.scaled(value, fraction, .down)) }
    if let value = schema["exclusiveMinimum"] { lower = max(lower, Self.beside(value, fraction, .up)) }
    if let value = schema["exclusiveMaximum"] { upper = min(upper, Self.beside(value, fraction, .down)) }
    let step = Self.step(schema["multipleOf"], Self.powers[fraction])
    self.init(
      fractionDigits: fraction, integerDigits: fraction == 0 ? 19 : 18 - fraction, lower: lower, upper: upper,
      step: step)
  }

  /// A bound in units of the last of `digits` digits after the point, rounded `up` or `down` where it has more.
  private static func scaled(_ value: JSON, _ digits: Int, _ rule: FloatingPointRoundingRule) -> Int128 {
    if let whole = value.integerValue { return Int128(whole) * powers[digits] }
    // Far beyond what is written, and far from overflowing.
    let bound = max(-1e20, min(1e20, value.doubleValue ?? 0))
    // Its decimal says what it is: 8.3 · 10⁹ in doubles is above 8300000000.
    let parts = PlainDecimal.text(of: bound.magnitude).split(separator: ".")
    let fraction = parts.count > 1 ? parts[1] : ""
    let padding = String(repeating: "0", count: max(0, digits - fraction.count))
    var units = Int128(parts[0] + fraction.prefix(digits) + padding) ?? 0
    if fraction.count > digits, (rule == .up) == (bound > 0) { units += 1 }
    return bound < 0 ? -units : units
  }

  /// The first number that is read as one above (`up`) or below a bound.
  private static func beside(_ value: JSON, _ digits: Int, _ rule: FloatingPointRoundingRule) -> Int128 {
    if digits == 0, let whole = value.integerValue { return Int128(whole) + (rule == .up ? 1 : -1) }
    let bound = value.doubleValue ?? 0
    return scaled(.number(rule == .up ? bound.nextUp : bound.nextDown), digits, rule)
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
