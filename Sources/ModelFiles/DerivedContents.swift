import CKernels
import Topics

/// The contents of a derived file, mapped and verified.
///
/// `@unchecked Sendable`: the bytes are read-only memory of an immutable owner.
package final class DerivedContents: @unchecked Sendable {
  /// The bytes; valid as long as this object lives.
  package let bytes: UnsafeRawBufferPointer
  /// The path, for messages.
  package var path: String { file.name }
  private let file: MappedFile

  /// Maps a file that is there and whole; nil for anything else.
  init?(_ path: String, heading: [UInt8]) {
    guard let file = try? MappedFile(path: path, mustBePrivate: true) else { return nil }
    let (bytes, end) = (file.bytes, file.bytes.count - 32)
    retort_prefer_large_pages(bytes.baseAddress, bytes.count)
    guard end >= heading.count, bytes.prefix(heading.count).elementsEqual(heading),
      Digest.sha256(UnsafeRawBufferPointer(rebasing: bytes[..<end])) == Digest(bytes: bytes[end...])
    else { return nil }
    retort_gather_large_pages(bytes.baseAddress, bytes.count)
    self.file = file
    self.bytes = UnsafeRawBufferPointer(rebasing: bytes[heading.count..<end])
  }
}
