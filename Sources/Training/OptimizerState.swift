/// How AdamW's two moments are kept between steps; they are computed in fp32 either way.
public enum OptimizerState: String, Sendable, Hashable, CaseIterable {
  /// Eight bytes a parameter.
  case fp32
  /// Four bytes a parameter; rounded at random (a hash of step and place), so that slow averages do not stand still.
  case bf16
  /// Two bytes and a bit a parameter: blocks of 256 of a tensor share a scale, codes are rounded at random.
  ///
  /// Reference: Dettmers et al. 2021, arXiv 2110.02861; our map is quadratic.
  case int8

  var bytesPerElement: Int {
    switch self {
    case .fp32: 4
    case .bf16: 2
    case .int8: 1
    }
  }
}
