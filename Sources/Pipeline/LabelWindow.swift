import MessageLog

/// The requests that are being labelled, by partition, in the order of the log.
///
/// Answers arrive in any order; what is written is always the contiguous finished prefix of a partition. A pure value:
/// the stage does the reading, the asking and the writing.
struct LabelWindow<Outcome> {
  /// A request with its outcome.
  struct Finished {
    let record: Record
    let outcome: Outcome
  }

  private enum Entry {
    case waiting(Record)
    case finished(Finished)
  }

  private var partitions: [TopicPartition: [Entry]] = [:]
  private var firstOffsets: [TopicPartition: [Int64]] = [:]
  /// Under which number each partition was owned when its requests were read.
  private var ownership: [TopicPartition: Int64] = [:]
  /// How many requests wait for their outcome.
  private(set) var waiting = 0
  /// How many have theirs but are not written.
  private(set) var finished = 0
  /// The bytes of the requests' records.
  private(set) var bytes = 0

  /// Nothing in it.
  var isEmpty: Bool { waiting == 0 && finished == 0 }

  /// Takes a request that was read under this number of ownership; those of a partition come in order.
  mutating func add(_ record: Record, owned number: Int64) {
    let partition = record.topicPartition
    if ownership[partition] != number { forget(partition) }
    ownership[partition] = number
    partitions[partition, default: []].append(.waiting(record))
    firstOffsets[partition, default: []].append(record.offset)
    waiting += 1
    bytes += record.byteCount
  }

  /// Records an outcome. One for a request that was dropped meanwhile is ignored.
  mutating func finish(_ partition: TopicPartition, offset: Int64, outcome: Outcome) {
    guard let offsets = firstOffsets[partition], let index = Self.index(of: offset, in: offsets),
      case .waiting(let record)? = partitions[partition]?[index]
    else { return }
    partitions[partition]?[index] = .finished(Finished(record: record, outcome: outcome))
    waiting -= 1
    finished += 1
  }

  /// Forgets partitions that belong to another member, or did since their requests were read.
  mutating func keepOnly(_ owned: [TopicPartition: Int64]) {
    for (partition, number) in ownership where owned[partition] != number { forget(partition) }
  }

  private mutating func forget(_ partition: TopicPartition) {
    for entry in partitions[partition] ?? [] {
      switch entry {
      case .waiting(let record):
        waiting -= 1
        bytes -= record.byteCount
      case .finished(let item):
        finished -= 1
        bytes -= item.record.byteCount
      }
    }
    partitions[partition] = nil
    firstOffsets[partition] = nil
    ownership[partition] = nil
  }

  /// The finished prefix of every partition, in the order of partitions: at most `limit` requests in all, and no more bytes of
  /// outcomes than this, or one outcome.
  func ready(limit: Int, bytes: Int, size: (Finished) -> Int) -> [Finished] {
    var result: [Finished] = []
    var sum = 0
    for partition in partitions.keys.sorted() {
      for entry in partitions[partition] ?? [] {
        guard result.count < limit, case .finished(let finished) = entry else { break }
        sum += size(finished)
        guard result.isEmpty || sum <= bytes else { return result }
        result.append(finished)
      }
    }
    return result
  }

  /// Drops requests that are now written.
  mutating func remove(_ written: [Finished]) {
    var counts: [TopicPartition: Int] = [:]
    for item in written {
      counts[item.record.topicPartition, default: 0] += 1
      bytes -= item.record.byteCount
    }
    for (partition, count) in counts {
      partitions[partition]?.removeFirst(count)
      firstOffsets[partition]?.removeFirst(count)
      finished -= count
    }
  }

  private static func index(of offset: Int64, in offsets: [Int64]) -> Int? {
    var low = 0
    var high = offsets.count
    while low < high {
      let middle = (low + high) / 2
      if offsets[middle] < offset { low = middle + 1 } else { high = middle }
    }
    return low < offsets.count && offsets[low] == offset ? low : nil
  }
}

extension Record {
  /// Bytes of key and value, which are nearly all there are.
  var byteCount: Int { (key?.count ?? 0) + (value?.count ?? 0) }
}
