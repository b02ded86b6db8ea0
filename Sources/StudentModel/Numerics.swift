/// The name of the arithmetic that turns data into weights.
public enum Numerics {
  /// Changes whenever any bit of a trained model may change for the same base, samples, recipe and seed.
  ///
  /// It stands for: fp32 products as one chain of fused multiply-adds in ascending k, other reductions in 16 lanes and one
  /// fixed tree, own polynomials instead of libm, denormals flushed. Threads and instruction sets have no part in it.
  public static let version = "retort-fp32-1"
}
