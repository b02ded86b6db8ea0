import Topics

/// JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it, which is what chat templates' `tojson` means: a space after
/// each comma and colon, members in their order, floats as Python's `repr`. An integer beyond 64 bits is a float here.
enum PythonJSON {
  static func text(_ value: JSON) -> String {
    switch value {
    case .null: "null"
    case .bool(let flag): flag ? "true" : "false"
    case .integer(let number): String(number)
    case .number(let number): text(number)
    case .string(let text): quoted(text)
    case .array(let elements): "[" + elements.map(text).joined(separator: ", ") + "]"
    case .object(let object):
      "{" + object.map { quoted($0.key) + ": " + text($0.value) }.joined(separator: ", ") + "}"
    }
  }

  /// Both write the shortest digits that give the number again; Python takes an exponent from 1e16 on, Swift here and there.
  private static func text(_ number: Double) -> String {
    guard number.isFinite else { return number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity" }
    if number == number.rounded(), abs(number) < 1e16 {
      return (number.sign == .minus && number == 0 ? "-0" : String(Int64(number))) + ".0"
    }
    return "\(number)"
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{c}": result += "\\f"
      case "\0"..."\u{1f}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
