/// The name of the arithmetic that turns data into weights.
public enum Numerics {
  /// The arithmetic of fp32 products.
  public static let version = version(.fp32)

  /// Changes whenever any bit of a trained model may change for the same base, samples, recipe and seed.
  ///
  /// It stands for: products as one chain of fused multiply-adds in ascending k (of bfloat16 operands: in ascending pairs,
  /// the odd one first), other reductions in 16 lanes and one fixed tree, own polynomials instead of libm, denormals
  /// flushed; and for the order in which a target's keys are written. Threads and instruction sets have no part in it.
  public static func version(_ precision: Precision) -> String { "retort-\(precision.rawValue)-2" }
}
