import Logging
import MessageLog

/// Where a consumer goes on reading.
extension Consumer {
  /// Offsets for positions; a time after the last record means the end.
  func resolve(_ positions: [TopicPartition: StartPosition]) throws(MessageLogError) -> [TopicPartition: Int64] {
    var times: [TopicPartition: Int64] = [:]
    var offsets: [TopicPartition: Int64] = [:]
    for (place, position) in positions {
      switch position {
      case .earliest: times[place] = OffsetLookup.oldest
      case .latest: times[place] = OffsetLookup.end
      case .offset(let offset): offsets[place] = max(0, offset)
      case .timestamp(let time): times[place] = max(0, time)
      }
    }
    let found = try handle.offsets(times)
    let late = found.filter { $0.value < 0 }.mapValues { _ in OffsetLookup.end }
    return offsets.merging(found) { $1 }.merging(try handle.offsets(late)) { $1 }
  }

  func move(_ place: TopicPartition, to offset: Int64) throws(MessageLogError) {
    if try !handle.seek(place, to: offset) {
      try handle.unassign([place])
      try handle.assign([place: offset])
    }
    lost[place] = nil
    state.move(place, to: offset)
  }

  /// Finds a place for partitions that have lost theirs: the group's beginning, or what is left after a loss.
  func findLost() {
    if lost.isEmpty && unplaced.isEmpty { return }
    if let retryLostAt, retryLostAt > .now { return }
    retryLostAt = nil
    do {
      try takeUnplacedAnew()
      for (place, offset) in lost { try find(place, at: offset) }
    } catch {
      logger.notice("kafka: cannot find where to go on", metadata: ["reason": "\(error)"])
      retryLostAt = .now + .milliseconds(500)
    }
  }

  private func takeUnplacedAnew() throws(MessageLogError) {
    let places = unplaced.filter { state.contains($0) && state.position(of: $0) == nil }
    if !places.isEmpty {
      try handle.unassign(places)
      try handle.assignWhereCommitted(places)
    }
    unplaced = []
  }

  private func find(_ place: TopicPartition, at offset: Int64) throws(MessageLogError) {
    guard state.contains(place) else {
      lost[place] = nil
      return
    }
    guard let position = state.position(of: place) ?? (offset >= 0 ? offset : nil) else {
      let start: StartPosition = options.startWhenNoCommit == .earliest ? .earliest : .latest
      for (place, offset) in try resolve([place: start]) { try move(place, to: offset) }
      return
    }
    let low = try handle.offsets([place: OffsetLookup.oldest])[place] ?? 0
    let high = try handle.offsets([place: OffsetLookup.end])[place] ?? 0
    if position < low, options.onLostRange == .skip {
      logger.warning(
        "kafka: records were removed before they were read here",
        metadata: ["partition": "\(place)", "offsets": "\(position) to \(low - 1)"])
      try move(place, to: low)
    } else if position >= low, position <= high {
      try move(place, to: position)
    } else {
      lost[place] = nil
      state.fail(
        place, .outOfRange(place, offset: position, watermarks: Watermarks(low: low, high: high)), isStuck: true)
    }
  }

  /// Trouble before anything came of a partition, or, where none is named, of any: perhaps the answer to where the group stands.
  func noteUnplaced(_ place: TopicPartition?) {
    let places = (place.map { [$0] } ?? state.places).filter { state.contains($0) && state.position(of: $0) == nil }
    if places.isEmpty { return }
    unplaced.formUnion(places)
    retryLostAt = max(retryLostAt ?? .now, .now + .milliseconds(500))
    thread.wake()
  }
}
