/// A JSON number within bounds, decided digit by digit.
///
/// Values are held as whole multiples of 10^-`fractionDigits`, so that "can these digits still become a legal number?" is exact
/// integer arithmetic. Whole numbers have 64 bits, others at most 18 significant digits;
/// sums are of 128, so that none overflows.
struct NumberRule: Sendable, Hashable {
  /// Digits allowed after the point, at most 9; 0 for whole numbers.
  let fractionDigits: Int
  /// Digits allowed before the point.
  let integerDigits: Int
  /// Least legal value, scaled.
  let lower: Int128
  /// Greatest legal value, scaled.
  let upper: Int128
  /// Legal values are multiples of this, scaled; at least 1.
  let step: Int128

  /// What has been written of a number.
  struct Cursor: Hashable {
    /// 0 nothing, 1 the minus, 2 digits before the point, 3 the point, 4 digits after it.
    var phase: Int32 = 0
    var isNegative = false
    /// Digits in this phase.
    var digits: Int32 = 0
    /// All digits so far as one number.
    var mantissa: UInt64 = 0
  }

  /// The powers of ten up to the 19th.
  static let powers: [Int128] = (0...19).map { exponent in (0..<exponent).reduce(1) { value, _ in value * 10 } }

  /// The rule of given scaled bounds, or nil when no number is within them.
  init?(fractionDigits: Int, integerDigits: Int, lower: Int128, upper: Int128, step: Int128) {
    self.fractionDigits = fractionDigits
    self.integerDigits = integerDigits
    self.lower = lower
    self.upper = upper
    self.step = max(step, 1)
    guard canStart else { return nil }
  }

  private var canStart: Bool {
    [false, true].contains { negative in
      let (low, high) = absoluteRange(negative)
      return containsMultiple(low, high)
    }
  }

  private func absoluteRange(_ negative: Bool) -> (Int128, Int128) {
    negative ? (max(1, -upper), -lower) : (max(0, lower), upper)
  }

  private func containsMultiple(_ low: Int128, _ high: Int128) -> Bool {
    guard low <= high else { return false }
    let remainder = low % step
    if remainder == 0 { return true }
    return step - remainder <= high - low
  }

  private func reaches(_ low: Int128, _ high: Int128, _ negative: Bool) -> Bool {
    let (least, greatest) = absoluteRange(negative)
    return containsMultiple(max(low, least), min(high, greatest))
  }

  /// Whether a legal number begins with the digits, where those that are yet to come make up less than `factor`.
  private func reaches(_ cursor: Cursor, _ factor: Int128) -> Bool {
    let least = Int128(cursor.mantissa) * factor
    return reaches(least, least + factor - 1, cursor.isNegative)
  }

  /// Whether what is written can still become a legal number.
  private func isAlive(_ cursor: Cursor) -> Bool {
    let powers = Self.powers
    switch cursor.phase {
    case 0: return true
    case 1: return reaches(0, .max, true)
    case 2:
      let more = cursor.mantissa == 0 ? 0 : integerDigits - Int(cursor.digits)
      for extra in 0...max(0, more) {
        let factor = powers[extra] * powers[fractionDigits]
        if reaches(cursor, factor) { return true }
      }
      return false
    default:
      let written = cursor.phase == 4 ? Int(cursor.digits) : 0
      let factor = powers[fractionDigits - written]
      return reaches(cursor, factor)
    }
  }

  /// Whether the number may end here.
  func canEnd(_ cursor: Cursor) -> Bool {
    guard cursor.phase == 2 || cursor.phase == 4 else { return false }
    let written = cursor.phase == 4 ? Int(cursor.digits) : 0
    let value = Int128(cursor.mantissa) * Self.powers[fractionDigits - written]
    return reaches(value, value, cursor.isNegative)
  }

  /// The cursor after `byte`, or nil when no legal number begins like that.
  func advance(_ cursor: Cursor, _ byte: UInt8) -> Cursor? {
    var next = cursor
    switch (cursor.phase, byte) {
    case (0, UInt8(ascii: "-")):
      next.phase = 1
      next.isNegative = true
    case (0, UInt8(ascii: "0")...UInt8(ascii: "9")), (1, UInt8(ascii: "0")...UInt8(ascii: "9")):
      next.phase = 2
      next.digits = 1
      next.mantissa = UInt64(byte - UInt8(ascii: "0"))
    case (2, UInt8(ascii: "0")...UInt8(ascii: "9")):
      guard cursor.mantissa != 0, Int(cursor.digits) < integerDigits else { return nil }
      next.digits += 1
      next.mantissa = cursor.mantissa * 10 + UInt64(byte - UInt8(ascii: "0"))
    case (2, UInt8(ascii: ".")):
      guard fractionDigits > 0 else { return nil }
      next.phase = 3
      next.digits = 0
    case (3, UInt8(ascii: "0")...UInt8(ascii: "9")), (4, UInt8(ascii: "0")...UInt8(ascii: "9")):
      guard Int(cursor.digits) < fractionDigits else { return nil }
      next.phase = 4
      next.digits += 1
      next.mantissa = cursor.mantissa * 10 + UInt64(byte - UInt8(ascii: "0"))
    default: return nil
    }
    return isAlive(next) ? next : nil
  }
}
