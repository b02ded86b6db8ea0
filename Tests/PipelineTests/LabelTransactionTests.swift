import MessageLog
import Pipeline
import RetortClient
import SQLiteLog
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
}
