public import MessageLog
import RetortClient
public import Topics

/// Appending requests from JSONL: `{"id", "text" | "messages", "call"?}` or any form that the topic accepts.
public enum RequestImport {
  /// The longest line that is read, in bytes.
  public static let maximumLineBytes = 12 << 20

  /// What an import did.
  public struct Report: Sendable, Hashable {
    /// Records appended.
    public var imported = 0
    /// Lines that are no such records, at most 20 of them, one sentence each.
    public var problems: [String] = []
    /// How many lines are no such records.
    public var refused = 0
  }

  /// Appends the lines of a file, in order, in durable batches.
  ///
  /// A line that is not a request is reported and left out; the others go in. Lines without an id get one from their
  /// content, so that importing twice makes duplicates that the label stage recognizes.
  ///
  /// - Parameters:
  ///   - lines: the lines, without their ends.
  ///   - name: the file's name, for messages.
  ///   - progress: called after each batch with the number of requests so far.
  /// - Throws: an error of the log; what was reported by `progress` is durable.
  public static func run(
    _ lines: some Sequence<[UInt8]>, name: String, log: any MessageLog, names: TopicNames,
    progress: (Int) -> Void = { _ in }
  ) async throws -> Report {
    try await run(lines, name: name, log: log, progress: progress) { try newRecord($0, names: names) }
  }

  /// The same for what another topic holds.
  ///
  /// - Parameter read: the record of a line; what it throws says what is wrong with the line.
  static func run(
    _ lines: some Sequence<[UInt8]>, name: String, log: any MessageLog, progress: (Int) -> Void,
    read: ([UInt8]) throws -> NewRecord
  ) async throws -> Report {
    var report = Report()
    var batch: [NewRecord] = []
    var batchBytes = 0
    var number = 0
    for line in lines {
      number += 1
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      do {
        let record = try read(line)
        batchBytes += line.count
        batch.append(record)
      } catch {
        report.refused += 1
        if report.problems.count < 20 { report.problems.append("\(name), line \(number): \(error)") }
      }
      if batch.count == 1_000 || batchBytes > 8 << 20 {
        report.imported += try await append(&batch, to: log)
        batchBytes = 0
        progress(report.imported)
        try Task.checkCancellation()
      }
    }
    report.imported += try await append(&batch, to: log)
    progress(report.imported)
    return report
  }

  private static func append(_ batch: inout [NewRecord], to log: any MessageLog) async throws -> Int {
    guard !batch.isEmpty else { return 0 }
    _ = try await log.append(batch)
    defer { batch.removeAll(keepingCapacity: true) }
    return batch.count
  }

  private static func newRecord(_ line: [UInt8], names: TopicNames) throws -> NewRecord {
    guard line.count <= maximumLineBytes else {
      throw PipelineError(
        .importLine, "the request", expected: "at most \(maximumLineBytes) bytes", found: "\(line.count)",
        advice: "split or shorten the request")
    }
    var json = try JSON.parse(line)
    if case .object(var object) = json, object["id"] == nil, object["specversion"] == nil, object["request"] == nil {
      object["id"] = .string("sha-" + Digest.sha256(json.canonical).hex.prefix(32))
      json = .object(object)
    }
    let request = try RequestRecord(imported: json)
    if let reserved = RequestReading.reserved(request) { throw reserved }
    return RecordCoding.record(request, topic: names.requests, key: request.id)
  }
}
