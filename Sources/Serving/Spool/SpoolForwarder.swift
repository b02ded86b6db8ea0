public import Logging
public import MessageLog
import RetortClient
public import ServiceLifecycle
public import Topics

/// Carries what is in a spool to the topic `requests`, in order, as often as it takes.
///
/// Delivery: at least once; a record keeps its id, so that a second copy is known as one. What the log cannot be given now waits in
/// the spool, retried from 100 ms to 10 s apart; only what it will never take is dropped, and counted. Ends when the spool is closed
/// and everything was tried, or at a shutdown when the log takes nothing for a while.
public struct SpoolForwarder: Service {
  /// What it empties.
  let spool: RequestSpool
  private let log: any MessageLog
  private let names: TopicNames
  private let patience: Duration
  private let logger: Logger

  /// A forwarder; one a spool.
  ///
  /// - Parameter patience: how long the log may take nothing at a shutdown until what is left stays in the spool; 2 s by default.
  public init(
    spool: RequestSpool, log: any MessageLog, names: TopicNames, patience: Duration = .seconds(2), logger: Logger
  ) {
    self.spool = spool
    self.log = log
    self.names = names
    self.patience = patience
    self.logger = logger
  }

  /// Forwards until the service group shuts down: then the spool is closed and emptied as far as the log allows.
  public func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for await _ in spool.ticks { await drain() }
        await drain()
      }
      group.addTask {
        do {
          try await gracefulShutdown()
          await spool.close()
          var before: Int
          repeat {
            before = spool.figures.records
            try await Task.sleep(for: patience)
          } while spool.figures.records < before
        } catch {
          // All was tried, or the task is cancelled.
        }
      }
      await group.next()
      group.cancelAll()
    }
    await spool.close()
    await spool.discard()
  }

  /// Forwards everything that is there; gives up where the log or the disk fails and the spool is closing.
  private func drain() async {
    while !Task.isCancelled {
      guard let batch = await spool.next(maximum: 200) else {
        if spool.isClosed { return }
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
        continue
      }
      guard let last = batch.last else { return }
      var delay = Duration.milliseconds(100)
      var refused: Int?
      while refused == nil {
        refused = await forward(batch.map(\.payload))
        guard refused == nil else { break }
        if spool.isClosed || Task.isCancelled { return }
        do { try await Task.sleep(for: delay) } catch { return }
        delay = min(delay * 2, .seconds(10))
      }
      let bytes = batch.reduce(0) { $0 + $1.bytes }
      await spool.finished(batch.count, refused: refused ?? 0, bytes: bytes, end: last.end)
    }
  }

  /// Appends records; how many the log refused for good, or nil where they must be tried again.
  private func forward(_ payloads: [[UInt8]]) async -> Int? {
    do {
      _ = try await log.append(payloads.map(record))
      return 0
    } catch let error as MessageLogError where error.code == .tooLarge || error.code == .invalid {
      guard payloads.count > 1 else {
        logger.warning("a live request was refused by the log", metadata: ["reason": "\(error)"])
        return 1
      }
      var refused = 0
      for payload in payloads {
        guard let count = await forward([payload]) else { return nil }
        refused += count
      }
      return refused
    } catch {
      if !(error is CancellationError) { spool.complain("live requests wait in the spool: \(error)") }
      return nil
    }
  }

  private func record(_ payload: [UInt8]) -> NewRecord {
    let json = try? JSON.parse(payload)
    let id = json?["id"]?.stringValue ?? ""
    let traceparent = json?["metadata"]?[RecordHeaders.traceparent]?.stringValue.flatMap { TraceContext.valid($0) }
    return NewRecord(
      topic: names.requests, key: Array(id.utf8), value: payload,
      headers: RecordCoding.headers(of: RequestRecord.topic, traceparent: traceparent))
  }
}
