import KafkaLog
import MetricsTestKit
import Testing

@Suite("librdkafka's statistics become metrics")
struct StatisticsTests {
  /// A report as librdkafka 2.0 makes it, with only a few of the fields that are not exported.
  private func report(lag: Int, timeouts: Int, partitions: [Int] = [0]) -> [UInt8] {
    let partitions = ([-1] + partitions).map {
      #""\#($0)":{"partition":\#($0),"fetchq_cnt":3,"fetchq_size":300,"consumer_lag":\#($0 < 0 ? -1 : lag)}"#
    }
    let text = """
      {"name":"c#1","client_id":"retort","type":"consumer","ts":5,"msg_cnt":7,"msg_size":700,
      "brokers":{"h:1/1":{"name":"h:1/1","nodeid":1,"state":"UP","txerrs":0,"rxerrs":2,"req_timeouts":\(timeouts),"disconnects":0,
      "rtt":{"min":100,"max":900,"avg":500,"p50":400,"p99":900,"cnt":12}},
      "h:1/bootstrap":{"name":"h:1/bootstrap","nodeid":-1,"txerrs":9,"rxerrs":9,"req_timeouts":9,"disconnects":9,
      "rtt":{"p50":0,"p99":0,"cnt":0}}},
      "topics":{"t":{"topic":"t","age":1,"partitions":{\(partitions.joined(separator: ","))}}},
      "cgrp":{"state":"up","rebalance_cnt":1},"tx":10}
      """
    return Array(text.utf8)
  }

  @Test("lag, queues, round trips and errors, by partition and broker; what only grows is counted once")
  func exported() throws {
    let metrics = TestMetrics()
    var statistics = ClientStatistics(client: "c#1", role: "member", factory: metrics)
    statistics.record(report(lag: 42, timeouts: 1))
    statistics.record(report(lag: 40, timeouts: 4))
    let client = ("client", "c#1")
    let lag = try metrics.expectGauge("retort_kafka_lag_records", [client, ("topic", "t"), ("partition", "0")])
    #expect(lag.lastValue == 40)
    #expect(try metrics.expectGauge("retort_kafka_send_queue_records", [client]).lastValue == 7)
    #expect(try metrics.expectGauge("retort_kafka_fetch_queue_bytes", [client]).lastValue == 300)
    let median = [client, ("broker", "h:1/1"), ("quantile", "0.5")]
    #expect(try metrics.expectGauge("retort_kafka_round_trip_seconds", median).lastValue == 0.0004)
    let timeouts = [("role", "member"), ("broker", "h:1/1"), ("kind", "timeout")]
    #expect(try metrics.expectCounter("retort_kafka_broker_errors_total", timeouts).totalValue == 4)
    #expect(try metrics.expectCounter("retort_kafka_rebalances_total", [("role", "member")]).totalValue == 1)
  }

  @Test("a partition that is gone, and a client, are shown no longer; what is no report changes nothing")
  func forgotten() throws {
    let metrics = TestMetrics()
    var statistics = ClientStatistics(client: "c#1", role: "member", factory: metrics)
    statistics.record(report(lag: 42, timeouts: 0, partitions: [0, 1]))
    let before = metrics.recorders.count
    statistics.record(Array("{\"name\":5".utf8))
    #expect(metrics.recorders.count == before)
    statistics.record(report(lag: 42, timeouts: 0))
    #expect(metrics.recorders.count == before - 1)
    statistics.end()
    #expect(metrics.recorders.isEmpty)
  }
}
