import CKernels

/// What is known of a teacher's distribution of one row's next token: its likeliest tokens. The others are one class, the tail.
///
/// Reference: the forward divergence over the teacher's top k with a term for the tail, as in constrained distillation (STAR, arXiv
/// 2602.03022); the tail's mass is what the k probabilities lack to 1.
public struct SoftTarget: Sendable, Hashable {
  /// The most tokens that can be known.
  public static let limit = DistillationLoss.topLimit

  /// The row of the batch; it has a target.
  public var row: Int32
  /// The known tokens, each once; at least one.
  public let tokens: [Int32]
  /// Their probabilities.
  public let probabilities: [Float]
  /// The mass of all other tokens: what the probabilities lack to 1.
  public let tail: Float

  /// - Parameters:
  ///   - logprobs: the natural logarithms of the tokens' probabilities. Where these add up to more than 1, which rounding can
  ///     do, they are divided by their sum and the tail has no mass.
  public init(row: Int32, tokens: [Int32], logprobs: [Float]) {
    let plain = logprobs.map { retort_exp(Double($0)) }
    let sum = plain.reduce(0, +)
    self.row = row
    self.tokens = tokens
    probabilities = plain.map { Float(sum > 1 ? $0 / sum : $0) }
    tail = Float(max(0, 1 - sum))
  }
}

/// The soft targets of a batch as the kernel reads them, by rows with a target.
struct SoftRows {
  private var starts: [Int32] = [0]
  private var tokens: [Int32] = []
  private var probabilities: [Float] = []
  private var tails: [Float] = []
  private let share: Float

  /// Nil where the batch has none, or they count nothing.
  ///
  /// - Parameter wanted: the rows with a target, ascending.
  init?(_ batch: PackedBatch, wanted: [Int32]) {
    guard !batch.softTargets.isEmpty, batch.softShare > 0 else { return nil }
    share = batch.softShare
    var rest = batch.softTargets[...]
    for row in wanted {
      var tail: Float = 0
      if let soft = rest.first, soft.row == row {
        rest.removeFirst()
        tokens += soft.tokens
        probabilities += soft.probabilities
        tail = soft.tail
      }
      starts.append(Int32(tokens.count))
      tails.append(tail)
    }
  }

  /// How much the divergence counts in a row, as an index into the rows with a target.
  func share(of row: Int) -> Float { starts[row + 1] > starts[row] ? share : 0 }

  /// Calls `body` with what the kernel needs for the rows from `start` on.
  func withRows(from start: Int, _ body: (UnsafePointer<retort_top_rows>) -> Void) {
    starts.withUnsafeBufferPointer { starts in
      tokens.withUnsafeBufferPointer { tokens in
        probabilities.withUnsafeBufferPointer { probabilities in
          tails.withUnsafeBufferPointer { tails in
            var rows = retort_top_rows(
              starts: starts.baseAddress.map { $0 + start }, tokens: tokens.baseAddress,
              probabilities: probabilities.baseAddress, tails: tails.baseAddress.map { $0 + start }, share: share)
            withUnsafePointer(to: &rows, body)
          }
        }
      }
    }
  }
}
