import CKernels
import ModelFiles

/// What one layer's forward pass leaves for its backward pass; row-major, `n` rows.
struct LayerActivations {
  /// The residual stream before the layer, `[n, C]`.
  var input: UnsafeMutablePointer<Float>
  /// 1 / root mean square of `input`, `[n]`, and of `middle`.
  var inverseRMS1: UnsafeMutablePointer<Float>
  var inverseRMS2: UnsafeMutablePointer<Float>
  /// The normalised input, `[n, C]`.
  var norm1: UnsafeMutablePointer<Float>
  /// Queries, keys and values after rotation, side by side, `[n, (H + 2·KV)·D]`.
  var qkv: UnsafeMutablePointer<Float>
  /// The heads' outputs, `[n, H·D]`.
  var attention: UnsafeMutablePointer<Float>
  /// The residual stream between attention and feed-forward, `[n, C]`.
  var middle: UnsafeMutablePointer<Float>
  /// The normalised middle, `[n, C]`.
  var norm2: UnsafeMutablePointer<Float>
  /// Gate and up projections side by side, `[n, 2·F]`; the backward pass turns them into their gradients.
  var gateUp: UnsafeMutablePointer<Float>
  /// The adapters' inner activations, `[n, rank]` for each place of one; small, so every layer keeps its own.
  var inner: UnsafeMutablePointer<Float>
}

/// All activation buffers of a pass, allocated once for a capacity and used again by every batch that fits.
final class Workspace {
  let rows: Int
  let longest: Int
  let threads: Int
  let headRows: Int
  /// Whether layers keep their input alone, and share all else.
  let isShared: Bool

  private(set) var layers: [LayerActivations] = []
  /// The residual stream after the last layer, its normalised rows and 1 / root mean square.
  let output: UnsafeMutablePointer<Float>
  let finalNorm: UnsafeMutablePointer<Float>
  let finalInverseRMS: UnsafeMutablePointer<Float>
  /// The last layer's attention outputs at the rows that are asked for, `[n, H·D]`.
  let tailAttention: UnsafeMutablePointer<Float>
  /// One residual branch, `[n, C]`; the feed-forward's hidden activations, `[n, F]`.
  let branch: UnsafeMutablePointer<Float>
  let hidden: UnsafeMutablePointer<Float>
  /// Gradients of one layer's adapters' inner activations, laid out like them.
  let dInner: UnsafeMutablePointer<Float>
  /// One chunk of logits, `[headRows, V]`.
  let logits: UnsafeMutablePointer<Float>
  /// Gradients: of the residual stream and of a norm's output `[n, C]`, hidden `[n, F]`, qkv, attention, and its tail rows.
  let dResidual: UnsafeMutablePointer<Float>
  let dNorm: UnsafeMutablePointer<Float>
  let dHidden: UnsafeMutablePointer<Float>
  let dQKV: UnsafeMutablePointer<Float>
  let dAttention: UnsafeMutablePointer<Float>
  let dTail: UnsafeMutablePointer<Float>
  /// Rotary tables, `[longest, D / 2]`.
  let cosine: UnsafeMutablePointer<Float>
  let sine: UnsafeMutablePointer<Float>
  let productScratch: UnsafeMutablePointer<Float>
  let attentionScratch: UnsafeMutablePointer<Float>

  private let slab: FloatBuffer

  /// The number of rows of logits held at once: about 4 MB of them, but rows enough to be worth reading the head's weights for.
  static func headRows(rows: Int, vocabularySize: Int) -> Int {
    max(1, min(rows, max(256, (1 << 20) / max(1, vocabularySize))))
  }

