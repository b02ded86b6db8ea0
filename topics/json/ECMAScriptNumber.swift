/// Numbers as ECMAScript's `Number.prototype.toString` writes them, which is what RFC 8785 asks for.
///
/// Reference: ECMA-262, Number::toString (radix 10). Swift's `description` gives the shortest digits that name the double,
/// the closest of them where several do; only their arrangement differs.
enum ECMAScriptNumber {
  /// The text in ASCII, or nil when the number is not finite.
  static func text(of number: Double) -> [UInt8]? {
    guard number.isFinite else { return nil }
    if number == 0 { return [0x30] }
    var (digits, point) = decimal(number.magnitude)
    let count = digits.count
    var result: [UInt8] = number < 0 ? [0x2D] : []
    switch point {
    case _ where point >= count && point <= 21:
      result += digits + [UInt8](repeating: 0x30, count: point - count)
    case 1...21:
      result += digits[..<point] + [0x2E] + digits[point...]
    case -5...0:
      result += [0x30, 0x2E] + [UInt8](repeating: 0x30, count: -point) + digits
    default:
      let first = digits.removeFirst()
      result.append(first)
      if !digits.isEmpty { result += [0x2E] + digits }
      result += [0x65, point > 0 ? 0x2B : 0x2D]
      result += Array(String(abs(point - 1)).utf8)
    }
    return result
  }

  /// The shortest digits (no zero at either end) and where the decimal point lies relative to their start.
  static func decimal(_ magnitude: Double) -> (digits: [UInt8], point: Int) {
    var digits: [UInt8] = []
    var point: Int?
    var exponent = 0
    var text = Substring(magnitude.description)
    if let mark = text.firstIndex(of: "e") {
      exponent = Int(text[text.index(after: mark)...]) ?? 0
      text = text[..<mark]
    }
    for byte in text.utf8 {
      if byte == 0x2E { point = digits.count } else { digits.append(byte) }
    }
    var position = (point ?? digits.count) + exponent
    let leading = digits.prefix { $0 == 0x30 }.count
    digits.removeFirst(leading)
    position -= leading
    while digits.last == 0x30 { digits.removeLast() }
    return (digits, position)
  }
}
