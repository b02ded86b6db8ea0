/// Where JSON stands in a text: places of values, as byte ranges.
package enum JSONText {
  /// A string, number, truth value or null in an object, where it stands.
  package struct Scalar: Sendable, Hashable {
    /// The way to it (RFC 6901).
    package let pointer: String
    /// Its bytes; of a string, those between the quotes.
    package let range: Range<Int>
    /// Whether it is a string.
    package let isString: Bool
  }

  /// How many opening braces are tried, from the last one on.
  private static let tries = 64

  /// The last place in a text where an object is written that equals `object`; nil where there is none.
  package static func range(of object: JSONObject, in text: [UInt8]) -> Range<Int>? {
    var start = text.endIndex
    for _ in 0..<tries {
      guard let brace = text[..<start].lastIndex(of: UInt8(ascii: "{")) else { return nil }
      start = brace
      guard let end = end(ofObjectAt: start, in: text) else { continue }
      if let found = try? JSON.parse(text[start..<end]), found == .object(object) { return start..<end }
    }
    return nil
  }

  /// The end of an object by its braces alone, those in strings left out.
  private static func end(ofObjectAt start: Int, in text: [UInt8]) -> Int? {
    var (depth, position) = (0, start)
    while position < text.count {
      switch text[position] {
      case UInt8(ascii: "\""): position = endOfString(at: position, in: text) - 1
      case UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "}"):
        depth -= 1
        if depth == 0 { return position + 1 }
      default: break
      }
      position += 1
    }
    return nil
  }

  /// Behind the quote that closes the string at `start`; at the latest the end of the text.
  private static func endOfString(at start: Int, in text: [UInt8]) -> Int {
    var position = start + 1
    while position < text.count, text[position] != UInt8(ascii: "\"") {
      position += text[position] == UInt8(ascii: "\\") ? 2 : 1
    }
    return min(position + 1, text.count)
  }

  /// The scalars of the valid JSON object that stands in `range`, in order.
  package static func scalars(in text: [UInt8], _ range: Range<Int>) -> [Scalar] {
    var walk = Walk(text: text, position: range.lowerBound, end: range.upperBound)
    walk.value("")
    return walk.scalars
  }

  /// A walk over JSON that is known to be valid; on any other it ends early.
  private struct Walk {
    let text: [UInt8]
    var position: Int
    let end: Int
    var scalars: [Scalar] = []

    mutating func value(_ pointer: String) {
      skipSpace()
      guard position < end else { return }
      switch text[position] {
      case UInt8(ascii: "{"):
        members { walk in
          let key = walk.string()
          let name = (try? JSON.parse(walk.text[key]))?.stringValue ?? ""
          walk.value(pointer + "/" + JSONText.escaped(name))
        }
      case UInt8(ascii: "["):
        var index = 0
        members { walk in
          walk.value(pointer + "/\(index)")
          index += 1
        }
      case UInt8(ascii: "\""):
        let quoted = string()
        scalars.append(
          Scalar(
            pointer: pointer, range: quoted.lowerBound + 1..<max(quoted.lowerBound + 1, quoted.upperBound - 1),
            isString: true))
      default:
        let start = position
        while position < end, !",]} \t\r\n".utf8.contains(text[position]) { position += 1 }
        scalars.append(Scalar(pointer: pointer, range: start..<position, isString: false))
      }
    }

    /// What stands between brackets, with commas and colons between.
    private mutating func members(_ member: (inout Walk) -> Void) {
      position += 1
      while position < end {
        skipSpace()
        guard position < end, !"]}".utf8.contains(text[position]) else { break }
        let before = position
        member(&self)
        guard position > before else { break }
      }
      position += 1
    }

    private mutating func string() -> Range<Int> {
      let start = position
      position = JSONText.endOfString(at: start, in: text)
      return start..<position
    }

    private mutating func skipSpace() {
      while position < end, ",: \t\r\n".utf8.contains(text[position]) { position += 1 }
    }
  }

  /// A name as a step of a pointer.
  package static func escaped(_ name: String) -> String {
    var result = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "~": result += "~0"
      case "/": result += "~1"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
