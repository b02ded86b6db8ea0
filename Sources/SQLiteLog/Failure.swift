import Foundation
import GRDB
import MessageLog

/// Turns what SQLite says into what the caller can do about it.
enum Failure {
  /// The log's error for any error thrown while using the file at `path`.
  static func translate(_ error: any Error, path: String) -> any Error {
    if error is MessageLogError || error is CancellationError { return error }
    guard let error = error as? DatabaseError else {
      return MessageLogError(
        .unavailable, "the log \(path) cannot be used", found: String(describing: error).prefix(300).description,
        advice: "check the file and its folder")
    }
    return translate(error, path: path)
  }

  private static func translate(_ error: DatabaseError, path: String) -> MessageLogError {
    let found = "SQLite \(error.extendedResultCode.rawValue): \(error.message ?? "no message")"
    func make(_ code: MessageLogError.Code, _ message: String, _ advice: String) -> MessageLogError {
      MessageLogError(code, "the log \(path) \(message)", found: found, advice: advice)
    }
    if error.extendedResultCode == .SQLITE_IOERR_SHORT_READ {
      return make(.corrupt, "is truncated", "restore the file from a backup")
    }
    switch error.resultCode {
    case .SQLITE_FULL:
      return make(.full, "has no room to grow; nothing was written", "free disk space or raise the limit, then go on")
    case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
      return make(.readOnly, "may not be written", "make the file and its folder writable, or choose another path")
    case .SQLITE_CORRUPT, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH:
      return make(.corrupt, "is damaged", "stop using it and restore it from a backup")
    case .SQLITE_NOTADB:
      return make(.corrupt, "is not an SQLite file", "choose another path, or restore the file from a backup")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      return make(.unavailable, "is being written by another process", "try again; look for a process that holds it")
    case .SQLITE_CANTOPEN:
      return cannotOpen(path, found)
    case .SQLITE_TOOBIG:
      return make(.tooLarge, "cannot hold a record this large", "keep records under 1 GB")
    case .SQLITE_MISUSE:
      return .closed("log")
    default:
      return make(.unavailable, "cannot be read or written", "check the disk, the file and its folder")
    }
  }

  private static func cannotOpen(_ path: String, _ found: String) -> MessageLogError {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    var isFolder: ObjCBool = false
    if !FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) || !isFolder.boolValue {
      return MessageLogError(
        .invalid, "the log \(path) cannot be created: its folder does not exist", expected: "the folder \(folder)",
        advice: "create the folder, or choose another path")
    }
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      return MessageLogError(
        .invalid, "the log \(path) is a folder", expected: "a file", advice: "choose another path")
    }
    if !FileManager.default.isWritableFile(atPath: folder) {
      return MessageLogError(
        .readOnly, "the log \(path) cannot be created in a folder that may not be written", found: found,
        advice: "make the folder writable, or choose another path")
    }
    return MessageLogError(
      .unavailable, "the log \(path) cannot be opened", found: found, advice: "check the path and its permissions")
  }

  /// The error for a column that does not hold what was written there.
  static func damagedRow(_ what: String) -> MessageLogError {
    MessageLogError(
      .corrupt, "a row of the table \(what) does not hold what was written",
      advice: "stop using the log and restore it from a backup")
  }
}

extension Row {
  /// An integer column; a damaged file may hold anything there.
  func integer(_ index: Int, of table: String) throws(MessageLogError) -> Int64 {
    let value: DatabaseValue = self[index]
    guard case .int64(let number) = value.storage else { throw Failure.damagedRow(table) }
    return number
  }

  /// An integer column that may be null.
  func optionalInteger(_ index: Int, of table: String) throws(MessageLogError) -> Int64? {
    let value: DatabaseValue = self[index]
    return value.isNull ? nil : try integer(index, of: table)
  }

  /// A text column.
  func text(_ index: Int, of table: String) throws(MessageLogError) -> String {
    let value: DatabaseValue = self[index]
    guard case .string(let text) = value.storage else { throw Failure.damagedRow(table) }
    return text
  }

  /// A text column that may be null.
  func optionalText(_ index: Int, of table: String) throws(MessageLogError) -> String? {
    let value: DatabaseValue = self[index]
    return value.isNull ? nil : try text(index, of: table)
  }
}

extension Database {
  /// Rows of a cached statement, for few rows: they are copied.
  func rows(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> [Row] {
    try Row.fetchAll(cachedStatement(sql: sql), arguments: arguments)
  }

  /// The first row of a cached statement that gives at most a few; it is run to its end, as RETURNING wants.
  func row(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> Row? {
    try rows(sql, arguments).first
  }

  /// Runs a cached statement.
  func run(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws {
    try cachedStatement(sql: sql).execute(arguments: arguments)
  }
}
