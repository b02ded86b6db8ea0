/// Low-rank adapters: a frozen linear map W becomes W + (alpha / rank)·B·A, and only A `[rank, in]` and B `[out, rank]` learn.
///
/// A starts normally distributed with a deviation of 1/√in, B at zero, so that a new student is its base. Embeddings, norms
/// and biases stay as they are.
/// Reference: Hu et al. 2021, arXiv 2106.09685, section 4.1.
public struct AdapterSettings: Sendable, Hashable {
  /// The linear maps of a layer that can have adapters, in canonical order.
  public enum Target: String, Sendable, Hashable, CaseIterable {
    case q, k, v, o, gate, up, down

    /// Its name inside a layer, without `.weight`.
    var path: String {
      switch self {
      case .q, .k, .v, .o: "self_attn.\(rawValue)_proj"
      case .gate, .up, .down: "mlp.\(rawValue)_proj"
      }
    }

    /// Its place in that order.
    var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }

  /// The inner width of an adapter, at least 1.
  public var rank: Int
  /// The adapters' outputs count alpha / rank.
  public var alpha: Double
  /// Which maps have adapters.
  public var targets: Set<Target>

  /// Makes settings; every linear map of the layers by default.
  public init(rank: Int, alpha: Double, targets: Set<Target> = Set(Target.allCases)) {
    self.rank = rank
    self.alpha = alpha
    self.targets = targets
  }

  /// What an adapter's output is multiplied by.
  var scale: Float { Float(alpha / Double(rank)) }
}
