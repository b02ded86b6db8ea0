import Foundation
import MessageLog
import Releases
import RetortClient
import Synchronization
import Testing
import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a subscriber does where the log or a store is slow, or away for a while.
@Suite struct TroubleTests {
  @Test("a release whose files cannot be read from the log for a moment is handed over by the next call")
  func away() async throws {
    let bench = try await FollowerTests.Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let follower = try bench.follower(over: TroubledLog(bench.log, awayOnce: bench.names.artifacts))
    let error = await #expect(throws: MessageLogError.self) { try await follower.next(timeout: .seconds(5)) }
    #expect(error?.code == .unavailable)
    #expect(try await follower.next(timeout: .seconds(5))?.manifest.version == 1)
    #expect(try await bench.adoptions().isEmpty)
  }

  @Test("a refusal that could not be said is said by the next call")
  func unsaid() async throws {
    let bench = try await FollowerTests.Bench()
    try await bench.deploy(bench.manifest(version: 1, probes: bench.probes()), epoch: 1)
    let follower = try bench.follower(over: TroubledLog(bench.log, awayOnce: bench.names.adoptions))
    await #expect(throws: MessageLogError.self) { try await follower.next(timeout: .seconds(5)) }
    #expect(try await bench.adoptions().isEmpty)
    #expect(try await follower.next(timeout: .milliseconds(100)) == nil)
    #expect(try await bench.adoptions().map(\.code) == ["incomplete"])
  }

  @Test("the newest deployment is that of all the log holds, however slowly they come")
  func slow() async throws {
    let bench = try await FollowerTests.Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    for version in 1...3 {
      try await bench.deploy(bench.manifest(version: version, probes: probes), epoch: Int64(version))
    }
    let follower = try bench.follower(over: TroubledLog(bench.log))
    #expect(try await follower.next(timeout: .zero)?.deployment.epoch == 3)
    #expect(try await bench.adoptions().isEmpty)
  }

  @Test(
    "who has a release to go on with waits shortly for a log that says nothing, and then as ever for what it shows",
    .timeLimit(.minutes(1)))
  func silent() async throws {
    let bench = try await FollowerTests.Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 1)
    let away = TroubledLog(bench.log, isSilent: true)
    let first = try bench.follower(over: away, firstAnswer: .zero)
    let awaited = Task { try await first.next(timeout: .seconds(5)) }
    await away.isAsked()
    away.speak()
    #expect(
      try await awaited.value?.manifest.version == 1, "where there is nothing to go on with, the log is waited for")
    await first.close()

    // A newer release, and a rollback.
    for (before, after, epoch) in [(1, 2, 2), (2, 1, 3)] {
      try await bench.deploy(bench.manifest(version: after, probes: probes), epoch: Int64(epoch))
      let away = TroubledLog(bench.log, isSilent: true)
      let follower = try bench.follower(over: away, firstAnswer: .zero)
      let error = await #expect(throws: MessageLogError.self) { try await follower.next(timeout: .seconds(5)) }
      #expect(error?.code == .unavailable && error?.isRetriable == true)
      #expect(try await follower.acceptedBefore()?.manifest.version == before)
      #expect(try await bench.adoptions().isEmpty)
      await follower.close()

      await away.isAsked()
      let shown = Task { try await follower.next(timeout: .seconds(5)) }
      await away.isAsked()
      away.speak()
      let release = try await shown.value
      #expect(release?.manifest.version == after && release?.deployment.epoch == Int64(epoch))
      await follower.close()
    }

    // A log that answers is in time.
    let present = try bench.follower(firstAnswer: .seconds(3_600))
    #expect(try await present.next(timeout: .seconds(5))?.deployment.epoch == 3)
  }

  @Test(
    "who ends says until when it ran, also in a task that is cancelled; a log that says nothing does not hold it up")
  func leaving() async throws {
    let bench = try await FollowerTests.Bench()
    let probes = try bench.probes()
    try await bench.publish(bench.weights)
    try await bench.publish(Probe.write(probes))
    try await bench.deploy(bench.manifest(version: 1, probes: probes), epoch: 7)
    let log = TroubledLog(bench.log)
    defer { log.speak() }
    let follower = try bench.follower(over: log)
    await follower.leave()
    #expect(try await bench.adoptions().isEmpty, "it has said nothing that could end")
    let release = try #require(try await follower.next(timeout: .seconds(5)))
    try await follower.acknowledge(release)
    log.fallSilent()
    await follower.leave(within: .zero)
    #expect(try await bench.adoptions().map(\.until) == [nil])
    await follower.close()

    let restarted = try bench.follower()
    let again = try #require(try await restarted.next(timeout: .seconds(5)))
    try await restarted.acknowledge(again)
    let ending = Task {
      while !Task.isCancelled { await Task.yield() }
      await restarted.leave(within: .seconds(3_600))
    }
    ending.cancel()
    await ending.value
    let last = try #require(try await bench.adoptions().last)
    #expect(last.until != nil && last.status == .adopted && last.subscriber == "a" && last.epoch == 7)
  }

  @Test("a store whose answer is none, or is longer than it should be, is no fault of the release's for good")
  func store() async throws {
    let bench = try await FollowerTests.Bench()
    func fetch(_ answer: String) async throws -> ClientError? {
      let server = try OneAnswer(answer)
      defer { withExtendedLifetime(server) {} }
      let file = ManifestFile(
        role: .card, format: "txt", bytes: 3, sha256: .sha256(Array("abc".utf8)),
        uri: "http://127.0.0.1:\(server.port)/file")
      return await #expect(throws: ClientError.self) {
        try await ArtifactFetcher(log: bench.log, names: bench.names).fetch(file)
      }
    }
    let elsewhere = ManifestFile(
      role: .card, format: "txt", bytes: 3, sha256: .sha256(Array("abc".utf8)),
      uri: "http://127.0.0.1.example.invalid/file")
    let refused = await #expect(throws: ClientError.self) {
      try await ArtifactFetcher(log: bench.log, names: bench.names).fetch(elsewhere)
    }
    #expect(refused?.isRetriable == false, "without encryption on loopback alone")
    let broken = try await fetch("this is not HTTP\r\n\r\n")
    #expect(broken?.code == .fetch && broken?.isRetriable == true, "\(String(describing: broken))")
    let longer = try await fetch("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd")
    #expect(longer?.code == .fetch && longer?.found == "more", "\(String(describing: longer))")
  }
}

