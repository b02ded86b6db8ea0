/// A record to append.
public struct NewRecord: Sendable, Hashable {
  /// The topic, which must exist.
  public var topic: String
  /// The partition; nil lets the log choose: by the key's hash (``Partitioner``), in turn where there is no key.
  public var partition: Int?
  /// The key; compacted topics demand one.
  public var key: [UInt8]?
  /// The value; nil is a tombstone.
  public var value: [UInt8]?
  /// Headers, in order.
  public var headers: [Header]
  /// Milliseconds since 1970; nil is now. Ignored where the topic stamps records itself.
  public var timestamp: Int64?

  /// A record of bytes.
  public init(
    topic: String, partition: Int? = nil, key: [UInt8]?, value: [UInt8]?, headers: [Header] = [],
    timestamp: Int64? = nil
  ) {
    self.topic = topic
    self.partition = partition
    self.key = key
    self.value = value
    self.headers = headers
    self.timestamp = timestamp
  }

  /// Bytes of key, value and headers, without framing: what a topic's `maximumMessageBytes` limits.
  public var byteCount: Int {
    var count = (key?.count ?? 0) + (value?.count ?? 0)
    for header in headers { count += header.name.utf8.count + header.value.count }
    return count
  }
}
