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
