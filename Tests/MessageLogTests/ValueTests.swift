import MessageLog
import Testing

@Suite("Values of a log")
struct ValueTests {
  // Golden: Apache Kafka's UtilsTest.testMurmur2.
  @Test("keys are hashed as Kafka hashes them")
  func murmur2() {
    let golden: [(String, Int32)] = [
      ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
      ("a-little-bit-longer-string", -1_486_304_829),
      ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
    ]
    for (text, hash) in golden { #expect(Int32(bitPattern: Partitioner.murmur2(Array(text.utf8))) == hash) }
    #expect(Partitioner.partition(of: Array("21".utf8), partitions: 1) == 0)
    for count in 2..<20 {
      #expect((0..<count).contains(Partitioner.partition(of: Array("foobar".utf8), partitions: count)))
    }
  }

  @Test("an error is one sentence with all that helps")
  func errors() {
    let place = TopicPartition(topic: "samples", partition: 0)
    let error = MessageLogError.outOfRange(place, offset: 3, watermarks: Watermarks(low: 7, high: 9))
    #expect(
      error.description
        == "out_of_range: offsets 3 to 6 are no longer in the log (samples/0 at offset 3), expected an offset from 7 to 9, "
        + "found 3; go on at the earliest offset without them, or restore them")
    #expect(!error.isRetriable && !error.isFatal)
    #expect(MessageLogError(.full, "x", advice: "y").isRetriable)
    #expect(MessageLogError(.fenced, "x", advice: "y").isFatal)
    for code in MessageLogError.Code.allCases { #expect(code.rawValue.allSatisfy { $0.isLowercase || $0 == "_" }) }
  }

  @Test("a topic's configuration is checked, setting by setting")
  func configurations() throws {
    try TopicConfiguration(name: "retort.requests-1_x").validate()
    let bad: [TopicConfiguration] = [
      .init(name: ""), .init(name: "a b"), .init(name: ".."), .init(name: "ä"),
      .init(name: String(repeating: "a", count: 250)), .init(name: "t", partitions: 0),
      .init(name: "t", partitions: 10_001), .init(name: "t", maximumMessageBytes: 0),
      .init(name: "t", retentionMilliseconds: -1), .init(name: "t", retentionBytes: -1),
      .init(name: "t", minimumCompactionLagMilliseconds: -1), .init(name: "t", deleteRetentionMilliseconds: -1),
    ]
    for topic in bad { #expect(throws: MessageLogError.self) { try topic.validate() } }
  }

  @Test("reader options are checked")
  func options() throws {
    try ReaderOptions().validate()
    for options in [
      ReaderOptions(maximumPrefetch: 0), ReaderOptions(maximumPrefetchBytes: 0),
      ReaderOptions(sessionTimeout: .milliseconds(10)), ReaderOptions(sessionTimeout: .seconds(4000)),
    ] {
      #expect(throws: MessageLogError.self) { try options.validate() }
    }
  }

  @Test("headers are read by name, the last one first, and text must be UTF-8")
  func headers() {
    let headers = [Header("a", "1"), Header("b", bytes: [0xFF]), Header("a", "2")]
    #expect(headers.text("a") == "2")
    #expect(headers.text("b") == nil)
    #expect(headers.text("c") == nil)
    #expect(NewRecord(topic: "t", key: [1], value: [1, 2], headers: headers).byteCount == 9)
  }

  @Test("capabilities say what is missing")
  func capabilities() {
    #expect(LogCapabilities(name: "x", erasure: true).description == "x: everything")
    #expect(
      LogCapabilities(name: "x", fencing: false, durable: false).description == "x: without fencing, erasure, durable")
  }
}
