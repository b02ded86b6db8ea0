public import Topics

/// A file cut into chunks for the topic `artifacts`, and put together again.
public enum ChunkPlan {
  /// The number of chunks of a file.
  public static func count(bytes: Int64) -> Int {
    Int((bytes + Int64(ArtifactChunk.maximumBytes) - 1) / Int64(ArtifactChunk.maximumBytes))
  }

  /// The chunks of a file, in order, keyed `sha256/index`.
  public static func chunks(of bytes: [UInt8], digest: Digest) -> [ArtifactChunk] {
    stride(from: 0, to: bytes.count, by: ArtifactChunk.maximumBytes).enumerated().map { index, start in
      ArtifactChunk(
        digest: digest, index: index, bytes: Array(bytes[start..<min(start + ArtifactChunk.maximumBytes, bytes.count)]))
    }
  }

  /// The file that chunks make, checked against what the manifest says of it.
  ///
  /// - Parameters:
  ///   - chunks: by index; others of the same file may be among them.
  ///   - file: the file's size and SHA-256.
  /// - Throws: ``ReleaseError`` with `incomplete` or `bad_digest`.
  public static func assemble(_ chunks: [Int: [UInt8]], file: ManifestFile) throws(ReleaseError) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(min(file.bytes, 1 << 30)))
    for index in 0..<count(bytes: file.bytes) {
      guard let chunk = chunks[index] else {
        throw ReleaseError(
          .incomplete, "artifact \(file.sha256.hex)", expected: "\(count(bytes: file.bytes)) chunks in the log",
          found: "no chunk \(index)", advice: "release the model again")
      }
      bytes += chunk
    }
    try verify(bytes, file: file)
    return bytes
  }

  /// Checks a fetched file against the manifest.
  ///
  /// - Throws: ``ReleaseError`` with `bad_digest`.
  public static func verify(_ bytes: [UInt8], file: ManifestFile) throws(ReleaseError) {
    let found = Digest.sha256(bytes)
    guard Int64(bytes.count) == file.bytes, found == file.sha256 else {
      throw ReleaseError(
        .badDigest, "\(file.role.rawValue) file", expected: "\(file.bytes) bytes with SHA-256 \(file.sha256.hex)",
        found: "\(bytes.count) with \(found.hex)", advice: "fetch it again")
    }
  }
}
