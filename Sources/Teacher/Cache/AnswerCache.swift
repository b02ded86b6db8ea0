internal import Foundation
internal import GRDB
package import Topics

/// One finished exchange: what is cached, and what a label is made of.
package struct Exchange: Sendable {
  package let call: Call
  package let usage: TokenUsage
  package let cost: Double
  package let trace: [ChatMessage]
  package let topLogprobs: TokenLogprobs?
  package let raw: String

  package init(
    call: Call, usage: TokenUsage, cost: Double, trace: [ChatMessage], topLogprobs: TokenLogprobs?, raw: String
  ) {
    self.call = call
    self.usage = usage
    self.cost = cost
    self.trace = trace
    self.topLogprobs = topLogprobs
    self.raw = raw
  }
}

/// Successful exchanges by content, in one SQLite file that several processes may share.
///
/// Only exchanges that led to an accepted label are stored, so a failure is always asked anew. What every answer has cost
/// is kept for an hour, whatever became of it. Durability: a
/// power loss may lose the last entries (they are asked for again), never the file's consistency.
package final class AnswerCache: Sendable {
  /// 2: an answer says whose request it is for. The answers of an older file are asked for again.
  private static let version: Int64 = 2
  /// "RTrt" as SQLite's application id: whose file this is.
  private static let applicationID: Int64 = 0x5254_7274

  private let queue: DatabaseQueue

  /// Opens or makes the file.
  ///
  /// - Throws: `TeacherError` with `cache_unusable`.
  package init(path: String) throws(TeacherError) {
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    configuration.label = "retort.teacher.cache"
    do {
      queue = try DatabaseQueue(path: path, configuration: configuration)
      try queue.writeWithoutTransaction { db in
        // What is deleted is overwritten: it may be of a request that is to be forgotten.
        try db.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON")
        try db.inTransaction(.immediate) {
          try Self.prepare(db, path: path)
          return .commit
        }
      }
    } catch let error as TeacherError {
      throw error
    } catch {
      throw TeacherError(
        .cacheUnusable, subject: path, expected: "a SQLite file that can be written", found: String(describing: error))
    }
  }

  private static func prepare(_ db: Database, path: String) throws {
    let owner = try Int64.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    let tables = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
    let found = try Int64.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    if owner == 0 && tables == 0 || owner == applicationID && found == 1 {
      try db.execute(
        sql: """
          PRAGMA application_id = \(applicationID);
          PRAGMA user_version = \(version);
          DROP TABLE IF EXISTS answers;
          CREATE TABLE answers (
            key BLOB PRIMARY KEY, request BLOB NOT NULL, at INTEGER NOT NULL, tokens INTEGER NOT NULL,
            cost REAL NOT NULL, answer TEXT NOT NULL
          ) WITHOUT ROWID;
          CREATE INDEX answers_at ON answers (at);
          CREATE INDEX answers_request ON answers (request);
          """)
    } else if owner != applicationID || found != version {
      throw TeacherError(
        .cacheUnusable, subject: path, expected: "an answer cache of version \(version)",
        found: owner == applicationID ? "version \(found)" : "another program's database")
    }
    try db.execute(
      sql: """
        CREATE TABLE IF NOT EXISTS spending (at INTEGER NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL);
        CREATE INDEX IF NOT EXISTS spending_at ON spending (at);
        """)
  }

  /// SHA-256 of the canonical JSON of everything the answer depends on.
  ///
  /// - Parameters:
  ///   - endpoint: whom the model's name is of.
  ///   - vocabulary: what its log-probabilities are of; nil where it has none.
  package static func key(
    endpoint: String, parameters: JSONObject, messages: [JSON], sample: Int, vocabulary: Digest? = nil
  ) -> Digest {
    var content: JSONObject = [
      "endpoint": .string(endpoint), "parameters": .object(parameters), "messages": .array(messages),
      "sample": .integer(Int64(sample)),
    ]
    content["vocabulary"] = vocabulary.map { .string($0.hex) }
    return Digest.sha256(JSON.object(content).canonical)
  }

  /// What a request is called in the cache: SHA-256 of its messages, role and content.
  package static func request(_ messages: [ChatMessage]) -> Digest {
    Digest.sha256(
      JSON.array(messages.map { .array([.string($0.role.rawValue), .string($0.content)]) }).canonical)
  }

  /// The exchange that was stored at a moment (milliseconds since 1970) or later, if there is one that can be read. Its usage and cost
  /// are zero: it costs nothing again.
  package func exchange(for key: Digest, since oldest: Int64) async throws -> Exchange? {
    let text = try await queue.read { db in
      try String.fetchOne(
        db.cachedStatement(sql: "SELECT answer FROM answers WHERE key = ? AND at >= ?"),
        arguments: [Data(key.bytes), oldest])
    }
    guard let text, let json = try? JSON.parse(text), let call = json["call"].flatMap({ try? Call(json: $0) }) else {
      return nil
    }
    let trace = (json["trace"]?.arrayValue ?? []).compactMap { try? ChatMessage(json: $0) }
    return Exchange(
      call: call, usage: .none, cost: 0, trace: trace,
      topLogprobs: json["top_logprobs"].flatMap { try? TokenLogprobs(json: $0) },
      raw: json["raw"]?.stringValue ?? "")
  }

  /// Stores an exchange; the last one wins. A few of those before `oldest`, which nobody will ask for, go with it.
  ///
  /// - Parameters:
  ///   - wallMilliseconds: now, since 1970.
  ///   - oldest: the same.
  package func store(
    _ exchange: Exchange, for key: Digest, request: Digest, at wallMilliseconds: Int64, forgettingBefore oldest: Int64
  ) async throws {
    var answer: JSONObject = [
      "call": exchange.call.json, "raw": .string(exchange.raw), "trace": .array(exchange.trace.map(\.json)),
    ]
    answer["top_logprobs"] = exchange.topLogprobs?.json
    let text = JSON.object(answer).text
    try await queue.write { db in
      try db.cachedStatement(
        sql: "INSERT OR REPLACE INTO answers (key, request, at, tokens, cost, answer) VALUES (?, ?, ?, ?, ?, ?)"
      ).execute(arguments: [
        Data(key.bytes), Data(request.bytes), wallMilliseconds, exchange.usage.total, exchange.cost, text,
      ])
      try db.cachedStatement(
        sql: "DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE at < ? ORDER BY at LIMIT 8)"
      ).execute(arguments: [oldest])
    }
  }

  /// Removes an exchange whose label was refused later.
  package func remove(_ key: Digest) async throws {
    try await queue.write { db in
      try db.cachedStatement(sql: "DELETE FROM answers WHERE key = ?").execute(arguments: [Data(key.bytes)])
    }
  }

  /// Removes every exchange about these requests, overwriting its bytes in the file and in what SQLite has written ahead;
  /// how many there were.
  package func forget(_ requests: Set<Digest>) throws -> Int {
    let count = try queue.write { db in
      try requests.reduce(0) { count, request in
        try db.execute(sql: "DELETE FROM answers WHERE request = ?", arguments: [Data(request.bytes)])
        return count + db.changesCount
      }
    }
    // Deleted answers stand in the file of what is written ahead until it is emptied. SQLite does not wait for another process
    // that is emptying it.
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      do {
        _ = try queue.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        return count
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && ContinuousClock.now < deadline {
        Thread.sleep(forTimeInterval: 0.02)
      }
    }
  }

  /// Takes note of what an answer has cost.
  package func spent(tokens: Int, cost: Double, at wallMilliseconds: Int64) async throws {
    try await queue.write { db in
      try db.cachedStatement(sql: "INSERT INTO spending (at, tokens, cost) VALUES (?, ?, ?)")
        .execute(arguments: [wallMilliseconds, tokens, cost])
      // Budgets are an hour's.
      try db.cachedStatement(sql: "DELETE FROM spending WHERE at < ?").execute(arguments: [wallMilliseconds - 3_600_000]
      )
    }
  }

  /// What answers have cost since a moment within the hour: (milliseconds since 1970, tokens, money).
  package func spending(since wallMilliseconds: Int64) throws -> [(at: Int64, tokens: Int, cost: Double)] {
    try queue.read { db in
      try Row.fetchAll(
        db, sql: "SELECT at, tokens, cost FROM spending WHERE at > ? ORDER BY at", arguments: [wallMilliseconds]
      ).map { (at: $0["at"], tokens: $0["tokens"], cost: $0["cost"]) }
    }
  }

  /// Closes the file.
  package func close() { try? queue.close() }
}
