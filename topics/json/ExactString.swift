/// A string compared by its UTF-8 bytes.
///
/// Swift's own equality of strings holds for canonically equivalent texts ("é" in one code point or two); JSON's does not.
package struct ExactString: Hashable, Sendable {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (left: ExactString, right: ExactString) -> Bool { equal(left.text, right.text) }

  package static func equal(_ left: String, _ right: String) -> Bool {
    guard left.utf8.count == right.utf8.count else { return false }
    let same = left.utf8.withContiguousStorageIfAvailable { a in
      right.utf8.withContiguousStorageIfAvailable { b in a.elementsEqual(b) }
    }
    if let same = same ?? nil { return same }
    return left.utf8.elementsEqual(right.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    let done: Void? = text.utf8.withContiguousStorageIfAvailable { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    if done == nil {
      for byte in text.utf8 { hasher.combine(byte) }
    }
    hasher.combine(0xFF as UInt8)
  }
}
