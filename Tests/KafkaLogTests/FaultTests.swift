import CRdKafka
import Foundation
import KafkaLog
import MessageLog
import Synchronization
import Testing

@Suite("Faults of brokers, injected into the mock cluster", .serialized)
struct FaultTests {
  private let place = TopicPartition(topic: "t", partition: 0)

  private func record(_ text: String) -> NewRecord {
    NewRecord(topic: "t", partition: 0, key: nil, value: Array(text.utf8))
  }

  private func read(_ log: MockedLog, _ count: Int) async throws -> [String] {
    let reader = try await log.reader(of: [place: .earliest], options: ReaderOptions())
    var texts: [String] = []
    let deadline = ContinuousClock.now + .seconds(20)
    while texts.count < count, ContinuousClock.now < deadline {
      texts += try await reader.next(maximum: 1000, timeout: .milliseconds(200)).map {
        String(decoding: $0.value ?? [], as: UTF8.self)
      }
    }
    await reader.close()
    return texts
  }

  @Test("appends go through retriable errors, in order and once", .timeLimit(.minutes(1)))
  func retriableAppends() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    cluster.push(
      0,
      [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
      ])
    for step in 0..<5 { _ = try await log.append([record("\(step)")]) }
    #expect(try await read(log, 5) == (0..<5).map(String.init))
    try await log.close()
  }

  @Test("appends and reads outlast a broker that is down, then slow", .timeLimit(.minutes(1)))
  func outage() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    _ = try await log.append([record("before")])
    let reader = try await log.reader(of: [place: .earliest], options: ReaderOptions())
    #expect(try await reader.next(maximum: 1, timeout: .seconds(10)).count == 1)
    cluster.setDown(true)
    let pending = Task { try await log.append([record("during")]) }
    #expect(try await reader.next(maximum: 1, timeout: .milliseconds(300)).isEmpty)
    cluster.setRoundTrip(milliseconds: 300)
    cluster.setDown(false)
    _ = try await pending.value
    let seen = try await reader.next(maximum: 1, timeout: .seconds(20))
    #expect(seen.map(\.value) == [Array("during".utf8)])
    await reader.close()
    try await log.close()
  }

  @Test("an append is not waited for when its caller is cancelled, though no broker is there", .timeLimit(.minutes(1)))
  func cancelledAppend() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    _ = try await log.append([record("before")])
    cluster.setDown(true)
    let pending = Task { try await log.append([record("during")]) }
    pending.cancel()
    await #expect(throws: CancellationError.self) { try await pending.value }
    cluster.setDown(false)
    #expect(try await log.append([record("after")]).count == 1)
    try await log.close()
  }

  @Test("nor is the question for its topic, which an append begins with", .timeLimit(.minutes(1)))
  func cancelledQuestion() async throws {
    let cluster = try MockCluster()
    cluster.createTopic("t", partitions: 1)
    cluster.setDown(true)
    let log = try cluster.open()
    let pending = Task { try await log.append([record("during")]) }
    pending.cancel()
    await #expect(throws: CancellationError.self) { try await pending.value }
    cluster.setDown(false)
    try await log.close()
  }

  @Test("a log is closed though brokers owe it an answer", .timeLimit(.minutes(1)))
  func closedWhileAsking() async throws {
    let cluster = try MockCluster()
    cluster.setDown(true)
    let log = try cluster.open()
    let outcome = Mutex<MessageLogError.Code?>(nil)
    let question = Task {
      do { _ = try await log.topics() } catch let error as MessageLogError { outcome.withLock { $0 = error.code } }
    }
    let other = Task { try await log.append([record("")]) }
    other.cancel()
    await #expect(throws: CancellationError.self) { try await other.value }
    try await log.close()
    // Without an answer yet, or closed before it was asked.
    let known = outcome.withLock { $0 }
    #expect(known == nil || known == .closed)
    cluster.setDown(false)
    _ = await question.result
  }

  @Test("a member that could not ask where its group stands asks again", .timeLimit(.minutes(1)))
  func committedOffsetsRefused() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    _ = try await log.append((0..<10).map { record("\($0)") })
    let options = ReaderOptions(sessionTimeout: .seconds(4))
    let former = try await log.groupReader(group: "g", topics: ["t"], options: options)
    #expect(try await former.next(maximum: 4, timeout: .seconds(20)).count == 4)
    try await former.commit([place: 4])
    await former.close()

    // OffsetFetch: librdkafka tells of each refusal, and by itself never reads the partition.
    cluster.push(9, Array(repeating: RD_KAFKA_RESP_ERR_NOT_COORDINATOR, count: 3))
    let reader = try await log.groupReader(group: "g", topics: ["t"], options: options)
    let seen = try await reader.next(maximum: 10, timeout: .seconds(30))
    #expect(seen.first?.offset == 4)
    await reader.close()
    try await log.close()
  }

  @Test("an append larger than librdkafka's queue waits for room", .timeLimit(.minutes(1)))
  func backPressure() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open(["queue.buffering.max.messages": "50"])
    try await log.create([TopicConfiguration(name: "t")])
    let positions = try await log.append((0..<1000).map { record("\($0)") })
    #expect(positions.map(\.offset) == Array(0..<1000))
    try await log.close()
  }

  @Test(
    "a group whose coordinator is not there yet, as on a new broker, has committed nothing", .timeLimit(.minutes(1)))
  func noCoordinator() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    // FindCoordinator.
    cluster.push(10, [RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE])
    #expect(try await log.committedOffsets(group: "g") == [:])
    try await log.create([TopicConfiguration(name: "t")])
    cluster.push(10, [RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE])
    #expect(try await log.committedOffsets(group: "h") == [:])
    try await log.close()
  }

  @Test("a transaction repeats retriable calls, and aborts and says so where it must", .timeLimit(.minutes(1)))
  func transactions() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    let writer = try await log.transactionalWriter(id: "w")
    // EndTxn: the coordinator is moving.
    cluster.push(
      26, [RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR])
    #expect(try await writer.commit(append: [record("a")], offsets: nil).count == 1)
    // AddPartitionsToTxn: abortable.
    cluster.push(24, [RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED])
    let refused = await #expect(throws: MessageLogError.self) {
      _ = try await writer.commit(append: [record("b")], offsets: nil)
    }
    #expect(refused?.code == .readOnly, "\(String(describing: refused))")
    #expect(try await writer.commit(append: [record("c")], offsets: nil).count == 1, "the writer goes on")
    // Fenced: for ever.
    cluster.push(24, [RD_KAFKA_RESP_ERR_PRODUCER_FENCED])
    for _ in 0..<2 {
      let fenced = await #expect(throws: MessageLogError.self) {
        _ = try await writer.commit(append: [record("d")], offsets: nil)
      }
      #expect(fenced?.code == .fenced && fenced?.description.contains("newer writer") == true)
    }
    // Another one may take the id.
    let heir = try await log.transactionalWriter(id: "w")
    #expect(try await heir.commit(append: [record("e")], offsets: nil).count == 1)
    try await log.close()
  }

  @Test("a fatal error makes a new producer, and the same work then succeeds", .timeLimit(.minutes(1)))
  func fatal() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    let writer = try await log.transactionalWriter(id: "w")
    _ = try await writer.commit(append: [record("a")], offsets: nil)
    // AddPartitionsToTxn: the id's mapping is broken.
    cluster.push(24, [RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING])
    let error = await #expect(throws: MessageLogError.self) {
      _ = try await writer.commit(append: [record("b")], offsets: nil)
    }
    #expect(error?.isFatal == false, "\(String(describing: error))")
    #expect(try await writer.commit(append: [record("b")], offsets: nil).count == 1)
    try await log.close()
  }

  @Test("a writer whose new producer was refused goes on for good once it is taken", .timeLimit(.minutes(1)))
  func refusedRebuild() async throws {
    let cluster = try MockCluster()
    let log = try cluster.open()
    try await log.create([TopicConfiguration(name: "t")])
    let writer = try await log.transactionalWriter(id: "w")
    // AddPartitionsToTxn: fatal; then InitProducerId of the new producer.
    cluster.push(24, [RD_KAFKA_RESP_ERR_INVALID_TXN_STATE])
    cluster.push(22, [RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED])
    let error = await #expect(throws: MessageLogError.self) {
      _ = try await writer.commit(append: [record("a")], offsets: nil)
    }
    #expect(error?.isFatal == false, "\(String(describing: error))")
    for text in ["a", "b", "c"] {
      #expect(try await writer.commit(append: [record(text)], offsets: nil).count == 1, "\(text)")
    }
    try await log.close()
  }

  @Test("brokers that cannot be reached are an error with the reason, soon", .timeLimit(.minutes(1)))
  func unreachable() async throws {
    let log = try KafkaLog(servers: "127.0.0.1:1")
    let error = await #expect(throws: MessageLogError.self) { _ = try await log.topics() }
    #expect(error?.code == .unavailable && error?.isRetriable == true)
    #expect(error?.description.contains("127.0.0.1:1") == true, "\(String(describing: error))")
    try await log.close()
  }

  @Test("members that close while the group is still forming do no harm", .timeLimit(.minutes(1)))
  func closingEarly() async throws {
    let cluster = try MockCluster()
    for pause in [0, 100, 500, 1_500] {
      let log = try cluster.open()
      try await log.create([TopicConfiguration(name: "t")])
      let options = ReaderOptions(sessionTimeout: .seconds(4))
      let first = try await log.groupReader(group: "g\(pause)", topics: ["t"], options: options)
      let second = try await log.groupReader(group: "g\(pause)", topics: ["t"], options: options)
      try await Task.sleep(for: .milliseconds(pause))
      await second.close()
      await first.close()
      try await log.close()
    }
  }

  @Test(
    "opening and closing leaves nothing behind",
    .enabled(
      if: Self.cycleCount > 0, "RETORT_KAFKA_CYCLES says how often; run it alone: it counts what the process holds"),
    .timeLimit(.minutes(5)))
  func cycles() async throws {
    let count = Self.cycleCount
    let cluster = try MockCluster()
    let first = try cluster.open()
    try await first.create([TopicConfiguration(name: "t")])
    try await first.close()
    var before = Footprint()
    for cycle in 0..<count {
      let log = try cluster.open()
      _ = try await log.append([record("\(cycle)")])
      let reader = try await log.reader(of: [place: .offset(Int64(cycle))], options: ReaderOptions())
      #expect(try await reader.next(maximum: 1, timeout: .seconds(10)).count == 1)
      #expect(try await log.committedOffsets(group: "g") == [:])
      if cycle % 2 == 0 { await reader.close() }
      try await log.close()
      if cycle == min(4, count / 3) { before = Footprint() }
    }
    // librdkafka's threads end a moment after the call that closes them.
    var after = Footprint()
    let deadline = ContinuousClock.now + .seconds(20)
    while !after.fits(before), ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(20))
      after = Footprint()
    }
    #expect(after.fits(before), "\(before), then \(after)")
    print("after \(count) cycles: \(after.threads) threads, \(after.files) files, \(after.residentBytes >> 20) MB")
  }

  private static let cycleCount = Int(ProcessInfo.processInfo.environment["RETORT_KAFKA_CYCLES"] ?? "") ?? 0

  /// What this process holds.
  private struct Footprint {
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0
    let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    let residentBytes: Int = {
      let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
      let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      return pages * 4096
    }()

    /// Whether this is no more than `before`, but for what the runtime itself adds.
    func fits(_ before: Footprint) -> Bool {
      threads <= before.threads + 3 && files <= before.files + 3 && residentBytes < before.residentBytes + 64 << 20
    }
  }
}
