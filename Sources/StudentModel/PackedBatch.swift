/// Sequences packed one after another without padding; attention does not cross from one to the next.
public struct PackedBatch: Sendable, Hashable {
  /// The tokens of all sequences, `[rows]`.
  public var tokens: [Int32]
  /// Where each sequence starts, and at the end the number of rows: `[sequences + 1]`, ascending from 0.
  public var sequenceStarts: [Int32]
  /// The token that should follow each row's token, or −1 where nothing is asked, `[rows]`.
  public var targets: [Int32]
  /// The weight of each row's loss, ≥ 0; ignored where the target is −1, `[rows]`.
  public var weights: [Float]
  /// What is known of a teacher's distributions in some of the rows with a target, by ascending rows; default none.
  public var softTargets: [SoftTarget] = []
  /// How much the divergence from them counts in the loss of their rows, against the target; 0…1, default 0.
  public var softShare: Float = 0
  /// The earlier sequence that each sequence continues as if its rows stood before its own, or −1, `[sequences]`; empty where none does.
  package internal(set) var continued: [Int32] = []

  /// An empty batch, to append to.
  public init() {
    self.init(tokens: [], sequenceStarts: [0], targets: [], weights: [])
  }

  /// A batch of these arrays; ``Student`` checks them when it is used.
  public init(tokens: [Int32], sequenceStarts: [Int32], targets: [Int32], weights: [Float]) {
    self.tokens = tokens
    self.sequenceStarts = sequenceStarts
    self.targets = targets
    self.weights = weights
  }

  /// The number of rows (tokens).
  public var rowCount: Int { tokens.count }
  /// The number of sequences.
  public var sequenceCount: Int { max(0, sequenceStarts.count - 1) }
  /// The rows that have a target, ascending.
  public var targetRows: [Int32] { targets.indices.filter { targets[$0] >= 0 }.map(Int32.init) }

  /// Appends one sequence.
  ///
  /// - Parameters:
  ///   - tokens: its tokens.
  ///   - targets: what should follow each, −1 where nothing is asked; as many as tokens.
  ///   - weight: the weight of each of its targets.
  public mutating func append(tokens: [Int32], targets: [Int32], weight: Float = 1) {
    self.tokens += tokens
    self.targets += targets
    weights += [Float](repeating: weight, count: tokens.count)
    sequenceStarts.append(Int32(truncatingIfNeeded: self.tokens.count))
  }

  /// Appends a prompt and its completion, each token predicted by the token before it.
  ///
  /// - Parameters:
  ///   - prompt: its tokens.
  ///   - completion: its tokens.
  ///   - weight: the weight of each of the completion's tokens.
  ///   - promptWeight: the weight of each of the prompt's; 0, the default, asks nothing there.
  ///   - soft: soft targets of the completion, whose row is the place in it of the token they are about.
  public mutating func append(
    prompt: [Int32], completion: [Int32], weight: Float = 1, promptWeight: Float = 0, soft: [SoftTarget] = []
  ) {
    let all = prompt + completion
    let first = promptWeight > 0 ? 1 : prompt.count
    let start = rowCount
    let targets = all.indices.dropLast().map { $0 + 1 >= first ? all[$0 + 1] : -1 }
    append(tokens: Array(all.dropLast()), targets: targets, weight: weight)
    for row in 0..<max(0, prompt.count - 1) where promptWeight > 0 { weights[start + row] = promptWeight }
    for var target in soft {
      target.row += Int32(start + prompt.count - 1)
      softTargets.append(target)
    }
  }
}

extension PackedBatch {
  /// The same sequences in order, cut into at most `count` batches of nearly as many each.
  package func split(into count: Int) -> [PackedBatch] {
    let parts = max(1, min(count, sequenceCount))
    guard parts > 1 else { return [self] }
    return (0..<parts).map { part in
      let (first, last) = (part * sequenceCount / parts, (part + 1) * sequenceCount / parts)
      let rows = Int(sequenceStarts[first])..<Int(sequenceStarts[last])
      var batch = PackedBatch(
        tokens: Array(tokens[rows]), sequenceStarts: sequenceStarts[first...last].map { $0 - sequenceStarts[first] },
        targets: Array(targets[rows]), weights: Array(weights[rows]))
      batch.softShare = softShare
      for var target in softTargets where rows.contains(Int(target.row)) {
        target.row -= Int32(rows.lowerBound)
        batch.softTargets.append(target)
      }
      return batch
    }
  }

  /// Σ weight over the rows with a target.
  package var targetWeight: Double { targetRows.reduce(0.0) { $0 + Double(weights[Int($1)]) } }

