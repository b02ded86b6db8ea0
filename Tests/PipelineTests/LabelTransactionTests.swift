import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
import Teacher
import Testing
import Topics

/// What one label transaction writes.
@Suite struct LabelTransactionTests {
  @Test("a transaction of a hundred partitions has an account that is read back")
  func manyPartitions() async throws {
    let bench = try await LabelStageTests.Bench(requestPartitions: 100)
    // Refused without asking: all are written at once.
    _ = try await bench.log.append(
      (0..<100).map { (partition: Int) in
        NewRecord(
          topic: bench.names.requests, partition: partition, key: Array("\(partition)".utf8),
          value: Array("no JSON".utf8))
      })
    try await bench.label()
    var accounts: [LedgerRecord] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.ledger) { record in
      accounts.append(try RecordCoding.value(of: record, as: LedgerRecord.self))
    }
    #expect(accounts.map(\.ranges.count) == [100])
    let audit = try await Audit.run(log: bench.log, names: bench.names, all: true)
    #expect(audit.holds && audit.deadLetters == 100, "\(audit.findings)")
    try await bench.log.close()
  }

  @Test("a verifier's remark whose characters have many bytes leaves the sample readable")
  func longRemark() async throws {
    let bench = try await LabelStageTests.Bench()
    let request = #"{"id":"a","text":"lock the front door","response":{"producer":"import","call":"#
    try await bench.append(
      request + #"{"name":"lock_door","arguments":{"door":"front","locked":true}}}}"#, key: "a")
    let remark = String(repeating: "e" + String(repeating: "\u{301}", count: 50), count: 300)
    try await bench.label(
      verifier: .inProcess(name: "wordy") { _, _ in VerifierVerdict(accepted: true, reason: remark) })
    var details: [String] = []
    try await TopicScan.each(log: bench.log, topic: bench.names.samples) { record in
      details += try RecordCoding.value(of: record, as: SampleRecord.self).verdicts.compactMap(\.detail)
    }
    let detail = try #require(details.first)
    #expect(details.count == 1 && remark.unicodeScalars.starts(with: detail.unicodeScalars))
    try await bench.log.close()
  }
}
