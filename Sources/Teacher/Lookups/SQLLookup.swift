internal import GRDB
package import Topics

/// A reading query on a SQLite file, with bounded rows, bytes, and time.
package final class SQLLookup: Sendable {
  /// What a query gave.
  package enum Result: Sendable {
    case rows(String)
    case timedOut
    case failed(String)
    case tooLarge
  }

  private let queue: DatabaseQueue
  /// There is one connection: who waits for it does so outside of its time.
  private let turns = ProcessSlots(1)
  private let query: String
  private let parameters: [String]
  private let maximumRows: Int
  private let timeout: Duration
  private let maximumBytes: Int

  /// Opens the file for reading only and compiles the query.
  ///
  /// - Throws: `TeacherError` with `invalid_lookup`: no such file, no valid query, a query that writes, a
  ///   parameter that is no property of the function or not named `:like_this`.
  package init(
    function: FunctionDefinition, databasePath: String, query: String, maximumRows: Int, timeout: Duration,
    maximumBytes: Int
  ) throws(TeacherError) {
    func invalid(_ expected: String, _ found: String) -> TeacherError {
      TeacherError(.invalidLookup, subject: "lookup \(function.name)", expected: expected, found: found)
    }
    guard (1...100_000).contains(maximumRows) else { throw invalid("maximum rows in 1...100000", "\(maximumRows)") }
    parameters = Self.parameterNames(in: query)
    let unknown = parameters.filter { !function.propertyNames.contains($0) }
    guard unknown.isEmpty else {
      throw invalid("parameters among \(function.propertyNames.joined(separator: ", "))", ":" + unknown[0])
    }
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(min(timeout.seconds, 5))
    configuration.label = "retort.lookup"
    do {
      queue = try DatabaseQueue(path: databasePath, configuration: configuration)
      let none: [String: (any DatabaseValueConvertible)?] = Dictionary(
        uniqueKeysWithValues: parameters.map { ($0, nil) })
      let (reads, isBound) = try queue.read { db in
        let statement = try db.makeStatement(sql: query)
        return (statement.isReadonly, (try? statement.setArguments(StatementArguments(none))) != nil)
      }
      guard reads else { throw invalid("a query that only reads", query) }
      guard isBound else { throw invalid("parameters that are named :like_this", query) }
    } catch let error as TeacherError {
      throw error
    } catch {
      throw invalid("a readable SQLite file and one valid query", String(describing: error))
    }
    self.query = query
    self.maximumRows = maximumRows
    self.timeout = timeout
    self.maximumBytes = maximumBytes
  }

  /// Runs the query with the arguments bound by name, when those before it are done; its time begins then.
  package func run(_ arguments: JSONObject) async -> Result {
    await turns.run {
      guard !Task.isCancelled else { return .failed("cancelled") }
      // A query whose time is up is cancelled, which interrupts it and no other.
      return await withTimeout(timeout) { await self.execute(arguments) } ?? .timedOut
    }
  }

  private func execute(_ arguments: JSONObject) async -> Result {
    let (query, parameters, maximumRows, maximumBytes) = (query, parameters, maximumRows, maximumBytes)
    do {
      return try await queue.read { db -> Result in
        var values: [String: (any DatabaseValueConvertible)?] = [:]
        for name in parameters { values[name] = Self.value(arguments[name]) }
        let cursor = try Row.fetchCursor(db, sql: query, arguments: StatementArguments(values))
        var text = "["
        var count = 0
        while let row = try cursor.next() {
          if count == maximumRows { break }
          text += (count == 0 ? "" : ",") + Self.json(row).text
          count += 1
          if text.utf8.count > maximumBytes { return .tooLarge }
        }
        return .rows(text + "]")
      }
    } catch {
      return .failed(String(String(describing: error).prefix(300)))
    }
  }

  private static func value(_ json: JSON?) -> (any DatabaseValueConvertible)? {
    switch json {
    case nil, .null: nil
    case .bool(let value): value
    case .integer(let value): value
    case .number(let value): value
    case .string(let value): value
    case .some(let other): other.text
    }
  }

  private static func json(_ row: Row) -> JSON {
    var object: JSONObject = [:]
    for (column, value) in row {
      object[column] =
        switch value.storage {
        case .null: .null
        case .int64(let number): .integer(number)
        case .double(let number): number.isFinite ? .number(number) : .null
        case .string(let text): .string(text)
        case .blob(let data): .string("\(data.count) bytes")
        }
    }
    return .object(object)
  }

  /// The names of `:named` parameters outside of quotes and comments, each once.
  package static func parameterNames(in query: String) -> [String] {
    let bytes = Array(query.utf8)
    var names: [String] = []
    var index = 0
    func skip(past end: [UInt8]) {
      while index < bytes.count {
        if bytes[index...].starts(with: end) {
          index += end.count
          return
        }
        index += 1
      }
    }
    func isWord(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        || byte == 0x5f || byte >= 0x80
    }
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      switch byte {
      case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"): skip(past: [byte])
      case UInt8(ascii: "["): skip(past: [UInt8(ascii: "]")])
      case UInt8(ascii: "-") where index < bytes.count && bytes[index] == byte: skip(past: [UInt8(ascii: "\n")])
      case UInt8(ascii: "/") where index < bytes.count && bytes[index] == UInt8(ascii: "*"):
        skip(past: Array("*/".utf8))
      case UInt8(ascii: ":"):
        let start = index
        while index < bytes.count, isWord(bytes[index]) { index += 1 }
        let name = String(decoding: bytes[start..<index], as: UTF8.self)
        if !name.isEmpty, !names.contains(name) { names.append(name) }
      default: break
      }
    }
    return names
  }
}
