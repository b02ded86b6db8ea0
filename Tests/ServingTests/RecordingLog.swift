import MessageLog
import Synchronization

/// A log that remembers what was appended, and fails when told to; a silent one lets whoever appends wait until that is cancelled.
final class RecordingLog: MessageLog {
  private struct State {
    var records: [NewRecord] = []
    var failures = 0
    var refusedKey: [UInt8]?
  }

  private let state = Mutex(State())
  private let isSilent: Bool
  private let (questions, asked) = AsyncStream.makeStream(of: Void.self)

  init(failures: Int = 0, refusedKey: String? = nil, isSilent: Bool = false) {
    self.isSilent = isSilent
    state.withLock {
      $0.failures = failures
      $0.refusedKey = refusedKey.map { Array($0.utf8) }
    }
  }

  var records: [NewRecord] { state.withLock { $0.records } }
  var keys: [String] { records.map { String(decoding: $0.key ?? [], as: UTF8.self) } }

  let capabilities = LogCapabilities(
    name: "a test's memory", transactions: false, fencing: false, groups: false, groupFencing: false, compaction: false,
    retention: false, maintenanceOnDemand: false, offsetsForTimes: false)

  /// Waits until something is to be appended.
  func isAsked() async {
    for await _ in questions { return }
  }

  func append(_ records: [NewRecord]) async throws -> [RecordPosition] {
    asked.yield()
    if isSilent { try await Task.sleep(for: .seconds(86_400)) }
    try state.withLock { state in
      if state.failures > 0 {
        state.failures -= 1
        throw MessageLogError(.unavailable, "the log is away", advice: "wait")
      }
      if let key = state.refusedKey, records.contains(where: { $0.key == key }) {
        throw MessageLogError(.tooLarge, "the record is too large", advice: "send less")
      }
      state.records += records
    }
    return []
  }

  private static let nothing = MessageLogError(.unsupported, "this log only appends", advice: "use another")

  func create(_ topics: [TopicConfiguration]) async throws { throw Self.nothing }
  func alter(_ topics: [TopicConfiguration]) async throws { throw Self.nothing }
  func topics() async throws -> [TopicConfiguration] { [] }
  func transactionalWriter(id: String) async throws -> any TransactionalWriter { throw Self.nothing }
  func groupReader(group: String, topics: [String], options: ReaderOptions) async throws -> any GroupReader {
    throw Self.nothing
  }
  func reader(
    of partitions: [TopicPartition: StartPosition], options: ReaderOptions
  ) async throws -> any RecordReader { throw Self.nothing }
  func watermarks(of partition: TopicPartition) async throws -> Watermarks { throw Self.nothing }
  func offset(of partition: TopicPartition, at timestamp: Int64) async throws -> Int64? { nil }
  func committedOffsets(group: String) async throws -> [TopicPartition: Int64] { [:] }
  func maintain() async throws -> MaintenanceReport { throw Self.nothing }
  func close() async throws {}
}
