/// The operands of matrix products; sums, activations, weights, gradients and everything else are fp32 either way.
public enum Precision: String, Sendable, Hashable, CaseIterable {
  /// fp32 operands.
  case fp32
  /// Operands rounded to bfloat16 as they are read, accumulated in fp32: about twice as fast where the processor multiplies
  /// pairs of them (AVX512-BF16), with the same bits where it does not.
  ///
  /// Reference: Kalamkar et al. 2019, arXiv 1905.12322 (fp32 master weights).
  case bf16
}
