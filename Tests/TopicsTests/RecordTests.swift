import Testing
import Topics

@Suite("Values of the topics")
struct RecordTests {
  private static let call = Call(name: "set_light", arguments: ["room": "kitchen", "level": 30])

  @Test("A CloudEvent gives its id, time and data")
  func cloudEvent() throws {
    let json = try Files.json("topics/requests/examples/valid/form-cloudevent.json")
    let record = try RequestRecord(json: json)
    #expect(record.id == "ev-91")
    #expect(record.time == "2026-03-02T07:14:05Z")
    #expect(record.question == "Dim the hall")
    #expect(record.metadata["cloudevent"]?["source"] == "//voice.example/edge/7")
  }

  @Test("A log record gives the completion's id, the model as producer, and its call")
  func logRecord() throws {
    let json = try Files.json("topics/requests/examples/valid/form-log-record.json")
    let record = try RequestRecord(json: json)
    #expect(record.id == "chatcmpl-9fK")
    #expect(record.time == "2026-03-02T07:14:05Z")
    #expect(record.question == "Is it raining in Oslo?")
    #expect(record.response?.producer == "meta/llama-3.3-70b-instruct")
    #expect(try record.response?.answeredCall() == Call(name: "get_weather", arguments: ["city": "Oslo"]))
    #expect(record.metadata["workload_id"] == "home-assistant")
  }

  @Test("A log record without an id is named by its content, the same every time")
  func logRecordWithoutID() throws {
    let json = try Files.json("topics/requests/examples/valid/form-log-record-unanswered.json")
    let record = try RequestRecord(json: json)
    #expect(record.id.hasPrefix("log-"))
    #expect(try RequestRecord(json: try JSON.parse(json.canonical)).id == record.id)
    #expect(record.response == nil)
  }

