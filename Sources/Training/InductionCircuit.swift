import CKernels
import ModelFiles
import StudentModel

/// Weights with which a body can copy before it has learned anything, random but for how they relate to each other.
///
/// In the first layer one head of each group looks at the token before and writes it, in a random basis; in the second the
/// query is a token itself, the key what the first layer wrote, the value the token: it attends to what followed an equal
/// token earlier, and its output is that token again. All other residual projections start small, so that they do not drown it.
/// Found by training as a rule, but late: with embeddings drawn anew at every step, 1,500 steps were not enough.
///
/// Reference: Olsson et al. 2022, "In-context learning and induction heads", arXiv 2209.11895; aligned initial products as in
/// Trockman and Kolter 2023, "Mimetic initialization of self-attention layers", arXiv 2305.09828.
struct InductionCircuit {
  /// The bias of queries and keys of the heads that look at the token before.
  private static let positionBias: Float = 7
  /// How much of the content's say in these heads stays.
  private static let contentShare: Float = 0.3
  /// The gain of the second layer's queries.
  private static let queryGain: Float = 4
  /// The gain of what it copies.
  private static let copyGain: Float = 2
  /// The initial share of the other residual projections, in the first two layers and in the others.
  private static let quiet: Float = 0.05
  private static let late: Float = 0.1
  /// Rotations faster than this one's pair are left out of the second layer's match, which is to hold at any distance.
  private static let fastShare = 5.0 / 16

  private let student: Student
  private let (heads, groups, width, channels): (Int, Int, Int, Int)

  /// Builds the circuit into a fresh student; one with a single layer has no place for it and stays as it is.
  static func build(into student: Student) {
    guard student.configuration.layerCount >= 2 else { return }
    let circuit = InductionCircuit(student)
    circuit.lookBack()
    circuit.hush()
    circuit.copyMatches()
  }

  private init(_ student: Student) {
    self.student = student
    let sizes = student.configuration
    (heads, groups) = (sizes.headCount, sizes.keyValueHeadCount)
    (width, channels) = (sizes.hiddenSize / sizes.headCount, sizes.hiddenSize)
  }

  /// The query heads that share a key.
  private var perGroup: Int { heads / groups }

  private func tensor(_ layer: Int, _ name: String) -> UnsafeMutableBufferPointer<Float> {
    guard let entry = student.layout["model.layers.\(layer).\(name)"] else {
      preconditionFailure("a fresh student has every tensor of its architecture")
    }
    return student.parameters(entry)
  }

  /// First layer: the first head of each group attends one position back. Rotated by its own position, a constant query meets a
  /// constant key that was turned ahead by one position exactly there.
  private func lookBack() {
    let (queryBias, keyBias) = (tensor(0, "self_attn.q_proj.bias"), tensor(0, "self_attn.k_proj.bias"))
    let (query, key) = (tensor(0, "self_attn.q_proj.weight"), tensor(0, "self_attn.k_proj.weight"))
    let pairs = width / 2
    for group in 0..<groups {
      let head = group * perGroup
      for pair in 0..<pairs {
        var (sine, cosine) = (0.0, 0.0)
        let logarithm = retort_log(Double(student.configuration.ropeTheta))
        retort_sincos(retort_exp(-Double(pair) / Double(pairs) * logarithm), &sine, &cosine)
        queryBias[head * width + pair] = Self.positionBias
        keyBias[group * width + pair] = Self.positionBias * Float(cosine)
        keyBias[group * width + pairs + pair] = Self.positionBias * Float(sine)
      }
      let rows = width * channels
      for index in 0..<rows {
        query[head * rows + index] *= Self.contentShare
        key[group * rows + index] *= Self.contentShare
      }
    }
  }

  /// Makes the other outputs small.
  private func hush() {
    let output = tensor(0, "self_attn.o_proj.weight")
    for index in output.indices where index % (heads * width) / width % perGroup != 0 { output[index] *= Self.quiet }
    for layer in 0..<student.configuration.layerCount {
      let share = layer < 2 ? Self.quiet : Self.late
      let feedForward = tensor(layer, "mlp.down_proj.weight")
      for index in feedForward.indices { feedForward[index] *= share }
      guard layer >= 2 else { continue }
      let attention = tensor(layer, "self_attn.o_proj.weight")
      for index in attention.indices { attention[index] *= share }
    }
  }

  /// Second layer: the query reads what the first layer's values read, the key reads what its outputs wrote, and the output is
  /// the values' transpose.
  private func copyMatches() {
    let (value0, output0) = (tensor(0, "self_attn.v_proj.weight"), tensor(0, "self_attn.o_proj.weight"))
    let (query, key) = (tensor(1, "self_attn.q_proj.weight"), tensor(1, "self_attn.k_proj.weight"))
    let (value, output) = (tensor(1, "self_attn.v_proj.weight"), tensor(1, "self_attn.o_proj.weight"))
    // Outputs start smaller than other maps by this factor.
    let ratio = Float(2 * student.configuration.layerCount).squareRoot()
    let pairs = width / 2
    let fast = Int(Double(pairs) * Self.fastShare)
    let slowGain = (Float(pairs) / Float(pairs - fast)).squareRoot()
    for group in 0..<groups {
      for row in 0..<width {
        let gain = row % pairs >= fast ? slowGain : 0.2
        for channel in 0..<channels {
          let own = (group * width + row) * channels + channel
          let written = channel * heads * width + group * perGroup * width + row
          key[own] = gain * ratio * output0[written]
          for head in group * perGroup..<(group + 1) * perGroup {
            query[(head * width + row) * channels + channel] = gain * Self.queryGain * value0[own]
            output[channel * heads * width + head * width + row] = Self.copyGain * value[own]
          }
        }
      }
    }
  }
}
