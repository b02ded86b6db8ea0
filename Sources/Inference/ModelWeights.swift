import CKernels
import ModelFiles

/// All weights of one decoder, ready for products.
struct ModelWeights: Sendable {
  /// A linear layer.
  struct Linear: Sendable {
    let weight: WeightMatrix
    let bias: FloatStorage?
  }

  /// One transformer block.
  struct Layer: Sendable {
    let inputNorm: FloatStorage
    /// Query, key and value.
    let projections: [Linear]
    let output: Linear
    let middleNorm: FloatStorage
    let gate: Linear
    let up: Linear
    let down: Linear
  }

  /// The token embeddings as they are looked up.
  enum Embedding: Sendable {
    case floats(FloatStorage)
    case blocks(TensorView)
  }

  let embedding: Embedding
  let layers: [Layer]
  let finalNorm: FloatStorage
  let head: WeightMatrix

  /// Where weights come from: a file or a flat buffer.
  protocol Source {
    /// The values of a parameter, all finite.
    func vector(_ name: String, _ shape: [Int]) throws(InferenceError) -> FloatStorage
    /// The packed weights of a linear layer.
    func matrix(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightMatrix
    /// The embedding table.
    func embedding(_ name: String, _ shape: [Int]) throws(InferenceError) -> Embedding
  }

  /// Reads and packs every parameter of `configuration`.
  init(_ configuration: DecoderConfiguration, from source: some Source) throws(InferenceError) {
    let shapes = Dictionary(
      configuration.parameters.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    func vector(_ name: String) throws(InferenceError) -> FloatStorage { try source.vector(name, shapes[name] ?? []) }
    func linear(_ name: String) throws(InferenceError) -> Linear {
      let bias = shapes[name + ".bias"] == nil ? nil : try vector(name + ".bias")
      return Linear(weight: try source.matrix(name + ".weight", shapes[name + ".weight"] ?? []), bias: bias)
    }
    let table = "model.embed_tokens.weight"
    embedding = try source.embedding(table, shapes[table] ?? [])
    var layers: [Layer] = []
    for number in 0..<configuration.layerCount {
      let prefix = "model.layers.\(number)."
      var projections: [Linear] = []
      for kind in ["q", "k", "v"] { projections.append(try linear(prefix + "self_attn.\(kind)_proj")) }
      layers.append(
        Layer(
          inputNorm: try vector(prefix + "input_layernorm.weight"), projections: projections,
          output: try linear(prefix + "self_attn.o_proj"),
          middleNorm: try vector(prefix + "post_attention_layernorm.weight"),
          gate: try linear(prefix + "mlp.gate_proj"),
          up: try linear(prefix + "mlp.up_proj"), down: try linear(prefix + "mlp.down_proj")))
    }
    self.layers = layers
    finalNorm = try vector("model.norm.weight")
    let output = configuration.tiesEmbeddings ? table : "lm_head.weight"
    head = try source.matrix(output, shapes[output] ?? [])
  }

  /// Writes the embeddings of `tokens`, which must be within the vocabulary, one row of `width` floats each.
  func embed(_ tokens: [Int32], width: Int, into rows: UnsafeMutablePointer<Float>) {
    switch embedding {
    case .floats(let table):
      withExtendedLifetime(table) { retort_gather_rows(tokens.count, width, table.pointer, tokens, rows) }
    case .blocks(let table):
      guard let blocks = table.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      withExtendedLifetime(table) {
        for (row, token) in tokens.enumerated() { retort_q8_0_row(Int(token), width, blocks, rows + row * width) }
      }
    }
  }

  /// All matrices, for sizing scratch.
  var matrices: [WeightMatrix] {
    layers.flatMap { layer in (layer.projections + [layer.output, layer.gate, layer.up, layer.down]).map(\.weight) } + [
      head
    ]
  }
}
