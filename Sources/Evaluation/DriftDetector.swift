public import Topics

/// Finds a change of the mean of a stream of outcomes: a window that grows while the mean stays and shrinks when it
/// changes.
///
/// A pure function of the stream: no clock, no chance, and no function of the C library, so that a trainer that releases
/// earlier for it is one too. Memory: about 5 buckets for each doubling of the window.
///
/// Reference: the window is that of Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing",
/// ADWIN2 with M = 5, whose cut is tested at every outcome, a part having at least ``minimumPart``. The test is not theirs
/// but the likelihood ratio of Besson, Kaufmann, Maillard and Seznec 2022, "Efficient change-point detection for tackling
/// piecewise-stationary bandits", eq. 3, which needs a third of the outcomes where nearly all were right. Its limit is
/// ln(100 ln n / δ) for a window of n; theirs, ln(3 n √n / δ), is for all windows at once and finds less.
public struct DriftDetector: Sendable, Hashable {
  /// What an outcome showed.
  public enum Change: Sendable, Hashable {
    /// The mean of the newer part is lower.
    case fall
    /// It is higher.
    case rise
  }

  /// Buckets of one size before the two oldest are joined.
  static let bucketsPerSize = 5
  /// Fewest outcomes on either side of a cut.
  static let minimumPart = 10

  /// At most about the probability of a false alarm in 1,000 outcomes without a change, above 0 to 1.
  public let confidence: Double
  /// For each power of two, newest first, the sums of buckets of so many outcomes, oldest first.
  private var rows: [[Int]] = []
  /// Outcomes in the window.
  public private(set) var width = 0
  /// Those of them that were right.
  public private(set) var sum = 0

  /// A detector with an empty window.
  public init(confidence: Double) { self.confidence = confidence }

  /// A detector that has seen `count` outcomes elsewhere, `right` of them right, against which those to come are held.
  public init(confidence: Double, after count: Int, right: Int) {
    self.init(confidence: confidence)
    // Spread evenly, or their order would look like a change.
    for index in 0..<count { insert((index + 1) * right / count - index * right / count) }
  }

  /// The mean of the window; 0 of none.
  public var mean: Double { width == 0 ? 0 : Double(sum) / Double(width) }

  /// Takes the next outcome; what has changed, if anything: the older part of the window is then forgotten.
  public mutating func add(_ isRight: Bool) -> Change? {
    insert(isRight ? 1 : 0)
    var change: Change?
    while let found = cut() {
      change = found
      dropOldest()
    }
    return change
  }

  private mutating func insert(_ outcome: Int) {
    width += 1
    sum += outcome
    var carry: Int? = outcome
    var row = 0
    while let value = carry {
      if row == rows.count { rows.append([]) }
      rows[row].append(value)
      carry = nil
      if rows[row].count > Self.bucketsPerSize {
        carry = rows[row][0] + rows[row][1]
        rows[row].removeFirst(2)
      }
      row += 1
    }
  }

  private mutating func dropOldest() {
    guard let last = rows.indices.last else { return }
    let size = 1 << last
    sum -= rows[last].removeFirst()
    width -= size
    while rows.last?.isEmpty == true { rows.removeLast() }
  }

  /// The first cut, from the oldest on, at which two means explain the window so much better than one.
  private func cut() -> Change? {
    let mean = mean
    guard width >= 2 * Self.minimumPart, mean > 0, mean < 1 else { return nil }
    let limit = Self.ln(100 * Self.ln(Double(width)) / confidence)
    var (n0, u0) = (0, 0)
    for row in rows.indices.reversed() {
      for bucket in rows[row] {
        n0 += 1 << row
        u0 += bucket
        let n1 = width - n0
        guard n1 >= Self.minimumPart else { return nil }
        guard n0 >= Self.minimumPart else { continue }
        let (older, newer) = (Double(u0) / Double(n0), Double(sum - u0) / Double(n1))
        let ratio = Double(n0) * Self.divergence(older, mean) + Double(n1) * Self.divergence(newer, mean)
        if ratio > limit { return older > newer ? .fall : .rise }
      }
    }
    return nil
  }

  /// The Kullback–Leibler divergence of Bernoulli distributions in nats, p ln(p / q) + (1 − p) ln((1 − p) / (1 − q)).
  private static func divergence(_ p: Double, _ q: Double) -> Double {
    func term(_ p: Double, _ q: Double) -> Double { p > 0 ? p * ln(p / q) : 0 }
    return term(p, q) + term(1 - p, 1 - q)
  }

  /// The natural logarithm of a normal x > 0 by operations that IEEE 754 rounds exactly: ln(m · 2^e) = e · ln 2 + 2 artanh((m − 1) / (m + 1)).
  static func ln(_ x: Double) -> Double {
    let m = x.significand
    let t = (m - 1) / (m + 1)
    var (term, sum) = (t, 0.0)
    for k in stride(from: 1, through: 61, by: 2) {
      sum += term / Double(k)
      term *= t * t
    }
    return Double(x.exponent) * 0.693_147_180_559_945_3 + 2 * sum
  }
}

// The stored form, for checkpoints.
extension DriftDetector {
  /// `{"confidence", "rows"}`.
  public var json: JSON {
    let lists = rows.map { JSON.array($0.map { .integer(Int64($0)) }) }
    return ["confidence": .number(confidence), "rows": .array(lists)]
  }

  /// From what ``json`` wrote; nil where it is anything else.
  public init?(json: JSON) {
    guard let confidence = json["confidence"]?.doubleValue, confidence > 0, confidence <= 1,
      let lists = json["rows"]?.arrayValue, lists.count < 48
    else { return nil }
    self.init(confidence: confidence)
    for (row, list) in lists.enumerated() {
      let sums = (list.arrayValue ?? []).compactMap { $0.integerValue.flatMap { Int(exactly: $0) } }
      guard sums.count == list.arrayValue?.count, sums.count <= Self.bucketsPerSize,
        sums.allSatisfy({ $0 >= 0 && $0 <= 1 << row })
      else { return nil }
      rows.append(sums)
      width += sums.count << row
      sum += sums.reduce(0, +)
    }
    if rows.last?.isEmpty == true { return nil }
  }
}
