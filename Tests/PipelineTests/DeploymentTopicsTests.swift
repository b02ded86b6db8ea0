import MessageLog
import Pipeline
import SQLiteLog
import Testing
import Topics

/// What is wrong with a deployment's topics.
@Suite struct DeploymentTopicsTests {
  @Test("more partitions are a fault where the order of one is meant, whatever else the log says of its topics")
  func partitions() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, TopicNames(prefix: "other."))
    try await log.create(
      DeploymentTopics.configurations(names: names, requestPartitions: 2).map { topic in
        var other = topic
        if topic.name == names.checkpoints { other.partitions = 3 }
        if topic.name == names.feedback { other.partitions = 8 }
        return other
      })
    func differing(_ requestPartitions: Int, settingsAreKnown: Bool) async throws -> [String] {
      try await DeploymentTopics.plan(
        log: log, names: names, requestPartitions: requestPartitions, settingsAreKnown: settingsAreKnown
      ).differing.map { "\($0.wanted.name): \(DeploymentTopics.differences(found: $0.found, wanted: $0.wanted))" }
    }
    let checkpoints = "other.checkpoints: [\"partitions 3, expected 1\"]"
    for isKnown in [true, false] { #expect(try await differing(1, settingsAreKnown: isKnown) == [checkpoints]) }
    #expect(
      try await differing(4, settingsAreKnown: true) == ["other.requests: [\"partitions 2, expected 4\"]", checkpoints])
    // How many requests may be worked on at once is for whoever makes the topics to say.
    #expect(try await differing(4, settingsAreKnown: false) == [checkpoints])
    try await log.close()
  }

  @Test("tombstones of samples that stay for a day, as in logs of earlier versions, may stay longer and are no fault")
  func tombstones() async throws {
    let bench = try await LabelStageTests.Bench()
    let (log, names) = (bench.log, bench.names)
    let (hour, day): (Int64, Int64) = (3_600_000, 86_400_000)
    func differing(_ span: Int64) async throws -> [(found: TopicConfiguration, wanted: TopicConfiguration)] {
      var samples = try #require(try await log.topics().first { $0.name == names.samples })
      samples.deleteRetentionMilliseconds = span
      try await log.alter([samples])
      return try await DeploymentTopics.plan(log: log, names: names, requestPartitions: 1).differing
    }
    for span in [90 * day, 365 * day] { #expect(try await differing(span).isEmpty) }
    for span in [hour, day] {
      let (found, wanted) = try #require(try await differing(span).first)
      #expect(wanted.name == names.samples && wanted.deleteRetentionMilliseconds == 90 * day)
      #expect(DeploymentTopics.lacksOnlyTombstoneTime(found: found, wanted: wanted) == (span == day))
      var other = found
      other.cleanup = [.delete]
      #expect(!DeploymentTopics.lacksOnlyTombstoneTime(found: other, wanted: wanted))
    }
    try await log.close()
  }

  @Test("a longer retention than a topic needs is an operator's decision, and stays when something else is corrected")
  func retention() {
    let names = TopicNames()
    let wanted = DeploymentTopics.configurations(names: names, requestPartitions: 1)
    let day: Int64 = 86_400_000
    /// What is said of one topic where it is changed.
    func differing(_ name: String, _ change: (inout TopicConfiguration) -> Void) -> [String] {
      var found = wanted
      for index in found.indices where found[index].name == name { change(&found[index]) }
      let plan = DeploymentTopics.plan(found: found, names: names, requestPartitions: 1)
      #expect(plan.missing.isEmpty && plan.differing.allSatisfy { $0.wanted.name == name })
      return plan.differing.flatMap { DeploymentTopics.differences(found: $0.found, wanted: $0.wanted) }
    }
    #expect(differing(names.requests) { _ in } == [])
    for name in [names.requests, names.deadLetters, names.feedback, names.adoptions] {
      #expect(differing(name) { $0.retentionMilliseconds = 100 * day } == [], "\(name)")
      #expect(differing(name) { $0.retentionMilliseconds = nil } == [], "\(name)")
      // As a log says it that knows no deleting without a bound.
      #expect(
        differing(name) {
          $0.retentionMilliseconds = nil
          $0 = $0.canonical
        } == [], "\(name)")
    }
    #expect(
      differing(names.requests) { $0.retentionMilliseconds = day } == ["retention in ms 86400000, expected 604800000"])
    #expect(
      differing(names.requests) {
        $0.retentionMilliseconds = 30 * day
        $0.maximumMessageBytes = 1_000
      } == ["largest message in bytes 1000, expected 16777216"])
    // A bound in bytes may delete sooner; where it is the only one, without it nothing would ever be deleted.
    #expect(
      differing(names.requests) {
        $0.retentionMilliseconds = 30 * day
        $0.retentionBytes = 5_000
      } == ["retention in bytes 5000, expected no limit"])
    #expect(
      differing(names.requests) {
        $0.retentionMilliseconds = nil
        $0.retentionBytes = 5_000
      } == [])
    // A compacted topic loses records however long its retention is; nothing of `releases` may go.
    #expect(
      differing(names.requests) {
        $0.cleanup = [.compact, .delete]
        $0.retentionMilliseconds = 30 * day
      } == ["cleanup compact,delete, expected delete"])
    #expect(!differing(names.requests) { $0.cleanup = [.compact] }.isEmpty)
    #expect(!differing(names.releases) { $0.retentionMilliseconds = 100 * day }.isEmpty)
  }

  @Test("the order of one partition is lost where its records lie in several, not where all are written to one")
  func order() {
    let names = TopicNames()
    let lost = DeploymentTopics.configurations(names: names, requestPartitions: 1).filter { wanted in
      var found = wanted
      #expect(!DeploymentTopics.orderIsLost(found: found, wanted: wanted, names: names))
      found.partitions = 3
      return DeploymentTopics.orderIsLost(found: found, wanted: wanted, names: names)
    }
    #expect(lost.map(\.name) == [names.deadLetters, names.checkpoints])
  }
}