  /// The rows of one sequence.
  func rows(ofSequence index: Int) -> Range<Int> { Int(sequenceStarts[index])..<Int(sequenceStarts[index + 1]) }

  /// The positions of a sequence's rows, behind those that it continues.
  func positions(ofSequence index: Int) -> Range<Int32> {
    let start = Int32(prefix(ofSequence: index).count)
    return start..<start + Int32(rows(ofSequence: index).count)
  }

  /// The longest sequence, with what it continues.
  var longestSequence: Int { (0..<sequenceCount).map { Int(positions(ofSequence: $0).upperBound) }.max() ?? 0 }

  /// Checks the arrays against each other and against a model.
  func validate(vocabularySize: Int, maximumPositions: Int) throws(StudentError) {
    try require(rowCount <= 1 << 24, .batchShape, "the batch", "at most \(1 << 24) rows", "\(rowCount)", "split it")
    let rows = rowCount
    try require(
      targets.count == rows && weights.count == rows, .batchShape, "the batch",
      "\(rows) targets and weights, as tokens",
      "\(targets.count) and \(weights.count)", "give each row one of each")
    try require(
      sequenceStarts.first == 0 && sequenceStarts.last == Int32(rows), .batchShape, "sequenceStarts",
      "0 at the start and \(rows) at the end", "\(sequenceStarts.prefix(1))…\(sequenceStarts.suffix(1))",
      "list each sequence's first row, then the number of rows")
    for (start, end) in zip(sequenceStarts, sequenceStarts.dropFirst()) {
      try require(
        start < end, .batchShape, "sequenceStarts", "strictly ascending rows", "\(start), \(end)",
        "drop empty sequences")
      try require(
        Int(end) - Int(start) <= maximumPositions, .sequenceLength, "the sequence at row \(start)",
        "at most \(maximumPositions) tokens",
        "\(Int(end) - Int(start))", "shorten it, or leave it out")
    }
    let limit = Int32(vocabularySize)
    for row in 0..<rows {
      try require(
        tokens[row] >= 0 && tokens[row] < limit, .tokenRange, "the token of row \(row)", "0..<\(limit)",
        "\(tokens[row])",
        "use the model's own tokenizer")
      try require(
        targets[row] >= -1 && targets[row] < limit, .tokenRange, "the target of row \(row)", "−1..<\(limit)",
        "\(targets[row])",
        "use the model's own tokenizer")
      try require(
        weights[row] >= 0 && weights[row].isFinite, .numberRange, "the weight of row \(row)", "a finite number ≥ 0",
        "\(weights[row])",
        "correct the sample's weight")
    }
    try validateSoftTargets(below: limit)
  }

  private func validateSoftTargets(below limit: Int32) throws(StudentError) {
    try require(
      softShare >= 0 && softShare <= 1, .numberRange, "softShare", "0…1", "\(softShare)", "correct the recipe")
    var next: Int32 = 0
    for soft in softTargets {
      let isAsked = soft.row >= next && soft.row < rowCount && targets[Int(soft.row)] >= 0
      try require(
        isAsked, .batchShape, "the soft target of row \(soft.row)", "ascending rows with a target", "another",
        "give one to each row at most")
      next = soft.row + 1
      try require(
        (1...SoftTarget.limit).contains(soft.tokens.count) && soft.probabilities.count == soft.tokens.count,
        .batchShape, "the soft target of row \(soft.row)", "1 to \(SoftTarget.limit) tokens, each with a probability",
        "\(soft.tokens.count) and \(soft.probabilities.count)", "leave out the least likely")
      let areTokens = soft.tokens.allSatisfy { (0..<limit).contains($0) }
      try require(
        areTokens && Set(soft.tokens).count == soft.tokens.count, .tokenRange, "the soft target of row \(soft.row)",
        "tokens in 0..<\(limit), each once", "others", "use the model's own tokenizer")
      try require(
        soft.probabilities.allSatisfy { $0 >= 0 && $0 <= 1 }, .numberRange, "the soft target of row \(soft.row)",
        "probabilities", "others", "give logarithms of at most 0")
    }
  }
}

/// Throws unless the condition holds; the texts are made only if it does not.
func require(
  _ condition: Bool, _ code: StudentError.Code, _ context: @autoclosure () -> String,
  _ expected: @autoclosure () -> String,
  _ found: @autoclosure () -> String, _ advice: @autoclosure () -> String
) throws(StudentError) {
  guard condition else {
    throw StudentError(code, context: context(), expected: expected(), found: found(), advice: advice())
  }
}
