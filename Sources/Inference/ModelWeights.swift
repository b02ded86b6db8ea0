import ModelFiles

/// All weights of one decoder, ready for products.
struct ModelWeights: Sendable {
  /// A linear layer.
  struct Linear: Sendable {
    let weight: WeightMatrix
    let bias: FloatStorage?
  }

  /// One transformer block. Layers with one input are one matrix, outputs side by side, as far as their types agree.
  struct Layer: Sendable {
    let inputNorm: FloatStorage
    /// Query, key and value.
    let attention: [Linear]
    let output: [Linear]
    let middleNorm: FloatStorage
    let gateUp: [Linear]
    let down: [Linear]
  }

  /// The token embeddings, as they are looked up.
  let embedding: WeightTable
  let layers: [Layer]
  let finalNorm: FloatStorage
  let head: WeightMatrix

  /// Where weights come from: a file, a flat buffer, or what is written tensor by tensor.
  protocol Source {
    /// The values of a parameter, all finite.
    func vector(_ name: String, _ shape: [Int]) throws(InferenceError) -> FloatStorage
    /// The weights of a linear layer, all finite, for as long as it takes to pack them.
    func table(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightTable
    /// The embedding table, which is kept.
    func embedding(_ name: String, _ shape: [Int]) throws(InferenceError) -> WeightTable
  }

  /// Reads every parameter of `configuration`, and packs the matrices or finds them packed.
  ///
  /// - Parameter packed: what ``stored`` of the same weights was.
  init(
    _ configuration: DecoderConfiguration, from source: some Source, packed: DerivedContents? = nil
  ) throws(InferenceError) {
    var offset = 0
    func matrix(_ tables: [WeightTable]) throws(InferenceError) -> WeightMatrix {
      guard let packed else { return WeightMatrix(tables) }
      return try WeightMatrix(tables, stored: packed, at: &offset)
    }
    let shapes = Dictionary(
      configuration.parameters.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    func vector(_ name: String) throws(InferenceError) -> FloatStorage { try source.vector(name, shapes[name] ?? []) }
    func linear(_ names: String...) throws(InferenceError) -> [Linear] {
      var groups: [(tables: [WeightTable], biases: [FloatStorage])] = []
      for name in names {
        let table = try source.table(name + ".weight", shapes[name + ".weight"] ?? [])
        let bias = shapes[name + ".bias"] == nil ? nil : try vector(name + ".bias")
        if groups.last?.tables.last?.type != table.type { groups.append(([], [])) }
        groups[groups.count - 1].tables.append(table)
        if let bias { groups[groups.count - 1].biases.append(bias) }
      }
      return try groups.map { (group) throws(InferenceError) in
        Linear(weight: try matrix(group.tables), bias: group.biases.isEmpty ? nil : .joined(group.biases))
      }
    }
    var layers: [Layer] = []
    for number in 0..<configuration.layerCount {
      let (attention, mlp) = ("model.layers.\(number).self_attn.", "model.layers.\(number).mlp.")
      layers.append(
        Layer(
          inputNorm: try vector("model.layers.\(number).input_layernorm.weight"),
          attention: try linear(attention + "q_proj", attention + "k_proj", attention + "v_proj"),
          output: try linear(attention + "o_proj"),
          middleNorm: try vector("model.layers.\(number).post_attention_layernorm.weight"),
          gateUp: try linear(mlp + "gate_proj", mlp + "up_proj"), down: try linear(mlp + "down_proj")))
    }
    self.layers = layers
    finalNorm = try vector("model.norm.weight")
    let table = "model.embed_tokens.weight"
    embedding = try source.embedding(table, shapes[table] ?? [])
    head =
      configuration.tiesEmbeddings
      ? try matrix([embedding]) : try linear("lm_head")[0].weight
  }

  /// All matrices, in the order in which they are read and stored.
  var matrices: [WeightMatrix] {
    let linears = layers.flatMap { layer in [layer.attention, layer.output, layer.gateUp, layer.down].joined() }
    return linears.map(\.weight) + [head]
  }
}
