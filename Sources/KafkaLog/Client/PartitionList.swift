import CRdKafka
import MessageLog

/// Owns a list of partitions with offsets, as librdkafka takes and gives them.
struct PartitionList: ~Copyable {
  let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  /// One element: a partition, its offset, and what librdkafka says about it.
  struct Item {
    var place: TopicPartition
    var offset: Int64
    var error: rd_kafka_resp_err_t
  }

  /// A list of partitions with offsets.
  init(_ offsets: [TopicPartition: Int64]) {
    pointer = rd_kafka_topic_partition_list_new(Int32(offsets.count))
    for (place, offset) in offsets.sorted(by: { $0.key < $1.key }) {
      rd_kafka_topic_partition_list_add(pointer, place.topic, Int32(place.partition)).pointee.offset = offset
    }
  }

  /// A list of partitions without offsets: each means "from what the group has committed".
  init(_ places: some Sequence<TopicPartition>) {
    self.init(Dictionary(places.map { ($0, Int64(RD_KAFKA_OFFSET_INVALID)) }) { first, _ in first })
  }

  /// A list of whole topics, to subscribe to.
  init(topics: [String]) {
    pointer = rd_kafka_topic_partition_list_new(Int32(topics.count))
    for topic in topics.sorted() { rd_kafka_topic_partition_list_add(pointer, topic, RD_KAFKA_PARTITION_UA) }
  }

  deinit { rd_kafka_topic_partition_list_destroy(pointer) }

  /// The elements.
  var items: [Item] { Self.items(of: UnsafePointer(pointer)) }

  /// The elements of a list that somebody else owns.
  static func items(of list: UnsafePointer<rd_kafka_topic_partition_list_t>?) -> [Item] {
    guard let list else { return [] }
    return (0..<Int(list.pointee.cnt)).map { index in
      let element = list.pointee.elems[index]
      return Item(
        place: TopicPartition(topic: String(cString: element.topic), partition: Int(element.partition)),
        offset: element.offset, error: element.err)
    }
  }
}