  @Test("A log record's own id, time and metadata are metadata, so that it stays the same request in the plain form")
  func logRecordOnwards() throws {
    let example = try Files.json("topics/requests/examples/valid/form-log-record.json")
    let fields: [JSONObject] = [
      ["id": "evt-7", "metadata": ["tenant": "a", "workload_id": "other"]], ["time": 1_732_600_000, "metadata": "x"],
    ]
    for own in fields {
      guard case .object(var object) = example else { continue }
      object.merge(own)
      let record = try RequestRecord(json: .object(object))
      let again = try RequestRecord(json: record.json)
      #expect((again.id, again.time, again.metadata) == (record.id, record.time, record.metadata))
      #expect(record.id == "chatcmpl-9fK" && record.metadata["workload_id"] == "home-assistant")
      for (name, value) in own where value.objectValue == nil { #expect(record.metadata[name] == value) }
      if own["id"] != nil { #expect(record.metadata["tenant"] == "a") }
    }
  }

  @Test("An imported call has the producer import")
  func imported() throws {
    let line: JSON = ["id": "r1", "text": "lights", "call": ["name": "f", "arguments": ["a": 1]]]
    let record = try RequestRecord(imported: line)
    #expect(record.response?.producer == "import")
    #expect(record.response?.call == Call(name: "f", arguments: ["a": 1]))
    #expect(try RequestRecord(imported: ["id": "r2", "text": "x"]).response == nil)
  }

  @Test("A sample's digest names what training sees and nothing else")
  func sampleDigest() throws {
    let sample = SampleRecord(id: "a", messages: [.user("hi")], call: Self.call, split: .train)
    var labelled = sample
    labelled.cost = 3
    labelled.source = RecordCoordinates(topic: "t", partition: 0, offset: 9)
    labelled.usage = TokenUsage(promptTokens: 1, completionTokens: 2, calls: 3)
    #expect(labelled.contentDigest == sample.contentDigest)
    let others = [
      SampleRecord(id: "b", messages: [.user("hi")], call: Self.call, split: .train),
      SampleRecord(id: "a", messages: [.user("ho")], call: Self.call, split: .train),
      SampleRecord(id: "a", messages: [.system("hi")], call: Self.call, split: .train),
      SampleRecord(id: "a", messages: [.user("hi")], call: Call(name: "f", arguments: [:]), split: .train),
      SampleRecord(id: "a", messages: [.user("hi")], call: Self.call, split: .dev),
      SampleRecord(id: "a", messages: [.user("hi")], call: Self.call, split: .train, weight: 2),
      SampleRecord(
        id: "a", messages: [.user("hi")], call: Self.call, split: .train, functionsDigest: .sha256("functions")),
      SampleRecord(
        id: "a", messages: [.user("hi")], call: Self.call, split: .train,
        judged: [JudgedCall(call: Self.call, score: 0.5, producer: "people")]),
      SampleRecord(
        id: "a", messages: [.user("hi")], call: Self.call, split: .train,
        topLogprobs: try TokenLogprobs(
          tokenizer: .sha256("tokens"), top: 1, tokens: [-1, 7], alternatives: [3, 7], logprobs: [-1.5, -0.25])),
    ]
    for other in others {
      #expect(other.digest != sample.digest)
      #expect(try SampleRecord(json: other.json) == other)
    }
    #expect(try SampleRecord(json: labelled.json) == labelled)
  }

  @Test("A sample that would count for more than a billion others is refused")
  func tinyPropensity() throws {
    var sample = SampleRecord(id: "a", messages: [.user("hi")], call: Self.call, split: .dev)
    for propensity in [1, 1e-9] {
      sample.propensity = propensity
      #expect(try SampleRecord(json: sample.json).propensity == propensity)
    }
    for propensity in [0, 1e-10, 1e-200] {
      sample.propensity = propensity
      #expect(throws: TopicError.self) { _ = try SampleRecord(json: sample.json) }
    }
  }

  @Test("A cut closes a round")
  func cut() throws {
    let cut = SampleRecord.cut(after: .sha256("3"))
    #expect(cut.json["kind"] == "cut")
    #expect(cut.id == "cut/4e07408562bedb8b")
    #expect(try SampleRecord(json: cut.json) == cut)
    #expect(cut.digest != SampleRecord.cut(after: .sha256("4")).digest)
  }

  @Test("Release points have keys of their own, so that compaction hides none")
  func checkpointKeys() throws {
    let json = try Files.json("topics/checkpoints/examples/valid/release-point.json")
    var record = try CheckpointRecord(json: json)
    #expect(record.key == "home/release-2")
    record.releasePoint = nil
    #expect(record.key == "home")
  }

  @Test("Every bit of a manifest but its signature is in its digest")
  func manifestDigest() throws {
    let json = try Files.json("topics/releases/examples/valid/manifest-signed.json")
    let manifest = try #require(try ReleaseRecord(json: json).manifest)
    var unsigned = manifest
    unsigned.signature = nil
    #expect(unsigned.digest == manifest.digest)
    #expect(unsigned.json != manifest.json)
    var changed = manifest
    changed.confidenceThreshold = 0.73
    #expect(changed.digest != manifest.digest)
    changed = manifest
    changed.lineage.extra["x"] = 1
    #expect(changed.digest != manifest.digest)
  }

  @Test("A newer minor's manifest keeps its digest through this version")
  func newerManifest() throws {
    let json = try Files.json("topics/releases/examples/valid/manifest-of-a-newer-minor.json")
    let manifest = try #require(try ReleaseRecord(json: json).manifest)
    guard case .object(var body)? = json["manifest"] else {
      Issue.record("no manifest")
      return
    }
    body["signature"] = nil
    #expect(manifest.signingBytes == JSON.object(body).canonical)
  }

  @Test("A chunk's key is its file's digest and its index")
  func chunk() throws {
    let digest = Digest.sha256("file")
    let chunk = ArtifactChunk(digest: digest, index: 12, bytes: [1, 2, 3])
    #expect(try ArtifactChunk(key: Array(chunk.key.utf8), value: chunk.bytes) == chunk)
    for key in ["", "12", "\(digest)/", "\(digest)/-1", "\(digest)/012", "\(digest)/1/2", "\(digest)/1000000"] {
      #expect(throws: TopicError.self) { try ArtifactChunk(key: Array(key.utf8), value: [1]) }
    }
    #expect(throws: TopicError.self) { try ArtifactChunk(key: Array(chunk.key.utf8), value: []) }
    let tooLarge = [UInt8](repeating: 0, count: ArtifactChunk.maximumBytes + 1)
    #expect(throws: TopicError.self) { try ArtifactChunk(key: Array(chunk.key.utf8), value: tooLarge) }
  }

  @Test("Long messages of dead letters are cut at a whole character")
  func longDeadLetter() throws {
    let source = RecordCoordinates(topic: "retort.requests", partition: 0, offset: 1)
    let letter = DeadLetterRecord(
      source: source, key: nil, value: nil, code: "x", message: String(repeating: "é", count: 5_000),
      answer: "a" + String(repeating: "🚗", count: 40_000))
    #expect(letter.message.utf8.count == 4_096)
    #expect(letter.answer?.utf8.count == 65_533)
    #expect(try DeadLetterRecord(json: letter.json) == letter)
  }

  @Test("The error names the topic, the field, and what was expected and found")
  func errors() {
    let json: JSON = ["id": "x", "messages": [["role": "user", "content": "a"], ["role": "robot", "content": "b"]]]
    #expect {
      try RequestRecord(json: json)
    } throws: { error in
      let text = "\(error)"
      return text.contains("requests") && text.contains("messages[1].role") && text.contains("robot")
    }
  }

  @Test("Bytes that are not JSON are refused with their own code")
  func bytes() {
    #expect(throws: TopicError.self) { try FeedbackRecord(bytes: Array("{".utf8)) }
    #expect(throws: TopicError.self) { try FeedbackRecord(bytes: [0xFF]) }
  }

  @Test("Record headers say type and schema, and where a derived record comes from")
  func headers() {
    let source = RecordCoordinates(topic: "retort.requests", partition: 2, offset: 7)
    let headers = RecordHeaders.of(SampleRecord.topic, traceparent: "00-a-b-01", source: source)
    #expect(
      headers.map(\.name) == [
        "content-type", "schema", "traceparent", "source-topic", "source-partition", "source-offset",
      ])
    #expect(headers.map(\.text) == ["application/json", "samples/1.0", "00-a-b-01", "retort.requests", "2", "7"])
  }

