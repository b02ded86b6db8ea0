import Topics

/// About how many requests of each day the teacher was asked, by the ledger: by the partitions of `requests` that pay.
struct Spending {
  private var days: [String: [Int: Int]] = [:]

  /// How many of a day a partition has paid for.
  func count(of day: String, in partition: Int) -> Int { days[day]?[partition] ?? 0 }

  /// Adds what an account says.
  mutating func learn(_ entry: LedgerRecord) {
    for item in entry.asked {
      // Accounts of earlier versions do not say where; those that one member had then count for the first.
      let place = item.partition ?? entry.ranges.first?.partition ?? 0
      days[item.day, default: [:]][place, default: 0] += item.count
    }
  }
}
