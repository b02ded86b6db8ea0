/// Where a string value that copies a piece of the request has got to, in its JSON-escaped form.
///
/// Escapes are those that JSON writers use: `\"`, `\\`, `\b`, `\t`, `\n`, `\f`, `\r`, and `\u00xx` in lower case for other control
/// characters. A value starts and ends at a character's boundary and does not start with white space; where whole words are asked
/// for, it starts and ends with one.
struct PieceCursor: Hashable {
  /// The state in the request's automaton.
  var state: Int32
  /// Unicode scalars so far.
  var scalars: Int32 = 0
  /// Bytes that the scalar under way still needs.
  var pending: UInt8 = 0
  /// 0: outside an escape; 1: after the backslash; 2…5: after that many characters of `\uXXXX`.
  var escape: UInt8 = 0
  /// The hexadecimal digits of the escape so far, as a number.
  var code: UInt8 = 0

  /// Where values begin.
  init(in context: RequestContext, minimum: Int32, maximum: Int32) {
    state = context.cutsWords(minimum: minimum, maximum: maximum) ? context.text.wordStart : 0
  }

  /// Whether the closing quote may stand here.
  func canClose(in context: RequestContext, minimum: Int32, maximum: Int32) -> Bool {
    guard pending == 0, escape == 0, scalars >= minimum else { return false }
    return scalars == 0 || !context.cutsWords(minimum: minimum, maximum: maximum) || context.text.isWordEnd(state)
  }

  /// Reads one byte of the escaped form (not the closing quote); false, and an undefined cursor, when it leads nowhere.
  @inline(__always)
  mutating func advance(_ byte: UInt8, in text: SubstringAutomaton, minimum: Int32, maximum: Int32) -> Bool {
    if escape == 0 {
      if byte == UInt8(ascii: "\\") {
        escape = 1
        return pending == 0 && canEscape(in: text, minimum: minimum, maximum: maximum)
      }
      return byte >= 0x20 && take(byte, in: text, minimum: minimum, maximum: maximum)
    }
    return advanceEscape(byte, in: text, minimum: minimum, maximum: maximum)
  }

  /// Reads one byte of the text itself.
  @inline(__always)
  private mutating func take(_ byte: UInt8, in text: SubstringAutomaton, minimum: Int32, maximum: Int32) -> Bool {
    if pending > 0 {
      guard byte & 0xC0 == 0x80 else { return false }
      pending -= 1
    } else {
      guard byte & 0xC0 != 0x80, scalars < maximum else { return false }
      if scalars == 0, SubstringAutomaton.isSpace(byte) { return false }
      scalars += 1
      pending = byte < 0x80 ? 0 : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3
    }
    state = text.advance(state, byte)
    return state >= 0 && scalars + text.following(state) >= minimum
  }

  /// The character after the backslash that stands for `byte`, 0 where only `\u00xx` does, or nil where none is needed.
  private static func short(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x22, 0x5C: byte
    case 0x08: UInt8(ascii: "b")
    case 0x09: UInt8(ascii: "t")
    case 0x0A: UInt8(ascii: "n")
    case 0x0C: UInt8(ascii: "f")
    case 0x0D: UInt8(ascii: "r")
    case 0..<0x20: 0
    default: nil
    }
  }

  private static let escapable: [UInt8] = Array(0..<0x20) + [0x22, 0x5C]

  private func canEscape(in text: SubstringAutomaton, minimum: Int32, maximum: Int32) -> Bool {
    Self.escapable.contains { leads($0, in: text, minimum: minimum, maximum: maximum) }
  }

  private func leads(_ byte: UInt8, in text: SubstringAutomaton, minimum: Int32, maximum: Int32) -> Bool {
    var probe = self
    return probe.take(byte, in: text, minimum: minimum, maximum: maximum)
  }

  private mutating func advanceEscape(
    _ byte: UInt8, in text: SubstringAutomaton, minimum: Int32, maximum: Int32
  ) -> Bool {
    func legal(_ wanted: (UInt8) -> Bool) -> Bool {
      Self.escapable.contains { candidate in
        Self.short(candidate) == 0 && wanted(candidate)
          && leads(candidate, in: text, minimum: minimum, maximum: maximum)
      }
    }
    switch escape {
    case 1:
      if byte == UInt8(ascii: "u") {
        escape = 2
        return legal { _ in true }
      }
      guard let source = Self.escapable.first(where: { Self.short($0) == byte && byte != 0 }) else { return false }
      escape = 0
      return take(source, in: text, minimum: minimum, maximum: maximum)
    case 2, 3:
      escape += 1
      return byte == UInt8(ascii: "0")
    case 4:
      guard byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1") else { return false }
      escape = 5
      code = (byte - UInt8(ascii: "0")) << 4
      let high = code
      return legal { $0 & 0xF0 == high }
    default:
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      default: return false
      }
      let source = code | digit
      guard Self.short(source) == 0 else { return false }
      escape = 0
      code = 0
      return take(source, in: text, minimum: minimum, maximum: maximum)
    }
  }
}