  @Test("What a later version says of a pruned axis is kept, so that the manifest's signature holds")
  func prunedAxis() throws {
    let json: JSON = [
      "method": "structured-activation", "feed_forward_before": 64, "feed_forward_after": 32, "recovery_steps": 0,
      "axes": ["layers": ["before": 3, "after": 2, "which": [1]]],
    ]
    #expect(try Pruning(json: json).json == json)
  }

  @Test("An account that is named by the ranges of many partitions is read")
  func longName() throws {
    let ranges = (0..<1_000).map { OffsetRange(partition: $0, from: 1_000_000, to: 1_000_001) }
    let account = LedgerRecord(
      transaction: ranges.map { "\($0.partition):\($0.from)-\($0.to)" }.joined(separator: ","), ranges: ranges,
      requests: 1_000, outcomes: [OutcomeCount(outcome: .sampled, count: 1_000)], skipped: [])
    #expect(LedgerRecord.topic.schema.violations(of: account.json) == [])
    #expect(try LedgerRecord(json: account.json) == account)
  }

  @Test("The account of an erasure has room for an id that tens of thousands of requests share")
  func largeErasure() throws {
    let places = (0..<50_000).map { OffsetRange(partition: 0, from: 2 * $0, to: 2 * $0 + 1) }
    let account = LedgerRecord(erasure: Erasure(idDigest: .sha256("undefined"), requests: places))
    #expect(account.json.bytes.count < LedgerRecord.topic.maximumMessageBytes)
    #expect(LedgerRecord.topic.schema.violations(of: account.json) == [])
    #expect(try LedgerRecord(json: account.json) == account)
  }

  @Test("Text is cut to a number of bytes between two scalars")
  func shortened() {
    #expect("дом".shortened(toBytes: 6) == "дом")
    #expect("дом".shortened(toBytes: 5) == "до")
    #expect("дом".shortened(toBytes: 1) == "")
    #expect(Array("e\u{301}\u{301}".shortened(toBytes: 4).unicodeScalars) == ["e", "\u{301}"])
  }
}
