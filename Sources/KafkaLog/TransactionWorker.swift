import CRdKafka
import Foundation
import Logging
import MessageLog

/// The transactional producer, on its thread: its calls block there.
actor TransactionWorker {
  private let id: String
  private let thread: HandleThread
  private let properties: ClientProperties
  private let logger: Logger
  private var producer: ProducerHandle?
  private var needsRebuild = true
  private var fenced: MessageLogError?
  private var isClosed = false
  private static let callTimeout: Int32 = 10_000

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  init(id: String, properties: ClientProperties, logger: Logger) {
    self.id = id
    self.properties = properties
    self.logger = logger
    thread = HandleThread("kafka-commit")
    thread.setPump { [weak self] in
      self?.assumeIsolated { $0.producer?.poll() }
      return nil
    }
  }

  deinit { thread.stop() }

  /// Takes over the transactional id: older writers that have it are fenced from now on.
  func open() throws {
    let began = ContinuousClock.now
    while let failure = perform(.rebuild) {
      guard failure.fault == .retriable, ContinuousClock.now - began < TransactionFlow.patience else {
        producer?.close()
        producer = nil
        throw failure.error
      }
      Thread.sleep(forTimeInterval: 0.05)
    }
    needsRebuild = false
  }

  /// One transaction.
  func commit(_ records: [NewRecord], offsets: GroupOffsets?) throws -> [RecordPosition] {
    if isClosed { throw MessageLogError.closed("transactional writer") }
    if let fenced { throw fenced }
    var positions: [RecordPosition] = []
    var flow = TransactionFlow(hasOffsets: offsets != nil, needsRebuild: needsRebuild)
    // After a success too: a producer that is ready must not take the id once more.
    defer { needsRebuild = flow.needsRebuild }
    let began = ContinuousClock.now
    var action = flow.first
    while true {
      var step: TransactionFlow.Step
      switch action {
      case .perform(let next): step = next
      case .retry(let next, let pause):
        Thread.sleep(forTimeInterval: pause / .seconds(1))
        step = next
      case .succeed: return positions
      case .fail(let error):
        if flow.isFenced {
          fenced = error
          producer?.close()
          producer = nil
        }
        throw error
      }
      let failure = perform(step, records, offsets) { positions = $0 }
      action = flow.next(failure, elapsed: ContinuousClock.now - began)
    }
  }

  func close() {
    if isClosed { return }
    isClosed = true
    producer?.close()
    producer = nil
  }

  private func perform(
    _ step: TransactionFlow.Step, _ records: [NewRecord] = [], _ offsets: GroupOffsets? = nil,
    _ written: @escaping ([RecordPosition]) -> Void = { _ in }
  ) -> TransactionFlow.Failure? {
    if step == .rebuild { return rebuild() }
    guard let producer else { return .init(fault: .fatal, error: .closed("transactional writer")) }
    switch step {
    case .rebuild: return nil
    case .begin: return explain(producer.begin(), "beginning a transaction")
    case .sendOffsets:
      guard let offsets else { return nil }
      return explain(
        producer.sendOffsets(offsets, milliseconds: Self.callTimeout),
        "committing offsets of group \(offsets.membership.group) in a transaction")
    case .produce: return explain(produce(records, producer, written), "appending in a transaction")
    case .commit: return explain(producer.commit(milliseconds: Self.callTimeout), "committing a transaction")
    case .abort: return explain(producer.abort(milliseconds: Self.callTimeout), "aborting a transaction")
    }
  }

  /// A new producer that takes over the id again; where the old one is only waiting for brokers, it goes on waiting.
  private func rebuild() -> TransactionFlow.Failure? {
    if let producer, producer.isSpent || !needsRebuild {
      producer.close()
      self.producer = nil
    }
    needsRebuild = true
    if producer == nil {
      do {
        producer = try ProducerHandle(properties: properties, logger: logger, thread: thread)
      } catch {
        return .init(fault: .other, error: error)
      }
    }
    return explain(producer?.initTransactions(milliseconds: Self.callTimeout), "taking the transactional id \(id)")
  }

  private func produce(
    _ records: [NewRecord], _ producer: ProducerHandle, _ written: @escaping ([RecordPosition]) -> Void
  ) -> ProducerHandle.Failure? {
    let batch = DeliveryBatch(records) { reports, failure in
      // What failed makes the commit fail, with the reason.
      if failure == nil { written(reports) }
    }
    for (index, record) in records.enumerated() {
      while let code = producer.produce(record, slot: batch.slot(index)) {
        guard code == RD_KAFKA_RESP_ERR__QUEUE_FULL else {
          batch.giveUp(records.count - index, code)
          return (code, String(cString: rd_kafka_err2str(code)), producer.isSpent ? .fatal : .abortable)
        }
        producer.poll(milliseconds: 100)
      }
    }
    return nil
  }

  private func explain(_ failure: ProducerHandle.Failure?, _ doing: String) -> TransactionFlow.Failure? {
    producer?.poll()
    guard let failure else { return nil }
    var (code, text, fault) = failure
    if fault == .fatal || code == RD_KAFKA_RESP_ERR__FATAL, let fatal = producer?.context.fatal {
      (code, text) = fatal
      fault = .fatal
    }
    if fault == .retriable, let trouble = producer?.context.lastTrouble { text += " (\(trouble.text))" }
    return .init(fault: fault, error: KafkaFailure.error(code, "\(doing) (\(id))", detail: text))
  }
}

/// The writer that callers hold.
final class KafkaTransactionalWriter: TransactionalWriter {
  let id: String
  private let worker: TransactionWorker
  private let directory: TopicDirectory
  private let onClose: @Sendable () -> Void

  init(id: String, worker: TransactionWorker, directory: TopicDirectory, onClose: @escaping @Sendable () -> Void) {
    self.id = id
    self.worker = worker
    self.directory = directory
    self.onClose = onClose
  }

  func commit(append records: [NewRecord], offsets: GroupOffsets?) async throws -> [RecordPosition] {
    try await worker.commit(directory.place(records), offsets: offsets)
  }

  func close() async {
    await worker.close()
    onClose()
  }
}