/// A log in which one topic is away once, and whose readers hand over one record at a time and nothing every other time; a
/// silent one lets whoever asks for its topics or appends wait, cancelled or not.
private final class TroubledLog: MessageLog {
  private let log: any MessageLog
  private let away: Mutex<String?>
  /// Who waits for a silent log; nil where it speaks.
  private let waiting: Mutex<[CheckedContinuation<Void, Never>]?>
  private let (questions, asked) = AsyncStream.makeStream(of: Void.self)

  init(_ log: any MessageLog, awayOnce topic: String? = nil, isSilent: Bool = false) {
    self.log = log
    away = Mutex(topic)
    waiting = Mutex(isSilent ? [] : nil)
  }

  /// Waits until its topics have been asked for, or an append; the next call, until they have been once more.
  func isAsked() async {
    for await _ in questions { return }
  }

  /// Says nothing from now on.
  func fallSilent() { waiting.withLock { $0 = [] } }

  /// Answers whoever has asked, and who asks from now on.
  func speak() {
    let waiting = waiting.withLock { waiting in
      defer { waiting = nil }
      return waiting ?? []
    }
    for continuation in waiting { continuation.resume() }
  }

  private func beAsked() async {
    await withCheckedContinuation { continuation in
      let isSilent = waiting.withLock { waiting in
        waiting?.append(continuation)
        return waiting != nil
      }
      if !isSilent { continuation.resume() }
      asked.yield()
    }
  }

  private func meet(_ topic: String) throws {
    let isAway = away.withLock { away in
      defer { if away == topic { away = nil } }
      return away == topic
    }
    if isAway {
      throw MessageLogError(.unavailable, "the log is away", advice: "wait", isRetriable: true)
    }
  }

  var capabilities: LogCapabilities { log.capabilities }
  func create(_ topics: [TopicConfiguration]) async throws { try await log.create(topics) }
  func alter(_ topics: [TopicConfiguration]) async throws { try await log.alter(topics) }
  func topics() async throws -> [TopicConfiguration] {
    await beAsked()
    return try await log.topics()
  }
  func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    await beAsked()
    for record in records { try meet(record.topic) }
    return try await log.append(records)
  }
  func transactionalWriter(id: String) async throws -> any TransactionalWriter {
    try await log.transactionalWriter(id: id)
  }
  func groupReader(group: String, topics: [String], options: ReaderOptions) async throws -> any GroupReader {
    try await log.groupReader(group: group, topics: topics, options: options)
  }
  func reader(
    of partitions: [TopicPartition: StartPosition], options: ReaderOptions
  ) async throws -> any RecordReader { SlowReader(try await log.reader(of: partitions, options: options)) }
  func watermarks(of partition: TopicPartition) async throws -> Watermarks {
    try meet(partition.topic)
    return try await log.watermarks(of: partition)
  }
  func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? {
    try await log.offset(of: partition, at: timestamp)
  }
  func committedOffsets(group: String) async throws -> [TopicPartition: Int64] {
    try await log.committedOffsets(group: group)
  }
  func maintain() async throws -> MaintenanceReport { try await log.maintain() }
  func close() async throws { try await log.close() }
}

private final class SlowReader: RecordReader {
  private let reader: any RecordReader
  private let isSilent = Mutex(false)

  init(_ reader: any RecordReader) { self.reader = reader }

  func next(maximum: Int, timeout: Duration) async throws -> [Record] {
    let isSilent = isSilent.withLock { isSilent in
      isSilent.toggle()
      return isSilent
    }
    return isSilent ? [] : try await reader.next(maximum: 1, timeout: timeout)
  }
  func seek(_ partition: TopicPartition, to position: StartPosition) async throws {
    try await reader.seek(partition, to: position)
  }
  var positions: [TopicPartition: Int64] { get async { await reader.positions } }
  func close() async { await reader.close() }
}

/// A server on loopback that says the same to everybody, and closes.
private final class OneAnswer: Sendable {
  let port: Int
  private let listener: Int32

  struct Failure: Error {}

  init(_ answer: String) throws {
    #if canImport(Glibc)
      let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      let listener = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isOpen = withUnsafeMutableBytes(of: &address) { bytes in
      guard let place = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress else { return false }
      return bind(listener, place, length) == 0 && listen(listener, 8) == 0
        && getsockname(listener, place, &length) == 0
    }
    guard isOpen else {
      close(listener)
      throw Failure()
    }
    self.listener = listener
    port = Int(in_port_t(bigEndian: address.sin_port))
    Thread.detachNewThread {
      while case let peer = accept(listener, nil, nil), peer >= 0 {
        var byte: UInt8 = 0
        var seen: [UInt8] = []
        while seen.suffix(4) != [13, 10, 13, 10], read(peer, &byte, 1) == 1 { seen.append(byte) }
        _ = Array(answer.utf8).withUnsafeBytes { write(peer, $0.baseAddress, $0.count) }
        close(peer)
      }
      close(listener)
    }
  }

  deinit { shutdown(listener, Int32(SHUT_RDWR)) }
}
