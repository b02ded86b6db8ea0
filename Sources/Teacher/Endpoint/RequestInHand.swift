internal import Logging

/// The request that a task labels, for who finds that an endpoint refuses it alone: whoever runs this is told once which it is,
/// since what comes after it in its partition waits for it.
final class RequestInHand: Sendable {
  /// That of the running task and of those that it starts; `nil` where no request is labelled.
  @TaskLocal static var current: RequestInHand?

  private let name: String
  private let logger: Logger
  private let naming = Once()

  /// - Parameter place: where it stands in the log, if it does.
  init(id: String, place: String?, logger: Logger) {
    name = id.prefix(200) + (place.map { ", \($0)," } ?? "")
    self.logger = logger
  }

  /// It is refused and others are not, which more attempts are to make sure of.
  func isRefusedAlone(by endpoint: String, message: String) {
    guard naming.isFirst() else { return }
    logger.warning(
      """
      label: the \(endpoint) refuses the request \(name) while it answers others (\(message)); it is tried a few more times, \
      which can take minutes, and then, if it is still refused, becomes a dead letter: what comes after it in its \
      partition is written only then
      """)
  }
}
