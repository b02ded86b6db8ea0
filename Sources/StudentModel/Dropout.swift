/// Dropout on the embeddings and on both residual branches of every layer, from counter-based random numbers.
///
/// An element's mask is a function of (seed, step, place, element) alone, so a step can be repeated, and on any number of threads.
/// Reference: Srivastava et al. 2014, JMLR 15.
public struct Dropout: Sendable, Hashable {
  /// The probability that an element is dropped, 0..<1.
  public var rate: Float
  /// The run's seed.
  public var seed: UInt64
  /// The optimizer step (or micro-batch) that this pass belongs to.
  public var step: UInt64

  /// Makes a mask source.
  public init(rate: Float, seed: UInt64, step: UInt64) {
    self.rate = rate
    self.seed = seed
    self.step = step
  }
}
