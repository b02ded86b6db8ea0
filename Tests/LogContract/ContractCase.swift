import MessageLog

/// One statement about what a log does, and the proof of it.
public struct ContractCase: Sendable, CustomStringConvertible {
  /// What came of a case.
  public enum Outcome: Sendable, Hashable {
    /// The log did as it should.
    case passed
    /// The log says that it cannot do this: the reason.
    case skipped(String)
  }

  /// The statement.
  public let name: String
  let needs: [String]
  let body: @Sendable (LogHarness, any MessageLog) async throws -> Void

  init(
    _ name: String, needs: [String] = [], _ body: @escaping @Sendable (LogHarness, any MessageLog) async throws -> Void
  ) {
    self.name = name
    self.needs = needs
    self.body = body
  }

  /// The statement.
  public var description: String { name }

  /// Runs the case against a fresh log.
  ///
  /// - Throws: ``ContractFailure``, or what the log threw where it should not have.
  public func run(_ harness: LogHarness) async throws -> Outcome {
    let log = try await harness.open()
    let capabilities = log.capabilities
    let missing = needs.filter { need in !capabilities.all.contains { $0.name == need && $0.holds } }
    do {
      if missing.isEmpty { try await body(harness, log) }
    } catch {
      try? await log.close()
      await harness.cleanUp()
      throw error
    }
    try await log.close()
    await harness.cleanUp()
    let reason = "\(name): \(capabilities.name) has no \(missing.joined(separator: ", "))"
    return missing.isEmpty ? .passed : .skipped(reason)
  }
}

/// The log did not do as the contract says.
public struct ContractFailure: Error, CustomStringConvertible {
  /// What was expected, and where.
  public let description: String
}

/// Fails the case where a condition does not hold.
func expect(
  _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) throws {
  if !condition { throw ContractFailure(description: "\(message()) (\(file):\(line))") }
}

/// Fails the case where two values differ.
func expectEqual<T: Equatable>(
  _ found: T, _ expected: T, _ what: String = "value", file: StaticString = #fileID, line: UInt = #line
) throws {
  try expect(
    found == expected,
    "\(what): expected \(String(describing: expected).prefix(400)), found "
      + "\(String(describing: found).prefix(400))", file: file, line: line)
}

/// Fails the case where the work does not throw the log's error with this code.
@discardableResult
func expectError(
  _ code: MessageLogError.Code, file: StaticString = #fileID, line: UInt = #line,
  _ work: () async throws -> Void
) async throws -> MessageLogError {
  do {
    try await work()
  } catch let error as MessageLogError {
    try expectEqual(error.code, code, "error code of '\(error)'", file: file, line: line)
    try expect(!error.advice.isEmpty, "an error without advice", file: file, line: line)
    return error
  }
  throw ContractFailure(description: "expected the error \(code.rawValue), but nothing was thrown (\(file):\(line))")
}

/// Repeats a look until it is right.
func eventually(
  within limit: Duration, _ what: String, file: StaticString = #fileID, line: UInt = #line,
  _ look: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + limit
  while !(try await look()) {
    try expect(ContinuousClock.now < deadline, "not within \(limit): \(what)", file: file, line: line)
    try await Task.sleep(for: .milliseconds(10))
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

extension Record {
  var text: String { String(decoding: value ?? [], as: UTF8.self) }
}

/// A record of texts.
func new(_ topic: String, _ value: String?, key: String? = nil, partition: Int? = nil, at time: Int64? = nil)
  -> NewRecord
{
  NewRecord(
    topic: topic, partition: partition, key: key.map(bytes), value: value.map(bytes), timestamp: time)
}

extension RecordReader {
  /// Reads until there are `count` records.
  func take(
    _ count: Int, within limit: Duration = .seconds(20), file: StaticString = #fileID, line: UInt = #line
  ) async throws -> [Record] {
    let deadline = ContinuousClock.now + limit
    var records: [Record] = []
    while records.count < count {
      records += try await next(maximum: count - records.count, timeout: .milliseconds(200))
      try expect(
        ContinuousClock.now < deadline, "only \(records.count) of \(count) records within \(limit)", file: file,
        line: line)
    }
    return records
  }
}
