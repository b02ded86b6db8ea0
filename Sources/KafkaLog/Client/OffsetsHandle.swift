import CRdKafka
import Logging
import MessageLog

/// A consumer that bears a group's name, never joins it, and is asked what the group has committed; its calls block, on its
/// thread.
///
/// The administrative request for the same dies inside librdkafka where the coordinator is not there yet, as on a new broker
/// (seen in 2.0.2 and 2.16.0: it repeats a request for a broker that is not known).
final class OffsetsHandle {
  private let client: ClientHandle
  private let group: String
  /// How long a call may wait for brokers, in milliseconds.
  private static let timeout: Int32 = 10_000
  /// What is asked about where there is no topic: whether the group may be asked at all still shows.
  private static let nowhere = TopicPartition(topic: "none", partition: 0)

  init(
    group: String, servers: String, properties: [String: String], logger: Logger, thread: HandleThread
  ) throws(MessageLogError) {
    self.group = group
    client = try ClientHandle(
      RD_KAFKA_CONSUMER,
      properties: ClientProperties(.offsets(group: group), servers: servers, properties: properties), logger: logger,
      thread: thread)
  }

  func poll() { client.poll() }

  func close() { client.destroy(abruptly: true) }

  /// What the group has committed in these partitions; `.unavailable` while a transaction about one is being decided.
  ///
  /// The partitions are named, because brokers asked for all keep quiet about those whose first commit is being decided.
  func committed(in places: [TopicPartition]) throws(MessageLogError) -> [TopicPartition: Int64] {
    let list = PartitionList(places.isEmpty ? [Self.nowhere] : places)
    client.context.forgetTrouble()
    let code = rd_kafka_committed(client.raw, list.pointer, Self.timeout)
    client.poll()
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw failure(code) }
    var offsets: [TopicPartition: Int64] = [:]
    for item in list.items where item.place != Self.nowhere {
      if item.error != RD_KAFKA_RESP_ERR_NO_ERROR { throw failure(item.error, item.place) }
      if item.offset >= 0 { offsets[item.place] = item.offset }
    }
    return offsets
  }

  private func failure(_ code: rd_kafka_resp_err_t, _ place: TopicPartition? = nil) -> MessageLogError {
    let doing = "asking what group \(group) has committed"
    // That it took too long, or that there is no coordinator, says less than what was wrong with the brokers.
    let isVague = [
      RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__WAIT_COORD,
    ].contains(code)
    if isVague, let trouble = client.context.lastTrouble {
      return KafkaFailure.error(trouble.code, doing, detail: trouble.text)
    }
    return KafkaFailure.error(code, doing, topic: place?.topic, partition: place?.partition)
  }
}
