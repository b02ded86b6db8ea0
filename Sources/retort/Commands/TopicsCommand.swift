import ArgumentParser
import Foundation
import MessageLog
import Pipeline
import RetortClient
import Topics

/// `retort topics`: the deployment's topics.
struct TopicsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "topics", abstract: "Create, look at, follow and check the topics.",
    subcommands: [Apply.self, List.self, Tail.self, Check.self])

  /// `retort topics apply`.
  struct Apply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create and correct the topics, showing the plan first.")

    @OptionGroup var global: GlobalOptions

    @Flag(name: .long, help: "Do it without asking.")
    var yes = false

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      guard wiring.configuration.flag("log.manage_topics") else {
        throw ConfigurationError(
          "log.manage_topics: expected true for this command, found false; set it, or leave topics to who makes them")
      }
      let log = try wiring.openBareLog()
      let plan = try await DeploymentTopics.plan(
        log: log, names: wiring.names, requestPartitions: wiring.configuration.integer("log.partitions"))
      // Partitions can be added, never taken away.
      let changes = plan.differing.filter { $0.found.partitions <= $0.wanted.partitions }
      let stuck = plan.differing.filter { $0.found.partitions > $0.wanted.partitions }
      for topic in plan.missing { Output.note("create \(topic.name): \(Self.text(topic))") }
      for change in changes { Output.note("alter \(change.wanted.name): \(Self.text(change))") }
      for change in stuck {
        Output.note("\(change.wanted.name): \(Self.text(change)); \(DeploymentTopics.partitionAdvice)")
      }
      let isDone = plan.missing.isEmpty && changes.isEmpty
      let isAgreed = isDone || yes || confirm()
      if isAgreed, !isDone {
        try await log.create(plan.missing)
        try await log.alter(changes.map(\.wanted))
      }
      try await log.close()
      let (created, altered) = isAgreed ? (plan.missing, changes) : ([], [])
      if global.json {
        Output.print([
          "created": .array(created.map { .string($0.name) }),
          "altered": .array(altered.map { .string($0.wanted.name) }),
          "differing": .array(stuck.map { .string($0.wanted.name) }),
        ])
      } else if isAgreed {
        Output.print("created \(created.count) topics, altered \(altered.count)")
      }
      guard isAgreed else {
        Output.complain("nothing was changed, as the answer was not y; run it again and answer y, or give --yes")
        throw ExitStatus.failed
      }
      if !stuck.isEmpty { throw ExitStatus.checkFailed }
    }

    private static func text(_ change: (found: TopicConfiguration, wanted: TopicConfiguration)) -> String {
      DeploymentTopics.differences(found: change.found, wanted: change.wanted).joined(separator: "; ")
    }

    private func confirm() -> Bool {
      Output.write("Go on? [y/N] ")
      guard let answer = readLine() else {
        Output.write("\n")
        return false
      }
      return answer.lowercased().hasPrefix("y")
    }

    static func text(_ topic: TopicConfiguration) -> String {
      let cleanup = topic.cleanup.map(\.rawValue).sorted().joined(separator: ",")
      return "\(topic.partitions) partitions, cleanup \(cleanup.isEmpty ? "none" : cleanup)"
        + (topic.retentionMilliseconds.map { ", retention \($0 / 3_600_000) h" } ?? "")
        + ", messages up to \(topic.maximumMessageBytes) bytes"
    }
  }

  /// `retort topics list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The deployment's topics with their policies and how much is in them.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try wiring.openBareLog(mayCreate: false)
      var table = Table(["topic", "partitions", "cleanup", "first", "next"])
      var list: [JSON] = []
      // A log may hold other deployments' topics too.
      let own = try await log.topics().filter { $0.name.hasPrefix(wiring.names.prefix) }
      for topic in own.sorted(by: { $0.name < $1.name }) {
        var low: Int64 = 0
        var high: Int64 = 0
        for partition in topic.topicPartitions {
          let marks = try await log.watermarks(of: partition)
          low += marks.low
          high += marks.high
        }
        let cleanup = topic.cleanup.map(\.rawValue).sorted()
        table.add([topic.name, "\(topic.partitions)", cleanup.joined(separator: ","), "\(low)", "\(high)"])
        list.append([
          "name": .string(topic.name), "partitions": .integer(Int64(topic.partitions)),
          "cleanup": .array(cleanup.map { .string($0) }), "low": .integer(low), "high": .integer(high),
        ])
      }
      try await log.close()
      if global.json { Output.print(.array(list)) } else { Output.print(table.text) }
    }
  }

  /// `retort topics tail NAME`.
  struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Follow a topic: one JSON object a record.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The topic's name, without the prefix.")
    var name: String

    @Flag(name: .long, help: "From the beginning rather than from now.")
    var fromBeginning = false

    @Flag(name: .long, help: "Stop at the end instead of waiting for more.")
    var once = false

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let specification = try TopicLookup.find(name)
      let topic = wiring.names[specification]
      if once {
        try await TopicScan.each(log: log, topic: topic) { Output.print(Self.json(of: $0)) }
      } else {
        try await follow(topic, of: log)
      }
      try await log.close()
    }

    private func follow(_ topic: String, of log: any MessageLog) async throws {
      guard let configuration = try await log.topics().first(where: { $0.name == topic }) else {
        throw MessageLogError.unknown(topic)
      }
      let start: StartPosition = fromBeginning ? .earliest : .latest
      let reader = try await log.reader(
        of: Dictionary(uniqueKeysWithValues: configuration.topicPartitions.map { ($0, start) }),
        options: ReaderOptions(onLostRange: .skip))
      while !Task.isCancelled {
        for record in try await reader.next(maximum: 1_000, timeout: .seconds(1)) {
          Output.print(Self.json(of: record))
        }
      }
      await reader.close()
    }

    static func json(of record: Record) -> JSON {
      var object: JSONObject = [
        "topic": .string(record.topic), "partition": .integer(Int64(record.partition)),
        "offset": .integer(record.offset), "timestamp": .integer(record.timestamp),
      ]
      object["key"] = record.key.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null
      var headers = JSONObject()
      for header in record.headers { headers[header.name] = .string(String(decoding: header.value, as: UTF8.self)) }
      object["headers"] = .object(headers)
      if let value = record.value {
        object["value"] = (try? JSON.parse(value)) ?? ["bytes": .integer(Int64(value.count))]
      } else {
        object["value"] = .null
      }
      return .object(object)
    }
  }

  /// `retort topics check`.
  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Validate the records in the log against the schemas of their topics.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "A topic's name, without the prefix; all topics by default.")
    var name: String?

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let specifications = try name.map { [try TopicLookup.find($0)] } ?? TopicSpecification.all
      var topics: JSONObject = [:]
      var problems: [String] = []
      var (checked, failed) = (0, 0)
      for specification in specifications {
        var (records, invalid, listed) = (0, 0, 0)
        try await TopicScan.each(log: log, topic: wiring.names[specification]) { record in
          guard record.value != nil else { return }
          records += 1
          let found = Self.problems(of: record, specification)
          if !found.isEmpty { invalid += 1 }
          let shown = found.prefix(Self.shownProblems - listed)
          problems += shown
          listed += shown.count
        }
        topics[specification.name] = ["records": .integer(Int64(records)), "invalid": .integer(Int64(invalid))]
        if invalid > 0 {
          problems.append("\(wiring.names[specification]): \(invalid) of \(records) records are invalid")
        }
        checked += records
        failed += invalid
      }
      try await log.close()
      if global.json {
        Output.print([
          "records": .integer(Int64(checked)), "invalid": .integer(Int64(failed)), "topics": .object(topics),
          "problems": .array(problems.map { .string($0) }),
        ])
      } else {
        for problem in problems { Output.print(problem) }
        Output.print("\(checked) records checked, \(failed) invalid")
      }
      if failed > 0 { throw ExitStatus.checkFailed }
    }

    /// Most problems of a topic that are printed.
    private static let shownProblems = 20

    private static func problems(of record: Record, _ specification: TopicSpecification) -> [String] {
      do {
        if specification.name == ArtifactChunk.topic.name {
          _ = try ArtifactChunk(key: record.key ?? [], value: record.value ?? [])
          return []
        }
        let violations = specification.schema.violations(of: try RecordCoding.json(of: record, as: specification))
        // A request has several forms; which one it was meant to be, and what is wrong with it, its reader knows better.
        if !violations.isEmpty, specification.name == RequestRecord.topic.name {
          _ = try RecordCoding.value(of: record, as: RequestRecord.self)
        }
        return violations.map { "\(RecordCoding.place(of: record)): \($0)" }
      } catch let error as TopicError {
        return ["\(RecordCoding.place(of: record)): \(error)"]
      } catch {
        return ["\(error)"]
      }
    }
  }
}

/// A topic by the name that a user types.
enum TopicLookup {
  static func find(_ name: String) throws -> TopicSpecification {
    if let topic = TopicSpecification.named(name) { return topic }
    let names = TopicSpecification.all.map(\.name)
    let nearest = NearestKey.of(name, among: names).map { "; did you mean \($0)?" } ?? ""
    throw ConfigurationError("no topic is called \(name); there are \(names.joined(separator: ", "))\(nearest)")
  }
}
