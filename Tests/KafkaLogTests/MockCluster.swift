import CRdKafka
import KafkaLog
import MessageLog

/// librdkafka's mock cluster: a broker in this process, on a loopback port.
///
/// Unchecked: librdkafka's functions for mock clusters lock.
final class MockCluster: @unchecked Sendable {
  private let handle: OpaquePointer
  private let cluster: OpaquePointer
  /// `host:port` of its brokers.
  let servers: String
  /// What it got wrong towards the logs that are open on it.
  let refusedSyncs = RefusedSyncs()

  init(brokers: Int = 1) throws {
    var text = [CChar](repeating: 0, count: 512)
    let conf = rd_kafka_conf_new()
    // It complains that it has no brokers to connect to.
    rd_kafka_conf_set(conf, "log_level", "3", &text, text.count)
    guard let handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, &text, text.count),
      let cluster = rd_kafka_mock_cluster_new(handle, Int32(brokers))
    else { throw MessageLogError(.unavailable, "no mock cluster", advice: "look at librdkafka") }
    self.handle = handle
    self.cluster = cluster
    servers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
  }

  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(handle)
  }

  func createTopic(_ name: String, partitions: Int) {
    rd_kafka_mock_topic_create(cluster, name, Int32(partitions), 1)
  }

  /// The next requests of a kind (Kafka's API key) are answered with these errors.
  func push(_ api: Int16, _ errors: [rd_kafka_resp_err_t]) {
    rd_kafka_mock_push_request_errors_array(cluster, api, errors.count, errors)
  }

  func setDown(_ isDown: Bool, broker: Int32 = 1) {
    if isDown {
      rd_kafka_mock_broker_set_down(cluster, broker)
    } else {
      rd_kafka_mock_broker_set_up(cluster, broker)
    }
  }

  func setRoundTrip(milliseconds: Int32, broker: Int32 = 1) {
    rd_kafka_mock_broker_set_rtt(cluster, broker, milliseconds)
  }

  /// A log on this cluster.
  func open(_ properties: [String: String] = [:]) throws -> MockedLog {
    // The mock answers an empty fetch only when its time is up.
    var all = ["fetch.wait.max.ms": "10", "debug": "cgrp"]
    for (name, value) in properties { all[name] = value }
    let options = KafkaLog.Options(properties: all, managesTopics: false, logger: refusedSyncs.logger)
    return MockedLog(cluster: self, log: try KafkaLog(servers: servers, options: options))
  }
}
