/// A JSON number within bounds, decided digit by digit.
///
/// Values are held as whole multiples of 10^-`fractionDigits`, so that "can these digits still become a legal number?" is exact
/// integer arithmetic. At most 18 significant digits are written, which 64 bits hold.
struct NumberRule: Sendable, Hashable {
  /// Digits allowed after the point: 0 (integers) or 9.
  let fractionDigits: Int
  /// Digits allowed before the point.
  let integerDigits: Int
  /// Least legal value, scaled.
  let lower: Int64
  /// Greatest legal value, scaled.
  let upper: Int64
  /// Legal values are multiples of this, scaled; at least 1.
  let step: Int64

  /// What has been written of a number.
  struct Cursor: Hashable {
    /// 0 nothing, 1 the minus, 2 digits before the point, 3 the point, 4 digits after it.
    var phase: Int32 = 0
    var isNegative = false
    /// Digits in this phase.
    var digits: Int32 = 0
    /// All digits so far as one number.
    var mantissa: Int64 = 0
  }

  private static let powers: [Int64] = (0...18).map { exponent in (0..<exponent).reduce(1) { value, _ in value * 10 } }

  /// The rule of given scaled bounds, or nil when no number is within them.
  init?(fractionDigits: Int, integerDigits: Int, lower: Int64, upper: Int64, step: Int64) {
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

  private func absoluteRange(_ negative: Bool) -> (Int64, Int64) {
    negative ? (max(1, -upper), -lower) : (max(0, lower), upper)
  }

  private func containsMultiple(_ low: Int64, _ high: Int64) -> Bool {
    guard low <= high else { return false }
    let remainder = low % step
    if remainder == 0 { return true }
    return step - remainder <= high - low
  }

  private func reaches(_ low: Int64, _ high: Int64, _ negative: Bool) -> Bool {
    let (least, greatest) = absoluteRange(negative)
    return containsMultiple(max(low, least), min(high, greatest))
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
        if reaches(cursor.mantissa * factor, (cursor.mantissa + 1) * factor - 1, cursor.isNegative) { return true }
      }
      return false
    default:
      let written = cursor.phase == 4 ? Int(cursor.digits) : 0
      let factor = powers[fractionDigits - written]
      return reaches(cursor.mantissa * factor, (cursor.mantissa + 1) * factor - 1, cursor.isNegative)
    }
  }

  /// Whether the number may end here.
  func canEnd(_ cursor: Cursor) -> Bool {
    guard cursor.phase == 2 || cursor.phase == 4 else { return false }
    let written = cursor.phase == 4 ? Int(cursor.digits) : 0
    let value = cursor.mantissa * Self.powers[fractionDigits - written]
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
      next.mantissa = Int64(byte - UInt8(ascii: "0"))
    case (2, UInt8(ascii: "0")...UInt8(ascii: "9")):
      guard cursor.mantissa != 0, Int(cursor.digits) < integerDigits else { return nil }
      next.digits += 1
      next.mantissa = cursor.mantissa * 10 + Int64(byte - UInt8(ascii: "0"))
    case (2, UInt8(ascii: ".")):
      guard fractionDigits > 0 else { return nil }
      next.phase = 3
      next.digits = 0
    case (3, UInt8(ascii: "0")...UInt8(ascii: "9")), (4, UInt8(ascii: "0")...UInt8(ascii: "9")):
      guard Int(cursor.digits) < fractionDigits else { return nil }
      next.phase = 4
      next.digits += 1
      next.mantissa = cursor.mantissa * 10 + Int64(byte - UInt8(ascii: "0"))
    default: return nil
    }
    return isAlive(next) ? next : nil
  }
}
