package import Topics

/// How answers write values.
package enum AnswerText {
  /// Compact JSON, but small numbers without an exponent where nine digits behind the point suffice: the grammar has none.
  package static func text(of value: JSON) -> String {
    switch value {
    case .number(let number) where number.magnitude < 1:
      let plain = PlainDecimal.text(of: number.magnitude)
      return plain.utf8.count <= "0.".utf8.count + 9 ? (number < 0 ? "-" : "") + plain : value.text
    case .array(let elements): return "[" + elements.map { text(of: $0) }.joined(separator: ",") + "]"
    case .object(let object):
      return "{" + object.map { JSON.string($0.key).text + ":" + text(of: $0.value) }.joined(separator: ",") + "}"
    default: return value.text
    }
  }
}

/// Numbers as decimals without an exponent.
package enum PlainDecimal {
  /// The shortest decimal that names `number`, which is finite: `0.0000001` where JSON has `1e-7`.
  package static func text(of number: Double) -> String {
    let text = JSON.number(number).text
    guard let mark = text.firstIndex(of: "e"), let exponent = Int(text[text.index(after: mark)...]) else { return text }
    let sign = number < 0 ? "-" : ""
    let digits = text[..<mark].filter(\.isNumber)
    // JSON has an exponent where the first digit is the seventh behind the point or later, or the 22nd before it or earlier.
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    return sign + digits + String(repeating: "0", count: exponent + 1 - digits.count)
  }
}
