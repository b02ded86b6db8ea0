public import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// One stage as a long-lived part of a process: a graceful shutdown cancels it, which is safe at any instruction.
package struct StageService: Service {
  let name: String
  /// Whether the process has nothing left to do when this stage has ended by itself.
  let isLast: Bool
  let body: @Sendable () async throws -> Void

  package init(name: String, isLast: Bool = false, body: @escaping @Sendable () async throws -> Void) {
    self.name = name
    self.isLast = isLast
    self.body = body
  }

  package func run() async throws {
    do {
      try await cancelWhenGracefulShutdown { try await body() }
      // The group would take a stage that ends while another one is shut down for one that has failed.
      if !isLast { try await gracefulShutdown() }
    } catch is CancellationError {
      // Told to stop: what was under way is done again by whoever comes next.
    }
  }
}

/// The stages of one process, run together until they are idle or told to stop.
public struct StageServices: Sendable {
  private let label: LabelStage?
  private let feedback: FeedbackStage?
  private let train: TrainStage?
  private let release: ReleaseStage?
  private let observer: PipelineObserver

  /// Any of the stages; those that are `nil` run elsewhere or not at all.
  public init(
    label: LabelStage? = nil, feedback: FeedbackStage? = nil, train: TrainStage? = nil, release: ReleaseStage? = nil,
    observer: @escaping PipelineObserver = { _ in }
  ) {
    self.label = label
    self.feedback = feedback
    self.train = train
    self.release = release
    self.observer = observer
  }

  /// Runs the stages.
  ///
  /// - Parameters:
  ///   - mode: for ever, or until everything in the log has gone through all of them.
  /// - Returns: whether they ended by themselves; else they were told to stop.
  /// - Throws: the first error of a stage; the others are stopped.
  @discardableResult
  public func run(_ mode: RunMode, logger: Logger) async throws -> Bool {
    let isDone = DoneFlag(false)
    try await Self.run(stages(mode) { isDone.set() }, logger: logger)
    return isDone.isSet
  }

  package static func run(_ stages: [StageService], logger: Logger) async throws {
    let services = stages.map { stage in
      ServiceGroupConfiguration.ServiceConfiguration(
        service: stage, successTerminationBehavior: stage.isLast ? .gracefullyShutdownGroup : .cancelGroup)
    }
    let group = ServiceGroup(
      configuration: .init(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
  }

  private func stages(_ mode: RunMode, atTheEnd: @escaping @Sendable () -> Void) -> [StageService] {
    var services: [StageService] = []
    let labelIsDone = DoneFlag(label == nil)
    let feedbackIsDone = DoneFlag(feedback == nil)
    let trainIsDone = DoneFlag(train == nil)
    let observer = self.observer
    if let label {
      services.append(
        StageService(name: "label") {
          try await label.run(mode) { observer(.labelled($0)) }
          labelIsDone.set()
        })
    }
    if let feedback {
      services.append(
        StageService(name: "feedback") {
          try await feedback.run(mode) { labelIsDone.isSet }
          feedbackIsDone.set()
        })
    }
    if let train {
      services.append(
        StageService(name: "train") {
          try await train.run(mode) { labelIsDone.isSet && feedbackIsDone.isSet }
          trainIsDone.set()
        })
    }
    if let release {
      services.append(StageService(name: "release") { try await release.run(mode) { trainIsDone.isSet } })
    }
    // A stage is idle only when those before it are.
    guard let last = services.popLast() else { return [] }
    return services + [
      StageService(name: last.name, isLast: true) {
        try await last.body()
        try Task.checkCancellation()
        atTheEnd()
      }
    ]
  }
}

/// Whether a stage has ended.
private final class DoneFlag: Sendable {
  private let value: Atomic<Bool>

  init(_ value: Bool) { self.value = Atomic(value) }

  var isSet: Bool { value.load(ordering: .acquiring) }

  func set() { value.store(true, ordering: .releasing) }
}
