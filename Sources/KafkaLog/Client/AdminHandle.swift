import CRdKafka
import Logging
import MessageLog

/// A handle that looks at the cluster and changes topics; its calls block, on its thread.
final class AdminHandle {
  private let client: ClientHandle
  private let replies: OpaquePointer
  /// How long a call may wait for brokers, in milliseconds.
  private let timeout: Int32 = 10_000

  /// A topic as the brokers list it.
  struct ListedTopic {
    var name: String
    var partitions: Int
    /// Whether every partition has a leader.
    var isReady: Bool
  }

  init(properties: ClientProperties, logger: Logger, thread: HandleThread) throws(MessageLogError) {
    client = try ClientHandle(RD_KAFKA_PRODUCER, properties: properties, logger: logger, thread: thread)
    replies = client.adopt(rd_kafka_queue_new(client.raw))
  }

  func poll() { client.poll() }

  func close() { client.destroy() }

  // MARK: - Looking

  /// All topics that may be seen, those that Kafka keeps for itself left out.
  func listTopics() throws(MessageLogError) -> [ListedTopic] {
    var found: UnsafePointer<rd_kafka_metadata>?
    client.context.forgetTrouble()
    // All of them: asking for one by name may create it.
    let code = rd_kafka_metadata(client.raw, 1, nil, &found, timeout)
    client.poll()
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let found else { throw failure(code, "listing topics") }
    defer { rd_kafka_metadata_destroy(found) }
    KafkaFailure.noteAnswer()
    return (0..<Int(found.pointee.topic_cnt)).compactMap { index in
      let topic = found.pointee.topics[index]
      let name = String(cString: topic.topic)
      guard topic.err == RD_KAFKA_RESP_ERR_NO_ERROR, !name.hasPrefix("__") else { return nil }
      let count = Int(topic.partition_cnt)
      return ListedTopic(
        name: name, partitions: count,
        isReady: count > 0 && (0..<count).allSatisfy { topic.partitions[$0].leader >= 0 })
    }
  }

  /// Offsets by time, as ``OffsetLookup``.
  func offsets(_ times: [TopicPartition: Int64]) throws(MessageLogError) -> [TopicPartition: Int64] {
    try OffsetLookup.offsets(client, times, timeout: timeout)
  }

