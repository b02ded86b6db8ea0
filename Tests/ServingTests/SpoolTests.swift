import Foundation
import MessageLog
import Serving
import Testing
import Topics

@Suite("The spool of live requests")
struct SpoolTests {
  private static func record(_ number: Int, text: String = "play") -> RequestRecord {
    RequestRecord(id: "r\(number)", messages: [.user(text)])
  }

  private static func spool(
    _ folder: String, bytes: Int = 1 << 20, segment: Int = 1 << 20
  ) throws -> RequestSpool {
    try RequestSpool(
      folder: folder, maximumBytes: bytes, interval: .milliseconds(5), segmentBytes: segment,
      logger: TestServer.logger)
  }

  /// Opens a spool again that is closed: its folder is free when the last reference to it is gone, which may be a task's that has ended.
  private static func reopened(_ folder: String) async throws -> RequestSpool {
    let deadline = ContinuousClock.now + .seconds(20)
    while true {
      do { return try spool(folder) } catch  where ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(10))
      }
    }
  }

  /// Forwards everything that a spool holds.
  private static func drain(_ spool: RequestSpool, to log: RecordingLog) async throws {
    let forwarder = SpoolForwarder(spool: spool, log: log, names: TopicNames(), logger: TestServer.logger)
    let running = Task { try await forwarder.run() }
    for _ in 0..<1_000 where spool.figures.records > 0 { try await Task.sleep(for: .milliseconds(5)) }
    await spool.close()
    try await running.value
  }

  @Test("records reach the log in order, over many segments, and the segments go")
  func order() async throws {
    try await withFolder { folder in
      let spool = try Self.spool(folder, segment: 300)
      for number in 0..<50 {
        #expect(spool.append(Self.record(number)))
        if number % 10 == 0 { try await Task.sleep(for: .milliseconds(8)) }
      }
      let log = RecordingLog(failures: 2)
      try await Self.drain(spool, to: log)
      #expect(log.keys == (0..<50).map { "r\($0)" })
      #expect(log.records.allSatisfy { $0.topic == "retort.requests" })
      let figures = spool.figures
      #expect(figures.records == 0 && figures.bytes == 0 && figures.dropped == 0)
      #expect(figures.forwarded == 50)
      let left = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".spool") }
      #expect(left.count <= 1)
    }
  }

  @Test("what was spooled survives a restart, and is forwarded once")
  func restart() async throws {
    try await withFolder { folder in
      do {
        let spool = try Self.spool(folder)
        for number in 0..<5 { spool.append(Self.record(number)) }
        await spool.close()
      }
      let log = RecordingLog()
      do {
        let spool = try await Self.reopened(folder)
        #expect(spool.figures.records == 5)
        spool.append(Self.record(5))
        try await Self.drain(spool, to: log)
      }
      #expect(log.keys == (0..<6).map { "r\($0)" })
      let again = try await Self.reopened(folder)
      #expect(again.figures.records == 0)
    }
  }

  @Test("what the note says is in the log is not forwarded again where the note's own segment has not been begun")
  func noteAhead() async throws {
    try await withFolder { folder in
      do {
        let spool = try Self.spool(folder)
        for number in 0..<3 { spool.append(Self.record(number)) }
        await spool.close()
      }
      try Data(#"{"segment":2,"offset":0}"#.utf8).write(to: URL(fileURLWithPath: folder + "/forwarded"))
      let spool = try await Self.reopened(folder)
      #expect(spool.figures.records == 0)
      #expect(!FileManager.default.fileExists(atPath: folder + "/1.spool"))
      spool.append(Self.record(3))
      let log = RecordingLog()
      try await Self.drain(spool, to: log)
      #expect(log.keys == ["r3"])
    }
  }

  @Test("a torn tail and a flipped bit cost only what they hit")
  func damage() async throws {
    try await withFolder { folder in
      do {
        let spool = try Self.spool(folder)
        for number in 0..<3 { spool.append(Self.record(number)) }
        await spool.close()
      }
      let path = folder + "/1.spool"
      var bytes = [UInt8](try #require(FileManager.default.contents(atPath: path)))
      bytes[bytes.count / 3 + 30] ^= 0x40
      bytes += bytes.prefix(20)
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let log = RecordingLog()
      let spool = try await Self.reopened(folder)
      spool.append(Self.record(3))
      try await Self.drain(spool, to: log)
      #expect(log.keys == ["r0", "r2", "r3"])
    }
  }

  @Test("a segment that cannot be read now is waited for, and nothing behind it is passed over")
  func unreadable() async throws {
    try await withFolder { folder in
      // Each start begins a segment.
      for number in 0..<3 {
        let spool = try await Self.reopened(folder)
        spool.append(Self.record(number))
        await spool.close()
      }
      let (path, aside) = (folder + "/1.spool", folder + "/aside")
      let log = RecordingLog()
      do {
        let spool = try await Self.reopened(folder)
        #expect(spool.figures.records == 3)
        try FileManager.default.moveItem(atPath: path, toPath: aside)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
        await spool.close()
        try await SpoolForwarder(spool: spool, log: log, names: TopicNames(), logger: TestServer.logger).run()
        #expect(log.keys.isEmpty)
        #expect(spool.figures.records == 3)
      }
      #expect(throws: ServingError.self) { try Self.spool(folder) }
      try FileManager.default.removeItem(atPath: path)
      try FileManager.default.moveItem(atPath: aside, toPath: path)
      try await Self.drain(try await Self.reopened(folder), to: log)
      #expect(log.keys == ["r0", "r1", "r2"])
    }
  }

  @Test("above the bound records are dropped and counted")
  func bound() async throws {
    try await withFolder { folder in
      let spool = try Self.spool(folder, bytes: 1_000)
      let taken = (0..<50).map { spool.append(Self.record($0)) }
      #expect(taken[0])
      #expect(!taken[49])
      #expect(spool.figures.dropped == taken.count { !$0 })
      #expect(spool.figures.bytes <= 1_000)
      let log = RecordingLog()
      try await Self.drain(spool, to: log)
      #expect(log.keys.count == taken.count { $0 })
    }
  }

  @Test("a record that the log refuses for good does not hold up the others")
  func refused() async throws {
    try await withFolder { folder in
      let spool = try Self.spool(folder)
      for number in 0..<5 { spool.append(Self.record(number)) }
      let log = RecordingLog(refusedKey: "r2")
      try await Self.drain(spool, to: log)
      #expect(log.keys == ["r0", "r1", "r3", "r4"])
      #expect(spool.figures.dropped == 1)
    }
  }

  @Test("a folder that is in use, or cannot be made, is an error")
  func folders() async throws {
    try await withFolder { folder in
      let first = try Self.spool(folder)
      #expect(throws: ServingError.self) { try Self.spool(folder) }
      try Data().write(to: URL(fileURLWithPath: folder + "/file"))
      #expect(throws: ServingError.self) { try Self.spool(folder + "/file/below") }
      #expect(try FolderLock.first(of: folder).path == folder + "-2")
      try? FileManager.default.removeItem(atPath: folder + "-2")
      await first.close()
    }
  }

  @Test("what a server that runs no longer has left in its folder is forwarded by another one")
  func leftBehind() async throws {
    try await withFolder { folder in
      let path = folder + "/assistant"
      for (number, name) in ["-2", "-3"].enumerated() {
        let spool = try Self.spool(path + name + "/spool")
        spool.append(Self.record(number))
        await spool.close()
      }
      let own = try FolderLock.first(of: path)
      let running = try FolderLock.only(path + "-3")
      // The folder of a spool that is closed is free a moment later.
      var left: [RequestSpool] = []
      let deadline = ContinuousClock.now + .seconds(20)
      while left.isEmpty, ContinuousClock.now < deadline {
        left = RequestSpool.left(in: path, logger: TestServer.logger)
        if left.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
      }
      #expect(left.map(\.folder) == [path + "-2/spool"])
      // A server that starts now takes neither.
      #expect(try FolderLock.first(of: path).path == path + "-4")
      let log = RecordingLog()
      try await Self.drain(try #require(left.first), to: log)
      #expect(log.keys == ["r0"])
      #expect(own.path == path && running.path == path + "-3")
    }
  }

  @Test(
    "a server that is told to stop does not wait for a log that takes nothing: the spool keeps it",
    .timeLimit(.minutes(1)))
  func away() async throws {
    try await withFolder { folder in
      let spool = try Self.spool(folder)
      spool.append(Self.record(1))
      let log = RecordingLog(isSilent: true)
      let forwarder = SpoolForwarder(
        spool: spool, log: log, names: TopicNames(), patience: .zero, logger: TestServer.logger)
      try await TestServer.run(
        ModelSlot(), spool: spool, forwarder: forwarder, shutdownTimeout: .seconds(3_600)
      ) { _ in await log.isAsked() }
      #expect(spool.figures.records == 1 && spool.figures.dropped == 0)
    }
  }

  @Test("what other servers have left counts as waiting, too, in the metrics and on the page")
  func leftIsShown() async throws {
    try await withFolder { folder in
      let own = try Self.spool(folder + "/assistant/spool")
      let left = try Self.spool(folder + "/assistant-2/spool")
      left.append(Self.record(1))
      let forwarder = SpoolForwarder(
        spool: left, log: RecordingLog(failures: .max), names: TopicNames(), logger: TestServer.logger)
      try await TestServer.run(ModelSlot(), spool: own, forwarder: forwarder) { server in
        #expect(try await server.get("/status").json?["spool"]?["records"] == 1)
        let metrics = try await server.get("/metrics").text
        #expect(metrics.contains("\nretort_spool_records 1\n"), "\(metrics)")
      }
      await own.close()
    }
  }

  @Test("a served request is recorded with its answer, its producer and the caller's trace")
  func recorded() async throws {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    try await withFolder { folder in
      let spool = try Self.spool(folder)
      let log = RecordingLog()
      let forwarder = SpoolForwarder(spool: spool, log: log, names: TopicNames(), logger: TestServer.logger)
      try await TestServer.run(ModelSlot(try TinyModel.served(version: 2)), spool: spool, forwarder: forwarder) {
        server in
        let reply = try await server.chat(
          "play something by acdc", headers: [("X-Request-Id", "live-1"), ("Traceparent", trace)])
        #expect(reply.status == 200)
        let odd = [("X-Request-Id", "not sane!"), ("traceparent", "00-not-a-trace-01")]
        #expect(try await server.chat("stop", headers: odd).status == 200)
        // A label of what leaves nothing to call, or follows a call's result, would teach a call all the same.
        let handled: JSON = [
          ["role": "user", "content": "play something by acdc"],
          [
            "role": "assistant", "content": .null,
            "tool_calls": [
              ["id": "1", "type": "function", "function": ["name": "stop_music", "arguments": "{}"]]
            ],
          ], ["role": "tool", "tool_call_id": "1", "content": "ok"],
        ]
        for extra: JSONObject in [
          ["tool_choice": "none"], ["tools": [["type": "web_search"]]], ["messages": handled],
        ] {
          #expect(try await server.chat("play nothing", extra).status == 200)
        }
      }
      #expect(log.keys.count == 2)
      #expect(log.records.map { $0.headers.text("schema") } == ["requests/1.0", "requests/1.0"])
      #expect(log.records.map { $0.headers.text("traceparent") } == [trace, nil])
      let record = try RequestRecord(bytes: try #require(log.records.first?.value))
      #expect(record.id == "live-1")
      #expect(record.question == "play something by acdc")
      #expect(record.response?.producer == "retort/assistant@2")
      #expect(try record.response?.answeredCall() != nil)
      #expect(record.time != nil)
      #expect(log.keys[1].hasPrefix("req-"))
    }
  }
}
