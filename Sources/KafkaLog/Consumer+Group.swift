import CRdKafka
import MessageLog

/// What a consumer does as a member of its group.
extension Consumer {
  /// The partitions of this reader; those whose beginning is not known yet count only where it cannot be missed.
  var ownership: [TopicPartition: Int64] {
    let isKnown = state.positions
    return state.ownership.filter { options.startWhenNoCommit == .earliest || isKnown[$0.key] != nil }
  }

  /// What this member may commit for, once it has joined.
  var membership: GroupMembership {
    get async throws {
      try check()
      if let membership = currentMembership() { return membership }
      let patience = options.sessionTimeout + .seconds(30)
      return try await withCheckedThrowingContinuation { continuation in
        joinWaiters.append(JoinWaiter(deadline: .now + patience, continuation: continuation))
        thread.wake()
      }
    }
  }

  private func currentMembership() -> GroupMembership? {
    guard let group, let (identity, token) = handle.identity() else { return nil }
    return GroupMembership(
      group: group, memberID: identity.member, generation: Int64(identity.generation), token: token)
  }

  func commit(_ offsets: [TopicPartition: Int64]) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while true {
      try check()
      // The brokers ask only whether the member is one; that it owns what it commits is ours to see to.
      if let foreign = offsets.keys.sorted().first(where: { !state.contains($0) }) {
        throw MessageLogError(
          .fenced, "the partition belongs to another member of the group", topic: foreign.topic,
          partition: foreign.partition, advice: "read on from what the group has committed", isRetriable: true)
      }
      if offsets.isEmpty { return }
      let code = await withCheckedContinuation { continuation in
        handle.commit(offsets) { continuation.resume(returning: $0) }
      }
      if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
      let isPassing =
        code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || code == RD_KAFKA_RESP_ERR__WAIT_COORD
        || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
        || code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS || code == RD_KAFKA_RESP_ERR__TRANSPORT
      guard isPassing, ContinuousClock.now < deadline else {
        throw KafkaFailure.error(
          code, "committing offsets of group \(group ?? "")", detail: handle.context.lastTrouble?.text)
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  func apply(_ change: GroupChange) {
    do {
      switch change {
      case .assigned(let places):
        for place in places { state.add(place, at: nil) }
        try handle.assignWhereCommitted(places)
      case .revoked(let places):
        state.remove(places)
        for place in places { lost[place] = nil }
        unplaced.subtract(places)
        try handle.unassign(places)
      }
    } catch {
      failure = error
    }
  }

  func serveJoinWaiters() {
    guard !joinWaiters.isEmpty else { return }
    if let membership = currentMembership() {
      for waiter in joinWaiters { waiter.continuation.resume(returning: membership) }
      joinWaiters = []
      return
    }
    let error =
      failure
      ?? KafkaFailure.error(
        RD_KAFKA_RESP_ERR__TIMED_OUT, "joining the group \(group ?? "")", detail: handle.context.lastTrouble?.text)
    for waiter in joinWaiters where waiter.deadline <= .now || failure != nil {
      waiter.continuation.resume(throwing: error)
    }
    joinWaiters.removeAll { $0.deadline <= .now || failure != nil }
    failure = nil
  }
}
