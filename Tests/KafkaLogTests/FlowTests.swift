import CRdKafka
import KafkaLog
import MessageLog
import Testing

/// `#expect` cannot hold calls that change a value.
private func check(
  _ condition: Bool, _ comment: Comment? = nil, at location: SourceLocation = #_sourceLocation
) {
  #expect(condition, comment, sourceLocation: location)
}

@Suite("A transaction goes on, is repeated, aborted or given up as the errors say")
struct TransactionFlowTests {
  private func failure(_ fault: KafkaFailure.Fault, _ code: MessageLogError.Code = .unavailable)
    -> TransactionFlow.Failure
  {
    .init(fault: fault, error: MessageLogError(code, "it went wrong", advice: "try again"))
  }

  /// Lets calls succeed up to this step.
  private func flow(at step: TransactionFlow.Step) -> TransactionFlow {
    var flow = TransactionFlow(hasOffsets: true, needsRebuild: false)
    var action = flow.first
    while action != .perform(step) { action = flow.next(nil, elapsed: .zero) }
    return flow
  }

  @Test("offsets are sent before the records, and then all is committed")
  func order() {
    var flow = TransactionFlow(hasOffsets: true, needsRebuild: true)
    var steps: [TransactionFlow.Action] = [flow.first]
    while steps.last != .succeed { steps.append(flow.next(nil, elapsed: .zero)) }
    check(
      steps == [
        .perform(.rebuild), .perform(.begin), .perform(.sendOffsets), .perform(.produce), .perform(.commit), .succeed,
      ])
    var plain = TransactionFlow(hasOffsets: false, needsRebuild: false)
    check(plain.first == .perform(.begin))
    check(plain.next(nil, elapsed: .zero) == .perform(.produce))
  }

  @Test("a retriable error repeats the same call, later and later, for a bounded time")
  func retriable() {
    var flow = flow(at: .commit)
    var pauses: [Duration] = []
    for second in 0..<8 {
      guard case .retry(.commit, let pause) = flow.next(failure(.retriable), elapsed: .seconds(second)) else {
        Issue.record("the call was not repeated")
        return
      }
      pauses.append(pause)
    }
    check(pauses == pauses.sorted() && pauses.last == .milliseconds(500) && pauses[0] < pauses[1])
    // Whether it was committed is unknown now: a new producer ends it, and the caller looks at the offsets.
    check(flow.next(failure(.retriable), elapsed: .seconds(31)) == .perform(.rebuild))
    guard case .fail(let error) = flow.next(nil, elapsed: .seconds(32)) else {
      Issue.record("it did not fail")
      return
    }
    check(error.isRetriable && error.description.contains("did not say whether"))
    check(!flow.needsRebuild && !flow.isFenced)
  }

  @Test("an abortable error aborts, and the work may be done again with the same producer")
  func abortable() {
    for step in [TransactionFlow.Step.sendOffsets, .produce, .commit] {
      var flow = flow(at: step)
      check(flow.next(failure(.abortable), elapsed: .zero) == .perform(.abort))
      check(flow.next(failure(.retriable), elapsed: .zero) == .retry(.abort, after: .milliseconds(20)))
      guard case .fail(let error) = flow.next(nil, elapsed: .zero) else {
        Issue.record("it did not fail")
        return
      }
      check(error.isRetriable && !error.isFatal && !flow.needsRebuild)
    }
  }

  @Test("a fatal error makes a new producer, and the work may be done again")
  func fatal() {
    var flow = flow(at: .produce)
    check(flow.next(failure(.fatal), elapsed: .zero) == .perform(.rebuild))
    guard case .fail(let error) = flow.next(nil, elapsed: .zero) else {
      Issue.record("it did not fail")
      return
    }
    check(error.isRetriable && !flow.needsRebuild)
    var broken = self.flow(at: .produce)
    check(broken.next(failure(.fatal), elapsed: .zero) == .perform(.rebuild))
    guard case .fail = broken.next(failure(.other), elapsed: .zero) else {
      Issue.record("it did not fail")
      return
    }
    check(broken.needsRebuild, "the next transaction begins with a new producer")
  }

  @Test("a writer whose id was taken over never writes again; a member that lost its partitions aborts")
  func fenced() {
    var flow = flow(at: .produce)
    guard case .fail(let error) = flow.next(failure(.fatal, .fenced), elapsed: .zero) else {
      Issue.record("it did not stop")
      return
    }
    check(flow.isFenced && error.code == .fenced)
    var member = self.flow(at: .sendOffsets)
    check(member.next(failure(.abortable, .fenced), elapsed: .zero) == .perform(.abort))
    guard case .fail(let lost) = member.next(nil, elapsed: .zero) else {
      Issue.record("it did not fail")
      return
    }
    check(lost.code == .fenced && !member.isFenced)
  }
}

