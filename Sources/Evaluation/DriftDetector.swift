public import Topics

/// Finds a change of the mean of a stream of outcomes: ADWIN, a window that grows while the mean stays and shrinks when it
/// changes.
///
/// A pure function of the stream: no clock, no chance, and no function of the C library, so that a trainer that releases
/// earlier for it is one too. Memory: about 5 buckets for each doubling of the window.
///
/// Reference: Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing", ADWIN2 with M = 5; the cut
/// is tested at every outcome, and a part of the window has at least ``minimumPart``.
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

  /// The probability of an alarm without a change, above 0 to 1.
  public let confidence: Double
  /// For each power of two, newest first, the sums of buckets of so many outcomes, oldest first.
  private var rows: [[Int]] = []
  /// Outcomes in the window.
  public private(set) var width = 0
  /// Those of them that were right.
  public private(set) var sum = 0

  /// A detector with an empty window.
  public init(confidence: Double) { self.confidence = confidence }

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

  /// The first cut, from the oldest on, at which the two parts differ by more than chance allows.
  private func cut() -> Change? {
    guard width >= 2 * Self.minimumPart else { return nil }
    let variance = mean * (1 - mean)
    // ln(2 / δ') with δ' = δ / ln n.
    let logarithm = Self.ln(2 * Self.ln(Double(width)) / confidence)
    var (n0, u0) = (0, 0)
    for row in rows.indices.reversed() {
      for bucket in rows[row] {
        n0 += 1 << row
        u0 += bucket
        let n1 = width - n0
        guard n1 >= Self.minimumPart else { return nil }
        guard n0 >= Self.minimumPart else { continue }
        let inverse = 1 / Double(n0) + 1 / Double(n1)
        let bound = (2 * inverse * variance * logarithm).squareRoot() + 2.0 / 3 * inverse * logarithm
        let difference = Double(u0) / Double(n0) - Double(sum - u0) / Double(n1)
        if difference > bound { return .fall }
        if -difference > bound { return .rise }
      }
    }
    return nil
  }

  /// The natural logarithm of x ≥ 1 by operations that IEEE 754 rounds exactly: ln(m · 2^e) = e · ln 2 + 2 artanh((m − 1) / (m + 1)).
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
