import AsyncHTTPClient
import Foundation
public import MessageLog
import NIOCore
import NIOHTTP1
import Releases
public import Topics

/// Gets a release's files by the addresses in its manifest: `log:OFFSET` (chunks in the topic `artifacts`, from about that
/// offset on), `file:PATH`, `https:` or `http:` on loopback. What it returns has the manifest's size and SHA-256.
public struct ArtifactFetcher: Sendable {
  private let log: any MessageLog
  private let names: TopicNames
  /// The largest file that is fetched, in bytes; 8 GiB.
  public static let maximumBytes: Int64 = 8 << 30

  /// A fetcher over a log.
  public init(log: any MessageLog, names: TopicNames) {
    self.log = log
    self.names = names
  }

  /// The bytes of a file.
  ///
  /// - Throws: ``ClientError`` with `fetch`, or `ReleaseError` with `incomplete` or `bad_digest`.
  public func fetch(_ file: ManifestFile) async throws -> [UInt8] {
    guard file.bytes <= Self.maximumBytes else {
      throw ClientError(
        .fetch, "\(file.role.rawValue) file", expected: "at most \(Self.maximumBytes) bytes",
        found: "\(file.bytes) in the manifest", advice: "release a smaller model")
    }
    if file.uri.hasPrefix("log:") {
      return try await fromLog(file, hint: Int64(file.uri.dropFirst(4)) ?? 0)
    }
    let bytes: [UInt8]
    if file.uri.hasPrefix("file:") {
      bytes = try fromFile(file, path: String(file.uri.dropFirst(5)))
    } else {
      bytes = try await fromHTTP(file)
    }
    try ChunkPlan.verify(bytes, file: file)
    return bytes
  }

  /// Checks that the log has the files of a release that are said to lie there, and has not been told to remove them; and that a
  /// store which is on this machine has its. Whether those elsewhere can be reached is for each subscriber's machine to say.
  ///
  /// - Throws: ``ClientError`` with `not_found`.
  public func check(_ manifest: Manifest) async throws {
    if let file = manifest.files.first(where: Self.isGone(fromStore:)) {
      throw Self.missing(manifest, "its files in the store", "no \(file.role.rawValue) file \(file.uri.dropFirst(5))")
    }
    let files = manifest.files.filter { $0.uri.hasPrefix("log:") }
    var missing: [Digest: Set<Int>] = [:]
    for file in files { missing[file.sha256] = Set(0..<ChunkPlan.count(bytes: min(file.bytes, Self.maximumBytes))) }
    try await TopicScan.each(log: log, topic: names.artifacts) { record in
      guard let key = record.key, let place = ArtifactChunk.place(key: key) else { return }
      if record.isTombstone {
        missing[place.digest]?.insert(place.index)
      } else {
        missing[place.digest]?.remove(place.index)
      }
    }
    guard let file = files.first(where: { missing[$0.sha256]?.isEmpty == false }) else { return }
    let chunk = missing[file.sha256]?.min() ?? 0
    throw Self.missing(manifest, "its files in the log", "no chunk \(chunk) of the \(file.role.rawValue) file")
  }

  private static func missing(_ manifest: Manifest, _ expected: String, _ found: String) -> ClientError {
    ClientError(
      .notFound, "\(manifest.model) version \(manifest.version)", expected: expected, found: found,
      advice: "choose another version: `retort models gc` removes the files of old ones")
  }

  /// Whether a file is addressed in a folder of files that are named by their SHA-256, which is here, and is not in it.
  private static func isGone(fromStore file: ManifestFile) -> Bool {
    let place = "/\(file.sha256.hex.prefix(2))/\(file.sha256.hex)"
    guard file.uri.hasPrefix("file:"), file.uri.hasSuffix(place) else { return false }
    let path = String(file.uri.dropFirst(5))
    return FileManager.default.fileExists(atPath: String(path.dropLast(place.count)))
      && !FileManager.default.fileExists(atPath: path)
  }

  // MARK: - The log

