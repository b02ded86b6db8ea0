public import MessageLog
import RetortClient
public import Topics

/// Appending outcomes of answers from JSONL: a value of the topic `feedback` a line.
public enum FeedbackImport {
  /// The longest line that is read, in bytes: half of what a record may have, since text may grow where it is written anew.
  public static let maximumLineBytes = FeedbackRecord.topic.maximumMessageBytes / 2

  /// Appends the lines of a file, in order, in durable batches.
  ///
  /// A line that is no feedback is reported and left out; the others go in. Importing twice does no harm: the last correction
  /// of a request counts, and a score that is said twice joins once.
  ///
  /// - Parameters:
  ///   - lines: the lines, without their ends.
  ///   - name: the file's name, for messages.
  ///   - progress: called after each batch with the number of records so far.
  /// - Throws: an error of the log; what was reported by `progress` is durable.
  public static func run(
    _ lines: some Sequence<[UInt8]>, name: String, log: any MessageLog, names: TopicNames,
    progress: (Int) -> Void = { _ in }
  ) async throws -> RequestImport.Report {
    try await RequestImport.run(lines, name: name, log: log, progress: progress) { line in
      let feedback = try FeedbackRecord(json: JSON.parse(line, maximumBytes: maximumLineBytes))
      return RecordCoding.record(feedback, topic: names.feedback, key: feedback.requestID)
    }
  }
}
