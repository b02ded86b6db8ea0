import Foundation
package import Metrics

/// What librdkafka counts of one client (`statistics.interval.ms`), as metrics.
///
/// Reference: STATISTICS.md of librdkafka. Gauges of what is gone (a partition that moved away) are forgotten.
package struct ClientStatistics {
  /// The part of librdkafka's JSON that is exported.
  private struct Report: Decodable {
    struct Broker: Decodable {
      struct RoundTrip: Decodable {
        /// Microseconds.
        var p50: Int64
        var p99: Int64
        var cnt: Int64
      }
      var name: String
      var nodeid: Int
      var txerrs: Int64
      var rxerrs: Int64
      var req_timeouts: Int64
      var disconnects: Int64
      var rtt: RoundTrip
    }
    struct Topic: Decodable { var partitions: [String: Partition] }
    struct Partition: Decodable {
      var fetchq_cnt: Int64
      var fetchq_size: Int64
      var consumer_lag: Int64
    }
    struct Group: Decodable { var rebalance_cnt: Int64 }
    var msg_cnt: Int64
    var msg_size: Int64
    var brokers: [String: Broker]
    var topics: [String: Topic]
    var cgrp: Group?
  }

  /// One series.
  private struct Key: Hashable {
    var name: String
    var labels: [String]
  }

  private let client: String
  private let role: String
  private let factory: any MetricsFactory
  private var gauges: [Key: Gauge] = [:]
  /// The last values of what only grows.
  private var totals: [Key: Int64] = [:]

  /// Statistics of a client.
  ///
  /// - Parameters:
  ///   - client: its name, different from that of every other one of this process: the label of its gauges.
  ///   - role: what it is for: the label of its counters, which go on with the next client of that kind.
  package init(client: String, role: String, factory: any MetricsFactory = MetricsSystem.factory) {
    self.factory = factory
    self.client = client
    self.role = role
  }

  /// Records a report; one that cannot be read changes nothing.
  package mutating func record(_ json: [UInt8]) {
    guard let report = try? JSONDecoder().decode(Report.self, from: Data(json)) else { return }
    var seen: [Key: Double] = [:]
    func set(_ name: String, _ labels: [(String, String)], _ value: Double) {
      seen[Key(name: name, labels: labels.flatMap { [$0.0, $0.1] })] = value
    }
    let own = [("client", client)]
    set("retort_kafka_send_queue_records", own, Double(report.msg_cnt))
    set("retort_kafka_send_queue_bytes", own, Double(report.msg_size))
    let partitions = report.topics.flatMap { topic in topic.value.partitions.map { (topic.key, $0.key, $0.value) } }
      .filter { $0.1 != "-1" }
    set("retort_kafka_fetch_queue_records", own, Double(partitions.reduce(0) { $0 + $1.2.fetchq_cnt }))
    set("retort_kafka_fetch_queue_bytes", own, Double(partitions.reduce(0) { $0 + $1.2.fetchq_size }))
    for (topic, number, partition) in partitions where partition.consumer_lag >= 0 {
      set(
        "retort_kafka_lag_records", own + [("topic", topic), ("partition", number)], Double(partition.consumer_lag))
    }
    // Those that have an id: addresses to begin with and the coordinator are the same brokers once more.
    for broker in report.brokers.values where broker.nodeid >= 0 {
      let labels = own + [("broker", broker.name)]
      let kinds = [("role", role), ("broker", broker.name)]
      if broker.rtt.cnt > 0 {
        set("retort_kafka_round_trip_seconds", labels + [("quantile", "0.5")], Double(broker.rtt.p50) / 1e6)
        set("retort_kafka_round_trip_seconds", labels + [("quantile", "0.99")], Double(broker.rtt.p99) / 1e6)
      }
      for (kind, total) in [
        ("send", broker.txerrs), ("receive", broker.rxerrs), ("timeout", broker.req_timeouts),
        ("disconnect", broker.disconnects),
      ] { count("retort_kafka_broker_errors_total", kinds + [("kind", kind)], total) }
    }
    if let group = report.cgrp { count("retort_kafka_rebalances_total", [("role", role)], group.rebalance_cnt) }
    show(seen)
  }

  /// Forgets what the client showed.
  package mutating func end() { show([:]) }

  private mutating func show(_ values: [Key: Double]) {
    for (key, gauge) in gauges where values[key] == nil {
      gauge.destroy()
      gauges[key] = nil
    }
    for (key, value) in values {
      let gauge = gauges[key] ?? Gauge(label: key.name, dimensions: Self.pairs(key.labels), factory: factory)
      gauges[key] = gauge
      gauge.record(value)
    }
  }

  private mutating func count(_ name: String, _ labels: [(String, String)], _ total: Int64) {
    let key = Key(name: name, labels: labels.flatMap { [$0.0, $0.1] })
    Counter(label: name, dimensions: labels, factory: factory).increment(by: max(0, total - (totals[key] ?? 0)))
    totals[key] = total
  }

  private static func pairs(_ labels: [String]) -> [(String, String)] {
    stride(from: 0, to: labels.count, by: 2).map { (labels[$0], labels[$0 + 1]) }
  }
}
