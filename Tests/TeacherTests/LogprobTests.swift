import Foundation
import Teacher
import Testing
import Topics

@Suite("Log-probabilities of a teacher's answer, in the form of OpenAI's endpoint")
struct LogprobTests {
  /// A vocabulary of 256 bytes and a few words.
  static let words = ["kitchen", "kit", "chen", "attic", "{\"", "room", "\":", " \"", "\"", "\",", "true", "}}", "é"]
  static let vocabulary = TokenVocabulary(
    digest: .sha256("a tokenizer"),
    tokens: (0..<256).map { (Int32($0), [UInt8($0)]) } + words.enumerated().map { (Int32(256 + $0), Array($1.utf8)) })

  static func id(_ word: String) -> Int32 { Int32(256 + (words.firstIndex(of: word) ?? -1_000)) }

  /// One token with its alternatives, itself first.
  static func token(_ text: String, _ log: Double = -0.25, _ others: (String, Double)...) -> JSON {
    func one(_ text: String, _ log: Double) -> JSONObject {
      ["token": .string(text), "logprob": .number(log), "bytes": .array(text.utf8.map { .integer(Int64($0)) })]
    }
    var entry = one(text, log)
    entry["top_logprobs"] = .array([.object(one(text, log))] + others.map { .object(one($0, $1)) })
    return .object(entry)
  }

  /// What a server that prints calls as text answers for `Fixtures.light`: the call with other text around it.
  static let answer: [JSON] = [
    token("<tool_call>"), token("\n"), token("{\""), token("name"), token("\":"), token(" \""), token("set_light"),
    token("\","),
    token(" "), token("\""), token("arguments"), token("\":"), token(" "),
    token("{\""), token("room"), token("\":", -0.01), token(" \""),
    token("kitchen", -0.75, ("attic", -2), ("unheard", -2.5), ("kit", -1.5)), token("\","), token(" "), token("\""),
    token("o"),
    token("n"), token("\":"), token(" "), token("true"), token("}}"), token("\n"), token("</tool_call>"),
  ]

