package import MessageLog

/// Shares partitions among a group's members. A pure function: every member that looks at the same tables finds the same
/// answer, so no leader is needed.
///
/// Balanced and sticky: with equal subscriptions no member has more than one partition above another, and no partition
/// moves that need not. Reference: KIP-54 (sticky assignor), without its second-order optimum for unequal subscriptions.
package enum Assignor {
  /// A live member.
  package struct Member: Sendable, Hashable {
    package var id: String
    package var topics: Set<String>

    package init(id: String, topics: Set<String>) {
      self.id = id
      self.topics = topics
    }
  }

  /// Who should own what.
  ///
  /// - Parameters:
  ///   - members: in the order in which they joined.
  ///   - partitions: all partitions of the topics that somebody reads.
  ///   - owners: who owns what now.
  package static func assign(
    members: [Member], partitions: [TopicPartition], owners: [TopicPartition: String]
  ) -> [TopicPartition: String] {
    guard !members.isEmpty else { return [:] }
    let wanted = partitions.filter { place in members.contains { $0.topics.contains(place.topic) } }.sorted()
    let quota = quotas(members, wanted, owners)
    var load: [String: Int] = [:]
    var target: [TopicPartition: String] = [:]
    var open: [TopicPartition] = []
    let subscriptions = Dictionary(uniqueKeysWithValues: members.map { ($0.id, $0.topics) })
    for place in wanted {
      guard let owner = owners[place], subscriptions[owner]?.contains(place.topic) == true,
        load[owner, default: 0] < quota[owner, default: 0]
      else {
        open.append(place)
        continue
      }
      target[place] = owner
      load[owner, default: 0] += 1
    }
    for place in open {
      let able = members.filter { $0.topics.contains(place.topic) }
      let least = able.map { load[$0.id, default: 0] }.min() ?? 0
      let candidates = able.filter { load[$0.id, default: 0] == least }
      guard let chosen = candidates.first(where: { $0.id == owners[place] }) ?? candidates.first else { continue }
      target[place] = chosen.id
      load[chosen.id, default: 0] += 1
    }
    return target
  }

  /// How many partitions each may keep: equal shares, the odd ones to those who have most already.
  private static func quotas(
    _ members: [Member], _ wanted: [TopicPartition], _ owners: [TopicPartition: String]
  ) -> [String: Int] {
    var owned: [String: Int] = [:]
    for place in wanted { if let owner = owners[place] { owned[owner, default: 0] += 1 } }
    let share = wanted.count / members.count
    let odd = wanted.count % members.count
    let byLoad = members.enumerated().sorted { left, right in
      let (a, b) = (owned[left.element.id, default: 0], owned[right.element.id, default: 0])
      return a == b ? left.offset < right.offset : a > b
    }
    var quota: [String: Int] = [:]
    for (rank, member) in byLoad.enumerated() { quota[member.element.id] = share + (rank < odd ? 1 : 0) }
    return quota
  }
}
