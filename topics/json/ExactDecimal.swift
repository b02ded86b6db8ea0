/// The decimal that a JSON number names: `mantissa` · 10^`exponent`, without its sign.
///
/// JSON's numbers are decimals. A double keeps up to 15 of their digits, and its shortest text gives them back, where
/// arithmetic on the double itself does not: 0.3 / 0.1 is 2.9999999999999996.
struct ExactDecimal: Hashable {
  /// Not divisible by ten, or zero.
  let mantissa: UInt64
  let exponent: Int

  /// The decimal of a number; nil for what is no number.
  init?(_ value: JSON) {
    switch value {
    case .integer(let whole): self.init(whole.magnitude, 0)
    case .number(let number):
      // At most 17 digits: they fit.
      let (digits, point) = ECMAScriptNumber.decimal(number.magnitude)
      self.init(digits.reduce(0) { $0 * 10 + UInt64($1 - 0x30) }, point - digits.count)
    default: return nil
    }
  }

  private init(_ mantissa: UInt64, _ exponent: Int) {
    var (mantissa, exponent) = (mantissa, mantissa == 0 ? 0 : exponent)
    while mantissa != 0, mantissa % 10 == 0 {
      mantissa /= 10
      exponent += 1
    }
    self.mantissa = mantissa
    self.exponent = exponent
  }

  /// Whether this is a whole multiple of `step`, exactly; nothing but zero is one of zero.
  func isMultiple(of step: ExactDecimal) -> Bool {
    guard mantissa != 0 else { return true }
    guard step.mantissa != 0 else { return false }
    var shift = exponent - step.exponent
    if shift >= 0 {
      var remainder = mantissa % step.mantissa
      // Ten to the 64th holds every factor of two and of five that a 64-bit step can have.
      for _ in 0..<min(shift, 64) where remainder != 0 {
        remainder = step.mantissa.dividingFullWidth(remainder.multipliedFullWidth(by: 10)).remainder
      }
      return remainder == 0
    }
    var divisor = step.mantissa
    while shift < 0 {
      let (product, overflow) = divisor.multipliedReportingOverflow(by: 10)
      if overflow { return false }
      divisor = product
      shift += 1
    }
    return mantissa % divisor == 0
  }
}
