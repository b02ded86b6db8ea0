/// The names of the headers that records carry.
public enum RecordHeaders {
  /// The value's media type.
  public static let contentType = "content-type"
  /// The value's schema: name and major.minor.
  public static let schema = "schema"
  /// W3C trace context.
  public static let traceparent = "traceparent"
  /// On derived records: the topic of the record they come from.
  public static let sourceTopic = "source-topic"
  /// On derived records: its partition.
  public static let sourcePartition = "source-partition"
  /// On derived records: its offset.
  public static let sourceOffset = "source-offset"

  /// The headers of a record of `topic`, as names and texts in a fixed order.
  ///
  /// - Parameters:
  ///   - topic: The topic it is written to.
  ///   - traceparent: The trace it belongs to, if any.
  ///   - source: For a derived record, the one it comes from.
  public static func of(
    _ topic: TopicSpecification, traceparent: String? = nil, source: RecordCoordinates? = nil
  ) -> [(name: String, text: String)] {
    var headers = [(name: contentType, text: topic.contentType), (name: schema, text: topic.schemaName)]
    if let traceparent { headers.append((name: self.traceparent, text: traceparent)) }
    if let source {
      headers.append((name: sourceTopic, text: source.topic))
      headers.append((name: sourcePartition, text: String(source.partition)))
      headers.append((name: sourceOffset, text: String(source.offset)))
    }
    return headers
  }
}
