import CRdKafka
import MessageLog

/// What one element of a consumer's queue says.
enum FetchedMessage {
  /// A record.
  case record(Record)
  /// The reader has reached the end of what is committed; the next record will have at least this offset.
  case end(TopicPartition, Int64)
  /// There is nothing to read where the reader stands; a negative offset: the group has committed none.
  case lost(TopicPartition, Int64)
  /// Something else is wrong with a partition, or with the consumer where there is none.
  case trouble(TopicPartition?, rd_kafka_resp_err_t, String)

  /// The partition it is about.
  var place: TopicPartition? {
    switch self {
    case .record(let record): record.topicPartition
    case .end(let place, _), .lost(let place, _): place
    case .trouble(let place, _, _): place
    }
  }
}

/// Copies messages out of librdkafka's memory.
struct MessageReader {
  /// The topic of the last message: most have the same, and a Swift string a message is dear.
  private var lastTopic: (raw: OpaquePointer, name: String)?

  /// What a message says; it stays the caller's to destroy.
  mutating func read(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> FetchedMessage {
    let raw = message.pointee
    guard raw.err == RD_KAFKA_RESP_ERR_NO_ERROR, let name = raw.rkt.map({ topicName($0) }) else { return event(raw) }
    var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    return .record(
      Record(
        topic: name, partition: Int(raw.partition), offset: raw.offset,
        timestamp: rd_kafka_message_timestamp(message, &type), key: Self.bytes(raw.key, raw.key_len),
        value: Self.bytes(raw.payload, raw.len), headers: Self.headers(message)))
  }

  /// What is said beside records.
  private mutating func event(_ raw: rd_kafka_message_t) -> FetchedMessage {
    let place = raw.rkt.map { TopicPartition(topic: topicName($0), partition: Int(raw.partition)) }
    let text = raw.payload.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: raw.len), as: UTF8.self) }
    switch (raw.err, place) {
    case (RD_KAFKA_RESP_ERR__PARTITION_EOF, let place?): return .end(place, raw.offset)
    case (RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, let place?): return .lost(place, raw.offset)
    default: return .trouble(place, raw.err, text ?? "")
    }
  }

  private mutating func topicName(_ raw: OpaquePointer) -> String {
    if let lastTopic, lastTopic.raw == raw { return lastTopic.name }
    let name = String(cString: rd_kafka_topic_name(raw))
    lastTopic = (raw, name)
    return name
  }

  private static func bytes(_ start: UnsafeMutableRawPointer?, _ count: Int) -> [UInt8]? {
    start.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: count)) }
  }

  private static func headers(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> [Header] {
    var list: OpaquePointer?
    guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return [] }
    var headers: [Header] = []
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var count = 0
    while rd_kafka_header_get_all(list, headers.count, &name, &value, &count) == RD_KAFKA_RESP_ERR_NO_ERROR,
      let text = name
    {
      headers.append(
        Header(
          String(cString: text), bytes: [UInt8](UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : count))))
    }
    return headers
  }
}