  private static func read(_ content: [JSON], top: Int = 3, call: Call? = nil) throws -> TokenLogprobs {
    let call = try call ?? Call(name: "set_light", arguments: #require(JSON.parse(Fixtures.light.1).objectValue))
    return try LogprobReader.read(["content": .array(content)], of: call, vocabulary, top: top)
  }

  @Test("The tokens of the arguments alone are kept, with their likeliest alternatives that the tokenizer has")
  func reading() throws {
    let found = try Self.read(Self.answer)
    #expect(found.tokenizer == Self.vocabulary.digest)
    #expect(found.tokens.first == Self.id("{\"") && found.tokens.last == Self.id("}}"))
    #expect(found.tokens.count == 14)
    let place = try #require(found.tokens.firstIndex(of: Self.id("kitchen")))
    let alternatives = found.alternatives(at: place)
    #expect(alternatives.map(\.token) == [Self.id("kitchen"), Self.id("kit"), Self.id("attic")])
    #expect(alternatives.map(\.logprob) == [-0.75, -1.5, -2])
    #expect(try Self.read(Self.answer, top: 1).alternatives(at: place).count == 1)
    #expect(found.alternatives(at: 0).count == 1)
    #expect(try TokenLogprobs(json: JSON.parse(found.json.bytes)) == found)
  }

  @Test("Bytes are read where they are given, parts of characters too; what has no token is none")
  func bytes() throws {
    let call = Call(name: "play", arguments: ["artist": "é\u{FFFD}"])
    var half = Self.token("?").objectValue ?? [:]
    func halves(_ byte: Int64) -> JSON {
      half["bytes"] = [.integer(byte)]
      half["top_logprobs"] = [.object(["token": "?", "logprob": -0.125, "bytes": [.integer(byte)]])]
      return .object(half)
    }
    let content =
      [Self.token("{\""), Self.token("artist"), Self.token("\":"), Self.token("\"")] + [halves(0xC3), halves(0xA9)] + [
        Self.token("\u{FFFD}"), Self.token("\""), Self.token("}"),
      ]
    let found = try Self.read(content, call: call)
    #expect(found.tokens == [Self.id("{\""), -1, Self.id("\":"), 0x22, 0xC3, 0xA9, -1, 0x22, 0x7D])
    #expect(found.alternatives(at: 4).map(\.token) == [0xC3])
    #expect(found.alternatives(at: 6).isEmpty)
  }

  @Test("What cannot be used is refused with what was found")
  func hostile() throws {
    func found(_ content: [JSON]) -> String? {
      do {
        _ = try Self.read(content)
        return nil
      } catch let error as LogprobReader.Unusable {
        return error.found
      } catch {
        return "\(error)"
      }
    }
    func changed(_ change: (inout JSONObject) -> Void) -> [JSON] {
      Self.answer.map { entry in
        guard var object = entry.objectValue, object["token"] == "kitchen" else { return entry }
        change(&object)
        return .object(object)
      }
    }
    let one: JSONObject = ["token": "kit", "logprob": -0.01]
    let cases: [(String, [JSON])] = [
      ("no logprobs.content", []),
      ("more than", [JSON](repeating: Self.token("x"), count: LogprobReader.maximumTokens + 1)),
      ("without its text", [["logprob": -1]]),
      ("without its text", [["token": "x", "bytes": [300]]]),
      ("nowhere", Array(Self.answer.dropLast(3))),
      ("nowhere", [JSON](repeating: Self.token("{"), count: 10_000)),
      ("top_logprobs", changed { $0["top_logprobs"] = nil }),
      ("top_logprobs", changed { $0["top_logprobs"] = .array([JSON](repeating: .object(one), count: 65)) }),
      ("of at most 0", changed { $0["top_logprobs"] = [["token": "kit", "logprob": 0.5]] }),
      ("of at most 0", changed { $0["top_logprobs"] = [["token": "kit", "logprob": "often"]] }),
      ("of at most 0", changed { $0["top_logprobs"] = [["logprob": -1]] }),
      ("add up to", changed { $0["top_logprobs"] = .array([JSON](repeating: .object(one), count: 2)) }),
    ]
    for (expected, content) in cases { #expect(found(content)?.contains(expected) == true, "\(expected)") }
    #expect(found(changed { $0["top_logprobs"] = [["token": "kit", "logprob": -1e300]] }) == nil)
    let long = #"{"room":""# + String(repeating: "x", count: 5_000) + #"","on":true}"#
    let call = Call(name: "set_light", arguments: try #require(JSON.parse(long).objectValue))
    #expect(throws: LogprobReader.Unusable.self) {
      try Self.read(long.map { Self.token(String($0)) }, call: call)
    }
  }

  @Test(
    "They are asked for, kept with the label and in the cache; an answer without is a label all the same, and counted")
  func labelling() async throws {
    let folder = try Fixtures.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try await ScriptedServer.run { seen in
      .calls(Fixtures.light, logprobs: seen.said == "plain" ? nil : ["content": .array(Self.answer)])
    } body: { address, server in
      let configuration = Fixtures.configuration(address) {
        $0.topLogprobs = 3
        $0.vocabulary = Self.vocabulary
        $0.cachePath = folder.appendingPathComponent("answers.db").path
      }
      let teacher = try Teacher(task: try Fixtures.task(), configuration: configuration, logger: Fixtures.quiet)
      let first = try await teacher.label(Fixtures.request()).accepted
      #expect(first?.topLogprobs == (try Self.read(Self.answer)))
      #expect(server.seen[0].body["logprobs"] == true && server.seen[0].body["top_logprobs"] == 3)
      #expect(try await teacher.label(Fixtures.request()).accepted?.topLogprobs == first?.topLogprobs)
      #expect(server.seen.count == 1)
      let plain = try await teacher.label(Fixtures.request("plain", id: "2")).accepted
      #expect(plain != nil && plain?.topLogprobs == nil)
      #expect(teacher.metrics.logprobs == 1 && teacher.metrics.missedLogprobs == 1)
      await teacher.shutdown()
      // Another tokenizer is another question: what is cached is of the old one's tokens.
      var other = configuration
      other.vocabulary = TokenVocabulary(digest: .sha256("another"), tokens: [])
      let label = try await Fixtures.label(Fixtures.request(), task: try Fixtures.task(), configuration: other).accepted
      #expect(label?.topLogprobs?.tokenizer == .sha256("another"))
      #expect(server.seen.count == 3)
    }
    #expect(throws: TeacherError.self) {
      try Fixtures.configuration("http://localhost") { $0.topLogprobs = 3 }.validate()
    }
  }
}
