import DemoWorld
import Evaluation
import Foundation
import Inference
import Logging
import MessageLog
import Pipeline
import RetortClient
import Teacher
import Topics

/// The demo's loop on traffic that arrives in portions and changes on the way: what was learned, what was forgotten, and what
/// the teacher was asked.
///
/// Each portion is labelled, trained on and released before the next one comes, so that a labelling policy has the release
/// of the portion before to ask. In ``Scenario/newFunction`` the function stands in `functions.json` from the change on.
struct ScenarioRun {
  /// What stood after one portion.
  struct Point: Sendable {
    let requests: Int
    let asked: Int
    let calls: Int
    let version: Int
    /// Exact match on unseen requests of the kind before the change.
    let before: Double
    /// The same of the kind that the change brought.
    let after: Double
    let isDrifting: Bool

    var json: JSON {
      [
        "requests": .integer(Int64(requests)), "asked": .integer(Int64(asked)), "teacher_calls": .integer(Int64(calls)),
        "version": .integer(Int64(version)), "exact_match_before": .number(before),
        "exact_match_after": .number(after), "drifting": .bool(isDrifting),
      ]
    }
  }

  let folder: String
  let scenario: Scenario
  let isSelective: Bool
  let portions: Int
  /// Requests in a portion.
  static let portion = 800
  /// Unseen requests of each kind.
  static let unseen = 300

  /// The portion with which the change comes.
  private var change: Int { (portions + 1) / 2 }
  private var grammar: RequestGrammar {
    RequestGrammar(seed: DemoFolder.seed, scenario: scenario, changesAt: change * Self.portion)
  }

  func run() async throws -> [Point] {
    let standIn = StandInTeacher(seed: DemoFolder.seed)
    return try await standIn.whileRunning { endpoint in
      try DemoFolder(path: folder).write(
        endpoint: endpoint, additions: "label:\n  policy: \(isSelective ? "selective" : "everything")\n",
        without: scenario == .newFunction ? Scenario.newcomer : nil)
      return try await follow(standIn)
    }
  }

  private func follow(_ standIn: StandInTeacher) async throws -> [Point] {
    let wiring = Wiring(try Configuration(path: folder + "/retort.yaml", environment: [:]))
    let log = try await wiring.openLog()
    _ = try wiring.keys.signingKey()
    var points: [Point] = []
    for number in 0..<portions {
      if number == change { try DemoFolder(path: folder).writeFunctions() }
      let range = number * Self.portion..<(number + 1) * Self.portion
      _ = try await RequestImport.run(
        grammar.requests(range).map { $0.record.json.bytes }, name: "the demo's grammar", log: log,
        names: wiring.names)
      try await learn(wiring, log)
      let point = try await measure(wiring, log, requests: range.upperBound, calls: standIn.statistics.requests)
      Output.note(Self.text(point))
      points.append(point)
    }
    try await log.close()
    return points
  }

  /// One portion through all stages, begun anew as after a change of the configuration.
  private func learn(_ wiring: Wiring, _ log: any MessageLog) async throws {
    let logger = Wiring.logger("retort.demo", level: .error)
    let teacher = try wiring.teacher(logger: logger)
    let report = RunReport(isQuiet: true)
    do {
      let isWhole = try await wiring.run(.all, mode: .untilIdle, log: log, teacher: teacher, logger: logger) {
        report.take($0)
      }
      guard isWhole else { throw CancellationError() }
    } catch {
      await teacher.shutdown()
      throw error
    }
    await teacher.shutdown()
  }

  private func measure(_ wiring: Wiring, _ log: any MessageLog, requests: Int, calls: Int) async throws -> Point {
    let lookup = ReleaseLookup(wiring: wiring, log: log)
    let manifest = try await lookup.newest(wiring.model)
    let model = try await lookup.load(manifest)
    let checkpoint = try await TrainStage.announced(log: log, names: wiring.names, model: wiring.model).progress
    return Point(
      requests: requests,
      asked: try await LabellingReport.read(log: log, names: wiring.names, model: wiring.model).asked, calls: calls,
      version: manifest.version, before: try exactMatch(model, isNew: false), after: try exactMatch(model, isNew: true),
      isDrifting: checkpoint?.isDrifting ?? false)
  }

  /// Exact match on requests far behind those of the stream.
  private func exactMatch(_ model: ServingModel, isNew: Bool) throws -> Double {
    let start = 1_000_000
    let grammar = RequestGrammar(seed: DemoFolder.seed, scenario: scenario, changesAt: isNew ? 0 : .max)
    var samples: [MeasuredSample] = []
    var index = start
    while samples.count < Self.unseen {
      let request = grammar.request(at: index)
      index += 1
      if isNew, scenario == .newFunction, request.call.name != Scenario.newcomer { continue }
      samples.append(MeasuredSample(id: "\(index)", messages: [.user(request.text)], call: request.call))
    }
    let calls = try Answering.calls(of: samples.map(\.messages), model: model)
    return Double(zip(calls, samples).count { CallScore.exact($0, $1.call) }) / Double(samples.count)
  }

  private static func text(_ point: Point) -> String {
    "after \(point.requests) requests, \(point.asked) of them asked: version \(point.version), before the change "
      + "\(Figures.percent(point.before)), what it brought \(Figures.percent(point.after))"
      + (point.isDrifting ? ", drifting" : "")
  }
}