  init(_ configuration: DecoderConfiguration, rows: Int, longest: Int, rank: Int, isShared: Bool) {
    let sizes = Sizes(configuration)
    self.rows = rows
    self.longest = longest
    threads = Int(retort_pool_threads())
    self.isShared = isShared
    headRows = Workspace.headRows(rows: rows, vocabularySize: sizes.V)
    let (product, attention) = Workspace.scratch(
      sizes, rows: rows, longest: longest, headRows: headRows, rank: rank, threads: threads)
    var plan = Plan()
    func take(_ count: Int) -> Int { plan.take(count) }
    let innerCount = rows * rank * AdapterSettings.Target.allCases.count
    var kept: [Int] = []
    let perLayer = (0..<sizes.L).map { _ in
      let own = [take(rows * sizes.C), take(innerCount)]
      if kept.isEmpty || !isShared {
        kept = [
          take(rows), take(rows), take(rows * sizes.C), take(rows * sizes.QKV), take(rows * sizes.HD),
          take(rows * sizes.C), take(rows * sizes.C), take(rows * 2 * sizes.F),
        ]
      }
      return own + kept
    }
    let shared = [
      take(rows * sizes.C), take(rows * sizes.C), take(rows), take(rows * sizes.HD), take(rows * sizes.C),
      take(rows * sizes.F),
      take(headRows * sizes.V), take(rows * sizes.C), take(rows * sizes.C), take(rows * sizes.F),
      take(rows * sizes.QKV),
      take(rows * sizes.HD), take(rows * max(sizes.HD, sizes.C)), take(longest * sizes.D / 2),
      take(longest * sizes.D / 2),
      take(product), take(attention), take(innerCount),
    ]
    slab = FloatBuffer(plan.total)
    let base = slab.start
    layers = perLayer.map { at in
      LayerActivations(
        input: base + at[0], inverseRMS1: base + at[2], inverseRMS2: base + at[3], norm1: base + at[4],
        qkv: base + at[5], attention: base + at[6], middle: base + at[7], norm2: base + at[8], gateUp: base + at[9],
        inner: base + at[1])
    }
    (output, finalNorm, finalInverseRMS, tailAttention) = (
      base + shared[0], base + shared[1], base + shared[2], base + shared[3]
    )
    (branch, hidden, logits) = (base + shared[4], base + shared[5], base + shared[6])
    (dResidual, dNorm, dHidden, dQKV) = (base + shared[7], base + shared[8], base + shared[9], base + shared[10])
    (dAttention, dTail, cosine, sine) = (base + shared[11], base + shared[12], base + shared[13], base + shared[14])
    (productScratch, attentionScratch, dInner) = (base + shared[15], base + shared[16], base + shared[17])
    retort_rope_table(0, longest, sizes.D, configuration.ropeTheta, configuration.ropeDivisors, cosine, sine)
  }

  /// Hands out stretches of the slab, each on its own cache line.
  private struct Plan {
    var total = 0
    mutating func take(_ count: Int) -> Int {
      defer { total += (count + 15) / 16 * 16 }
      return total
    }
  }

  /// The largest scratch that any product and any attention of the pass needs.
  private static func scratch(_ s: Sizes, rows: Int, longest: Int, headRows: Int, rank: Int, threads: Int) -> (
    product: Int, attention: Int
  ) {
    var product = 0
    func need(_ m: Int, _ n: Int, _ k: Int, adapters: Int = 0) {
      for count in 0...adapters {
        product = max(product, Int(retort_gemm_scratch(m, n, k + count * (rank + rank % 2))))
      }
    }
    // A map's product, and the gradients of its input and its weight.
    func map(_ outputs: Int, _ inputs: Int, rows: Int) {
      need(rows, outputs, inputs, adapters: 1)
      need(rows, inputs, outputs, adapters: 2)
      need(outputs, inputs, rows)
    }
    for (outputs, inputs) in [(s.HD, s.C), (s.KVD, s.C), (s.C, s.HD), (2 * s.F, s.C), (s.C, s.F)] {
      map(outputs, inputs, rows: rows)
    }
    map(s.V, s.C, rows: max(headRows, 1))
    need(rows, s.C, s.QKV, adapters: 3)
    return (product, Int(retort_attention_scratch(longest, s.D, Int32(threads))))
  }
}

/// The glossary of sizes: C channels, L layers, D head size, F feed-forward, V vocabulary, HD all query heads, KVD all key heads.
struct Sizes {
  let C: Int
  let L: Int
  let H: Int
  let KV: Int
  let D: Int
  let F: Int
  let V: Int
  var HD: Int { H * D }
  var KVD: Int { KV * D }
  var QKV: Int { (H + 2 * KV) * D }

  init(_ configuration: DecoderConfiguration) {
    C = configuration.hiddenSize
    L = configuration.layerCount
    H = configuration.headCount
    KV = configuration.keyValueHeadCount
    D = configuration.headSize
    F = configuration.feedForwardSize
    V = configuration.vocabularySize
  }
}
