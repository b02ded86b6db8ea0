import Foundation
import Topics

/// Results go to standard output, everything else to standard error.
enum Output {
  /// A result for a person.
  static func print(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
  }

  /// A result for a program: one line of JSON.
  static func print(_ json: JSON) {
    FileHandle.standardOutput.write(Data(json.bytes + [0x0A]))
  }

  /// Anything that is not a result.
  static func note(_ text: String) {
    write(text + "\n")
  }

  /// An error, as one line.
  static func complain(_ text: String) {
    write("retort: \(text)\n")
  }

  /// Bytes to standard error.
  static func write(_ text: String) {
    FileHandle.standardError.write(Data(text.utf8))
  }
}