  /// The settings of topics, by topic and by name.
  func describe(_ topics: [String]) throws(MessageLogError) -> [String: [String: String]] {
    if topics.isEmpty { return [:] }
    var resources: [OpaquePointer?] = topics.map { rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, $0) }
    defer { rd_kafka_ConfigResource_destroy_array(&resources, resources.count) }
    let event = try call("asking for the settings of topics", RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS) { options in
      rd_kafka_DescribeConfigs(client.raw, &resources, resources.count, options, replies)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count)
    var found: [String: [String: String]] = [:]
    for index in 0..<count {
      guard let resource = results?[index] else { continue }
      let name = String(cString: rd_kafka_ConfigResource_name(resource))
      if rd_kafka_ConfigResource_error(resource) == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART { continue }
      try check(resource, "asking for the settings of a topic", topic: name)
      found[name] = Self.settings(resource) { _ in true }
    }
    return found
  }

  private static func settings(
    _ resource: OpaquePointer, where isWanted: (OpaquePointer) -> Bool
  ) -> [String: String] {
    var count = 0
    let entries = rd_kafka_ConfigResource_configs(resource, &count)
    var settings: [String: String] = [:]
    for index in 0..<count {
      guard let entry = entries?[index], isWanted(entry), let value = rd_kafka_ConfigEntry_value(entry) else {
        continue
      }
      settings[String(cString: rd_kafka_ConfigEntry_name(entry))] = String(cString: value)
    }
    return settings
  }

  // MARK: - Changing

  /// Creates a topic.
  func create(_ topic: TopicConfiguration, replicationFactor: Int) throws(MessageLogError) {
    var text = [CChar](repeating: 0, count: 512)
    var request: OpaquePointer? = rd_kafka_NewTopic_new(
      topic.name, Int32(topic.partitions), Int32(replicationFactor), &text, text.count)
    guard let new = request else {
      throw failure(
        RD_KAFKA_RESP_ERR__INVALID_ARG, "creating a topic", topic: topic.name, detail: ClientHandle.string(text))
    }
    defer { rd_kafka_NewTopic_destroy(new) }
    for (name, value) in TopicSettings.settingsWhenMade(of: topic) { rd_kafka_NewTopic_set_config(new, name, value) }
    let event = try call("creating a topic", RD_KAFKA_ADMIN_OP_CREATETOPICS) { options in
      rd_kafka_CreateTopics(client.raw, &request, 1, options, replies)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
    try check(results, count, "creating a topic")
  }

  /// Gives a topic more partitions.
  func setPartitions(of topic: String, to total: Int) throws(MessageLogError) {
    var text = [CChar](repeating: 0, count: 512)
    var request: OpaquePointer? = rd_kafka_NewPartitions_new(topic, total, &text, text.count)
    guard let new = request else {
      throw failure(
        RD_KAFKA_RESP_ERR__INVALID_ARG, "adding partitions", topic: topic, detail: ClientHandle.string(text))
    }
    defer { rd_kafka_NewPartitions_destroy(new) }
    let event = try call("adding partitions", RD_KAFKA_ADMIN_OP_CREATEPARTITIONS) { options in
      rd_kafka_CreatePartitions(client.raw, &request, 1, options, replies)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count)
    try check(results, count, "adding partitions")
  }

  /// Sets a topic's settings; those that an operator made and are not named here stay.
  func set(_ settings: [String: String], of topic: String) throws(MessageLogError) {
    var all = try ownSettings(of: topic)
    for (name, value) in settings { all[name] = value }
    var request: OpaquePointer? = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)
    defer { rd_kafka_ConfigResource_destroy(request) }
    for (name, value) in all { rd_kafka_ConfigResource_set_config(request, name, value) }
    let event = try call("changing a topic's settings", RD_KAFKA_ADMIN_OP_ALTERCONFIGS) { options in
      rd_kafka_AlterConfigs(client.raw, &request, 1, options, replies)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count)
    for index in 0..<count {
      if let resource = results?[index] { try check(resource, "changing a topic's settings", topic: topic) }
    }
  }

  /// The settings that were made for this topic alone: AlterConfigs takes away those that it does not name.
  private func ownSettings(of topic: String) throws(MessageLogError) -> [String: String] {
    var resource: OpaquePointer? = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)
    defer { rd_kafka_ConfigResource_destroy(resource) }
    let event = try call("asking for a topic's settings", RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS) { options in
      rd_kafka_DescribeConfigs(client.raw, &resource, 1, options, replies)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count)
    guard count > 0, let result = results?[0] else {
      throw failure(RD_KAFKA_RESP_ERR__BAD_MSG, "asking for a topic's settings", topic: topic)
    }
    try check(result, "asking for a topic's settings", topic: topic)
    return Self.settings(result) {
      rd_kafka_ConfigEntry_source($0) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG
    }
  }

  // MARK: - Calls

  /// Makes an administrative call and waits for its answer, which is the caller's to destroy.
  private func call(
    _ doing: String, _ operation: rd_kafka_admin_op_t, _ submit: (OpaquePointer?) -> Void
  ) throws(MessageLogError) -> OpaquePointer {
    let options = rd_kafka_AdminOptions_new(client.raw, operation)
    defer { rd_kafka_AdminOptions_destroy(options) }
    rd_kafka_AdminOptions_set_request_timeout(options, timeout, nil, 0)
    client.context.forgetTrouble()
    submit(options)
    client.poll()
    guard let event = rd_kafka_queue_poll(replies, timeout + 5_000) else {
      throw failure(RD_KAFKA_RESP_ERR__TIMED_OUT, doing)
    }
    let code = rd_kafka_event_error(event)
    if code == RD_KAFKA_RESP_ERR_NO_ERROR { return event }
    let text = rd_kafka_event_error_string(event).map { String(cString: $0) }
    rd_kafka_event_destroy(event)
    client.poll()
    throw failure(code, doing, detail: text)
  }

  private func check(
    _ results: UnsafeMutablePointer<OpaquePointer?>?, _ count: Int, _ doing: String
  ) throws(MessageLogError) {
    for index in 0..<count {
      guard let result = results?[index] else { continue }
      let code = rd_kafka_topic_result_error(result)
      guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
      throw failure(
        code, doing, topic: String(cString: rd_kafka_topic_result_name(result)),
        detail: rd_kafka_topic_result_error_string(result).map { String(cString: $0) })
    }
  }

  private func check(_ resource: OpaquePointer, _ doing: String, topic: String) throws(MessageLogError) {
    let code = rd_kafka_ConfigResource_error(resource)
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    throw failure(
      code, doing, topic: topic, detail: rd_kafka_ConfigResource_error_string(resource).map { String(cString: $0) })
  }

  /// An error, explained by what was wrong with the brokers where the call merely timed out.
  private func failure(
    _ code: rd_kafka_resp_err_t, _ doing: String, topic: String? = nil, partition: Int? = nil, detail: String? = nil
  ) -> MessageLogError {
    let isVague = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT
    guard isVague, let trouble = client.context.lastTrouble else {
      return KafkaFailure.error(code, doing, topic: topic, partition: partition, detail: detail)
    }
    return KafkaFailure.error(trouble.code, doing, topic: topic, partition: partition, detail: trouble.text)
  }
}
