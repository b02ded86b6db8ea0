extension JSONParser {
  private static let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
  ]

  /// Takes digits into `mantissa` while it holds them exactly; returns how many digits there were.
  private mutating func digits(_ mantissa: inout UInt64, _ isExact: inout Bool) throws(JSONError) -> Int {
    let start = position
    while position < end, bytes[position] >= 0x30, bytes[position] <= 0x39 {
      if mantissa < 922_337_203_685_477_580 {
        mantissa = mantissa * 10 + UInt64(bytes[position] - 0x30)
      } else {
        isExact = false
      }
      position += 1
    }
    guard position > start else { throw unexpected("a digit") }
    return position - start
  }

  mutating func number() throws(JSONError) -> JSON {
    let start = position
    let isNegative = bytes[position] == 0x2D
    if isNegative { position += 1 }
    var mantissa: UInt64 = 0
    var isExact = true
    if position < end, bytes[position] == 0x30 {
      position += 1
    } else {
      _ = try digits(&mantissa, &isExact)
    }
    var exponent = 0
    var isWhole = true
    if position < end, bytes[position] == 0x2E {
      isWhole = false
      position += 1
      exponent = -(try digits(&mantissa, &isExact))
    }
    if position < end, bytes[position] | 0x20 == 0x65 {
      isWhole = false
      exponent += try explicitExponent()
    }
    guard position - start <= 1_024 else { throw outOfRange(start) }
    if isWhole, isExact {
      return .integer(isNegative ? -Int64(mantissa) : Int64(mantissa))
    }
    // Clinger's fast path: both the mantissa and the power of ten are exact doubles, so one rounding is the right one.
    if isExact, mantissa <= 1 << 53, abs(exponent) <= 22 {
      let power = Self.powersOfTen[abs(exponent)]
      let magnitude = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
      return .number(isNegative ? -magnitude : magnitude)
    }
    return try slowNumber(start, isWhole: isWhole)
  }

  private mutating func explicitExponent() throws(JSONError) -> Int {
    position += 1
    var isNegative = false
    if position < end, bytes[position] == 0x2B || bytes[position] == 0x2D {
      isNegative = bytes[position] == 0x2D
      position += 1
    }
    var value: UInt64 = 0
    var isExact = true
    _ = try digits(&value, &isExact)
    let magnitude = Int(min(value, 1_000_000))
    return isNegative ? -magnitude : magnitude
  }

  private func outOfRange(_ start: Int) -> JSONError {
    JSONError(code: .numberOutOfRange, offset: start, detail: "the number is beyond the range of a double")
  }

  private func slowNumber(_ start: Int, isWhole: Bool) throws(JSONError) -> JSON {
    let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
    if isWhole, let value = Int64(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else { throw outOfRange(start) }
    return .number(value)
  }
}
