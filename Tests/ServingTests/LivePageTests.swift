import Foundation
import NIOHTTP1
import Serving
import Testing
import Topics

@Suite("The live page")
struct LivePageTests {
  @Test("the page is one file that may use nothing but itself and this server")
  func page() async throws {
    try await TestServer.run(ModelSlot()) { server in
      let reply = try await server.get("/")
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == ["text/html; charset=utf-8"])
      #expect(reply.headers["cache-control"] == ["no-store"])
      let policy = try #require(reply.headers.first(name: "content-security-policy"))
      #expect(policy.hasPrefix("default-src 'none'; "))
      #expect(policy.contains("; connect-src 'self'; "))
      #expect(!policy.contains("unsafe"))
      for element in ["script", "style"] {
        let parts = reply.text.components(separatedBy: "<\(element)>")
        try #require(parts.count == 2, "\(element)")
        let inside = try #require(parts[1].components(separatedBy: "</\(element)>").first)
        let digest = Data(Digest.sha256(inside).bytes).base64EncodedString()
        #expect(policy.contains("; \(element)-src 'sha256-\(digest)'; "))
      }
      for word in ["http:", "https:", "src=", "href=", "innerHTML", "outerHTML", "insertAdjacent", "document.write"] {
        #expect(!reply.text.contains(word), "\(word)")
      }
      let head = try await server.send(.HEAD, "/")
      #expect(head.status == 200)
      #expect(head.text.isEmpty)
      for name in ["content-type", "content-length", "content-security-policy", "cache-control"] {
        #expect(head.headers[name] == reply.headers[name], "\(name)")
      }
    }
  }

  @Test("neither the page nor what it reads takes a POST", arguments: ["/", "/status"])
  func otherMethods(path: String) async throws {
    try await TestServer.run(ModelSlot()) { server in
      let reply = try await server.send(.POST, path)
      #expect(reply.status == 405)
      #expect(reply.headers["allow"] == ["GET, HEAD"])
      #expect(reply.json?["error"]?["code"] == "method_not_allowed")
    }
  }

  @Test("the status says what is served since when, and what was answered, escalated, refused and failed")
  func status() async throws {
    let slot = ModelSlot()
    try await TestServer.run(slot, engine: .init(workers: 1, maximumRequests: 7), threshold: 0) { server in
      let reply = try await server.get("/status")
      #expect(reply.status == 200)
      #expect(reply.headers["cache-control"] == ["no-store"])
      var status = try #require(reply.json)
      let unready = try #require(try await server.get("/readyz").sentence)
      #expect(
        status == [
          "ready": false, "problem": .string(unready), "model": .null,
          "version": .null, "epoch": .null, "sha256": .null, "since": .null, "answered": 0, "escalated": 0,
          "refused": 0, "failed": 0, "latency_seconds": ["p50": .null, "p99": .null], "in_flight": 0,
          "maximum_in_flight": 7, "spool": .null,
        ])
      slot.problem = "no key is trusted"
      status = try #require(try await server.get("/status").json)
      let reason = try await server.get("/readyz").sentence
      #expect(status["problem"]?.stringValue == reason)
      #expect(reason?.contains("no key is trusted") == true)
      #expect(try await server.chat("play something by Björk").status == 503)

      let before = Int64(Date().timeIntervalSince1970 * 1_000)
      slot.swap(try TinyModel.served(version: 1))
      slot.problem = nil
      #expect(try await server.chat("play something by Björk").status == 200)
      // Too long for the model: there is no call.
      #expect(try await server.chat(String(repeating: "play music ", count: 400)).status == 200)
      #expect(try await server.post([]).status == 400)
      status = try #require(try await server.get("/status").json)
      #expect(status["ready"] == true)
      #expect(status["problem"] == .null)
      #expect(status["model"] == "assistant")
      #expect(status["version"] == 1)
      #expect(status["epoch"] == 1)
      #expect(status["sha256"]?.stringValue == Digest.sha256("version 1").hex)
      let since = try #require(status["since"]?.stringValue.flatMap { RFC3339.milliseconds(of: $0) })
      #expect(since >= before)
      #expect(status["answered"] == 2)
      #expect(status["escalated"] == 1)
      #expect(status["refused"] == 1)
      #expect(status["failed"] == 1)
      let median = try #require(status["latency_seconds"]?["p50"]?.doubleValue)
      let slowest = try #require(status["latency_seconds"]?["p99"]?.doubleValue)
      #expect(0 < median && median <= slowest)

      slot.swap(try TinyModel.served(version: 2))
      slot.problem = "version 3: its signature is not of a trusted key"
      status = try #require(try await server.get("/status").json)
      #expect(status["ready"] == true)
      #expect(status["problem"] == "version 3: its signature is not of a trusted key")
      #expect(status["version"] == 2)
      #expect(status["answered"] == 2)
      let next = try #require(status["since"]?.stringValue.flatMap { RFC3339.milliseconds(of: $0) })
      #expect(next >= since)
    }
  }
}