@Suite("A reader knows where it stands")
struct ReaderStateTests {
  private let a = TopicPartition(topic: "t", partition: 0)
  private func record(_ offset: Int64) -> Record {
    Record(topic: "t", partition: 0, offset: offset, timestamp: 0, key: nil, value: [])
  }

  @Test("positions pass holes at the end; what was read, or whose partition has gone, is not delivered")
  func positions() {
    var state = ReaderState()
    state.add(a, at: nil)
    check(state.positions.isEmpty)
    check(state.accept(record(5)) && state.position(of: a) == 6)
    state.reach(a, 9)
    check(state.position(of: a) == 9)
    check(!state.accept(record(8)), "what lies below the position was read")
    check(state.accept(record(9)))
    state.remove([a])
    check(!state.accept(record(10)))
  }

  @Test("a lost position is reported until the reader is sought elsewhere, other trouble once")
  func failures() {
    var state = ReaderState()
    state.add(a, at: 3)
    state.fail(a, MessageLogError(.corrupt, "bytes", advice: "look"), isStuck: false)
    check(state.takeFailure()?.code == .corrupt && state.takeFailure() == nil)
    state.fail(a, .outOfRange(a, offset: 3, watermarks: .init(low: 5, high: 9)), isStuck: true)
    check(state.takeFailure()?.code == .outOfRange && state.takeFailure()?.code == .outOfRange)
    state.move(a, to: 5)
    check(state.takeFailure() == nil && state.position(of: a) == 5)
  }
}

@Suite("A reader that empties a queue which nothing fills says so")
struct FetchPauseTests {
  @Test("an eighth of the records or of the bytes was taken and nothing came: once for each eighth")
  func emptied() {
    for (records, bytes) in [(10, 1), (1, 100)] {
      var pause = FetchPause(records: 800, bytes: 8_000)
      check(!pause.ends(taking: 0, bytes: 0, left: 800), "it fills")
      let said = (1...30).filter { pause.ends(taking: records, bytes: records * bytes, left: 800 - $0 * records) }
      check(said == [10, 20, 30], "\(said)")
    }
  }

  @Test("what comes meanwhile starts the count anew")
  func filled() {
    var pause = FetchPause(records: 800, bytes: 8_000)
    var left = 400
    for round in 1...100 {
      left += round % 5 == 0 ? 50 : -10
      check(!pause.ends(taking: 10, bytes: 10, left: left), "round \(round)")
    }
  }

  @Test("a reader with room for one record speaks up after each")
  func narrow() {
    var pause = FetchPause(records: 1, bytes: 1)
    check(!pause.ends(taking: 0, bytes: 0, left: 1))
    check(pause.ends(taking: 1, bytes: 1, left: 0))
  }
}

@Suite("What is wrong with a connection is told apart from an outage")
struct ConnectionTests {
  @Test(
    "a connection that is closed before it is ready is a wrong setting until a broker has answered, then an outage",
    arguments: [
      "ssl://b:9093/1: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 2ms)",
      "ssl://b:9093/1: SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading",
      "b:9092/1: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol configuration",
    ])
  func closed(said: String) {
    func failure(hasAnswered: Bool) -> MessageLogError {
      KafkaFailure.error(
        RD_KAFKA_RESP_ERR__TRANSPORT, "listing topics", detail: said, hasAnswered: hasAnswered)
    }
    let (first, later) = (failure(hasAnswered: false), failure(hasAnswered: true))
    #expect(first.code == .unavailable && !first.isRetriable)
    #expect(first.description.contains("one side of the connection encrypts"), "\(first)")
    #expect(later.code == .unavailable && later.isRetriable)
    #expect(later.description.contains("closed the connection without an answer"), "\(later)")
  }

  @Test("a port that answers without encryption is a wrong setting at any time")
  func mismatch() {
    let error = KafkaFailure.error(
      RD_KAFKA_RESP_ERR__SSL, "listing topics", detail: "SSL handshake failed: error:0A00010B:wrong version number",
      hasAnswered: true)
    #expect(!error.isRetriable && error.description.contains("one side of the connection encrypts"), "\(error)")
  }
}
