/// The text of a request reduced to what tells two requests apart, so that duplicates fall on one side of a split.
///
/// Lower case, runs of white space folded into one space, none at the ends, and no marks `.`, `?`, `!` at the end. It does not
/// stem, translate or apply Unicode compatibility forms.
public enum NormalisedText {
  /// The normalised form of one text.
  public static func of(_ text: String) -> String {
    if let text = ofASCII(text) { return text }
    var scalars = String.UnicodeScalarView()
    var pendingSpace = false
    for scalar in text.lowercased().unicodeScalars {
      if scalar.properties.isWhitespace {
        pendingSpace = !scalars.isEmpty
      } else {
        if pendingSpace { scalars.append(" ") }
        pendingSpace = false
        scalars.append(scalar)
      }
    }
    while let last = scalars.last, last == "." || last == "?" || last == "!" || last == " " {
      scalars.removeLast()
    }
    return String(scalars)
  }

  /// The same for ASCII alone, where a byte is a character; nil for other texts. Most texts are, and properties of Unicode
  /// are dear.
  private static func ofASCII(_ text: String) -> String? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var pendingSpace = false
    for byte in text.utf8 {
      switch byte {
      case 0x80...: return nil
      // Tab to carriage return, and the space: Unicode's white space in ASCII.
      case 0x09...0x0D, 0x20: pendingSpace = !bytes.isEmpty
      default:
        if pendingSpace { bytes.append(0x20) }
        pendingSpace = false
        bytes.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
      }
    }
    while let last = bytes.last, last == 0x2E || last == 0x3F || last == 0x21 || last == 0x20 { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The normalised text of a conversation: what the user said, one line a message; everything said where no user spoke.
  public static func of(_ messages: [ChatMessage]) -> String {
    let asked = messages.filter { $0.role == .user }
    return (asked.isEmpty ? messages : asked).map { of($0.content) }.joined(separator: "\n")
  }
}
