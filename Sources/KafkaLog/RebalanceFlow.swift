package import MessageLog

/// A change of a group member's partitions that the member has not answered yet.
package struct GroupChange: Sendable {
  package enum Kind: Sendable { case assigned, revoked, lost }
  package var kind: Kind
  package var places: [TopicPartition]

  package init(kind: Kind, places: [TopicPartition]) {
    self.kind = kind
    self.places = places
  }
}

/// How a group member answers the group's changes: a plain value that returns what is to be done.
///
/// One change is under way at a time. Partitions that are taken away in order are drained first, for a bounded time; those
/// that are already lost are let go at once.
package struct RebalanceFlow {
  package enum Action: Equatable {
    /// Begin to read.
    case assign(Set<TopicPartition>)
    /// Deliver no more, and let the consumer finish its work; then say ``drained(_:)``.
    case drain(Set<TopicPartition>)
    /// Give up.
    case unassign(Set<TopicPartition>)
  }

  private var draining: Set<TopicPartition>?
  private var turn = 0
  /// Until when draining may last.
  package private(set) var deadline: ContinuousClock.Instant?

  package init() {}

  /// Whether partitions are being drained.
  package var isDraining: Bool { draining != nil }

  /// The group has changed something.
  package mutating func take(_ change: GroupChange, drains: Bool) -> [Action] {
    let places = Set(change.places)
    switch change.kind {
    case .assigned: return finish() + [.assign(places)]
    case .revoked where drains && !places.isEmpty:
      let before = finish()
      draining = places
      return before + [.drain(places)]
    case .revoked: return finish() + [.unassign(places)]
    case .lost:
      // What was being drained is among what is lost, or was answered before.
      let before = draining?.subtracting(places) ?? []
      end()
      return [.unassign(places.union(before))]
    }
  }

  /// Draining has begun.
  ///
  /// - Returns: its number, for ``drained(_:)``.
  package mutating func startDraining(until deadline: ContinuousClock.Instant) -> Int {
    turn += 1
    self.deadline = deadline
    return turn
  }

  /// The consumer has finished its work; late answers for an earlier change are ignored.
  package mutating func drained(_ turn: Int) -> [Action] { turn == self.turn ? finish() : [] }

  /// Time has passed.
  package mutating func tick(isLost: Bool, now: ContinuousClock.Instant = .now) -> [Action] {
    guard isLost || deadline.map({ $0 <= now }) == true else { return [] }
    return finish()
  }

  private mutating func finish() -> [Action] {
    guard let places = draining else { return [] }
    end()
    return [.unassign(places)]
  }

  private mutating func end() {
    draining = nil
    deadline = nil
  }
}
