/// Appends and commits a group's offsets in one transaction; a newer writer with the same id shuts it out.
public protocol TransactionalWriter: AnyObject, Sendable {
  /// The transactional id.
  var id: String { get }

  /// Appends all the records and commits the offsets, atomically and durably, or does nothing.
  ///
  /// - Returns: one position a record, in the order given.
  /// - Throws: ``MessageLogError`` with `.fenced` when a newer writer took the id or the membership no longer owns a
  ///   partition; `.unknownTopic`, `.tooLarge`, `.invalid`, `.full`, `.unavailable`. `isFatal` says whether this writer
  ///   is spent.
  func commit(append records: [NewRecord], offsets: GroupOffsets?) async throws -> [RecordPosition]

  /// Lets go of what the writer holds; the id can be taken again at any time.
  func close() async
}
