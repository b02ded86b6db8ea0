extension PackedBatch {
  /// The fewest rows that are worth being computed once: below, copying their keys costs more.
  package static let leastPrefix = 8

  /// The same sequences in the same order, where those that begin with the same rows continue one sequence of these rows, which stands
  /// before the first of them. A row is the same by its token, and by its target if it has one; its weight is the sum of theirs.
  ///
  /// Every sequence keeps at least one row of its own.
  ///
  /// - Parameter mergingTargets: whether rows with a target can be shared; without, the rows with a target stay as many as they are, in
  ///   their order. Rows with a soft target are never shared.
  package func sharingPrefixes(mergingTargets: Bool) -> PackedBatch {
    let families = PrefixFamilies(self, mergingTargets: mergingTargets)
    guard !families.isEmpty else { return self }
    var shared = PackedBatch()
    (shared.softTargets, shared.softShare) = (softTargets, softShare)
    var places = [Int32?](repeating: nil, count: families.count)
    var soft = 0
    for index in 0..<sequenceCount {
      var rows = self.rows(ofSequence: index)
      var continued: Int32 = -1
      if let family = families.family(of: index) {
        let prefix = rows.prefix(families[family].rows)
        if let place = places[family] {
          continued = place
        } else {
          continued = Int32(shared.sequenceCount)
          places[family] = continued
          shared.append(self, rows: prefix, continuing: -1)
        }
        let start = Int(shared.sequenceStarts[Int(continued)])
        for (row, own) in zip(start..., prefix) where families[family].first != index {
          shared.weights[row] += weights[own]
        }
        rows = prefix.upperBound..<rows.upperBound
      }
      let start = shared.rowCount
      shared.append(self, rows: rows, continuing: continued)
      while soft < softTargets.count, Int(softTargets[soft].row) < rows.upperBound {
        shared.softTargets[soft].row += Int32(start - rows.lowerBound)
        soft += 1
      }
    }
    return shared
  }

  private mutating func append(_ source: PackedBatch, rows: Range<Int>, continuing sequence: Int32) {
    tokens += source.tokens[rows]
    targets += source.targets[rows]
    weights += source.weights[rows]
    sequenceStarts.append(Int32(tokens.count))
    continued.append(sequence)
  }

  /// The rows that come before a sequence's own; none where it continues no other.
  func prefix(ofSequence index: Int) -> Range<Int> {
    guard !continued.isEmpty, continued[index] >= 0 else { return 0..<0 }
    return rows(ofSequence: Int(continued[index]))
  }
}

/// Which sequences of a batch begin with the same rows: the families with which the fewest rows are left to compute.
private struct PrefixFamilies {
  /// Sequences that share their first rows.
  struct Family {
    let rows: Int
    let first: Int
  }

  private var families: [Family] = []
  private var familyOf: [Int?]
  /// How many rows each sequence, in the order of their rows, has in common with the one before.
  private let common: [Int]

  init(_ batch: PackedBatch, mergingTargets: Bool) {
    // A row's token and target are all that makes it the same as another.
    let identities = zip(batch.tokens, batch.targets).map { Int64($0) << 32 | Int64($1) & 0xFFFF_FFFF }
    var isBarred = batch.targets.map { $0 >= 0 && !mergingTargets }
    for soft in batch.softTargets { isBarred[Int(soft.row)] = true }
    let starts = batch.sequenceStarts.map(Int.init)
    // How many rows of each sequence can be shared.
    let limits = (0..<batch.sequenceCount).map { index in
      let rows = batch.rows(ofSequence: index).dropLast()
      return (isBarred[rows].firstIndex(of: true) ?? rows.endIndex) - rows.startIndex
    }
    func agreeing(_ a: Int, _ b: Int) -> Int {
      let most = min(limits[a], limits[b])
      return (0..<most).first { identities[starts[a] + $0] != identities[starts[b] + $0] } ?? most
    }
    let order = (0..<batch.sequenceCount).sorted { a, b in
      let agreed = agreeing(a, b)
      guard agreed < limits[a], agreed < limits[b] else { return (limits[a], a) < (limits[b], b) }
      return identities[starts[a] + agreed] < identities[starts[b] + agreed]
    }
    familyOf = [Int?](repeating: nil, count: batch.sequenceCount)
    common = [0] + zip(order, order.dropFirst()).map(agreeing)
    for (places, rows) in best(order.indices, depth: 0).families {
      let sequences = places.map { order[$0] }
      for sequence in sequences { familyOf[sequence] = families.count }
      families.append(Family(rows: rows, first: sequences.min() ?? 0))
    }
  }

  var isEmpty: Bool { families.isEmpty }
  var count: Int { families.count }
  subscript(_ family: Int) -> Family { families[family] }
  func family(of sequence: Int) -> Int? { familyOf[sequence] }

  /// How the sequences at some places of that order are best shared: what all of them have in common, by those that save less by
  /// themselves; the others by themselves, each stretch that has more in common.
  private func best(_ places: Range<Int>, depth: Int) -> Grouping {
    guard let least = common[places.dropFirst()].min() else { return Grouping() }
    var (apart, some) = (Grouping(), Grouping())
    var together: [Int] = []
    let isEnough = least >= PackedBatch.leastPrefix
    var start = places.lowerBound
    for end in Array(places.dropFirst()) + [places.upperBound] where end == places.upperBound || common[end] == least {
      let stretch = depth < 64 ? best(start..<end, depth: depth + 1) : Grouping()
      apart.add(stretch)
      if isEnough, (end - start) * least > stretch.saved { together += start..<end } else { some.add(stretch) }
      start = end
    }
    if together.count > 1 { some.add(Grouping(saved: (together.count - 1) * least, families: [(together, least)])) }
    return some.saved > apart.saved ? some : apart
  }

  /// Families by the places of their sequences and their common rows, and how many rows they spare.
  private struct Grouping {
    var saved = 0
    var families: [(places: [Int], rows: Int)] = []

    mutating func add(_ other: Grouping) {
      saved += other.saved
      families += other.families
    }
  }
}