  private func fromLog(_ file: ManifestFile, hint: Int64) async throws -> [UInt8] {
    let partition = TopicPartition(topic: names.artifacts, partition: 0)
    let needed = ChunkPlan.count(bytes: file.bytes)
    guard needed > 0 else { return try ChunkPlan.assemble([:], file: file) }
    var chunks: [Int: [UInt8]] = [:]
    let low = try await log.watermarks(of: partition).low
    // The offset is a hint: after a move to another log the chunks lie elsewhere, and are looked for from the beginning.
    for start in hint > low ? [hint, low] : [low] {
      try await collect(&chunks, of: file.sha256, needed: needed, partition: partition, from: start)
      if chunks.count == needed { break }
    }
    do {
      return try ChunkPlan.assemble(chunks, file: file)
    } catch {
      guard error.code == .badDigest else { throw error }
    }
    // A chunk may have been put right by a later copy: as the log's compaction has it, the last one counts.
    var last: [Int: [UInt8]] = [:]
    try await collect(&last, of: file.sha256, needed: needed, partition: partition, from: low, toTheEnd: true)
    return try ChunkPlan.assemble(last, file: file)
  }

  /// Takes the first copy of each chunk until there is one of all; or the last, up to the end of the topic.
  private func collect(
    _ chunks: inout [Int: [UInt8]], of digest: Digest, needed: Int, partition: TopicPartition, from start: Int64,
    toTheEnd: Bool = false
  ) async throws {
    let end = try await log.watermarks(of: partition).high
    guard start < end else { return }
    let reader = try await log.reader(
      of: [partition: .offset(start)],
      options: ReaderOptions(onLostRange: .skip, maximumPrefetch: 16, endNotice: .milliseconds(10)))
    do {
      while toTheEnd || chunks.count < needed, await reader.positions[partition] ?? end < end {
        for record in try await reader.next(maximum: 16, timeout: .milliseconds(200)) {
          guard let key = record.key, let place = ArtifactChunk.place(key: key), place.digest == digest,
            place.index < needed, let value = record.value, value.count <= ArtifactChunk.maximumBytes
          else { continue }
          if toTheEnd || chunks[place.index] == nil { chunks[place.index] = value }
        }
      }
    } catch {
      await reader.close()
      throw error
    }
    await reader.close()
  }

  // MARK: - Elsewhere

  private func fromFile(_ file: ManifestFile, path: String) throws -> [UInt8] {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    guard let size = (attributes?[.size] as? NSNumber)?.int64Value else {
      throw ClientError(
        .fetch, path, expected: "the \(file.role.rawValue) file", found: "nothing that can be read",
        advice: "mount the store here or release with `release.store: log`")
    }
    guard size == file.bytes, let data = FileManager.default.contents(atPath: path) else {
      throw ClientError(
        .fetch, path, expected: "\(file.bytes) bytes", found: "\(size)", advice: "restore the file or release again")
    }
    return [UInt8](data)
  }

  private func fromHTTP(_ file: ManifestFile) async throws -> [UInt8] {
    let address = URLComponents(string: file.uri)
    guard
      address?.scheme == "https" || address?.scheme == "http" && ["127.0.0.1", "localhost"].contains(address?.host)
    else {
      throw ClientError(
        .fetch, "\(file.role.rawValue) file", expected: "an address of the form log:, file: or https:",
        found: "\(file.uri.prefix(200))", advice: "correct release.store")
    }
    do {
      return try await body(of: file)
    } catch let error where error is ClientError || error is CancellationError {
      throw error
    } catch is NIOTooManyBytesError {
      throw ClientError(
        .fetch, file.uri, expected: "\(file.bytes) bytes", found: "more", advice: "restore the file or release again")
    } catch {
      // A connection that is refused or breaks is an error of the system's, of TLS or of the protocol's, as the case may be.
      let found = (error as? HTTPClientError)?.shortDescription ?? String(describing: error)
      throw ClientError(
        .fetch, file.uri, expected: "an answer", found: found, advice: "look at that server", isRetriable: true)
    }
  }

  private func body(of file: ManifestFile) async throws -> [UInt8] {
    let response = try await HTTPClient.shared.execute(HTTPClientRequest(url: file.uri), timeout: .minutes(10))
    guard response.status == .ok else {
      throw ClientError(
        .fetch, file.uri, expected: "status 200", found: "\(response.status.code)", advice: "look at that server",
        isRetriable: true)
    }
    let body = try await response.body.collect(upTo: Int(file.bytes))
    return [UInt8](buffer: body)
  }
}
