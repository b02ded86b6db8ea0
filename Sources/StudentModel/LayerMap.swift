/// One linear map of the decoder: y = x·Wᵀ + bias, and adapters on stretches of its outputs.
struct LinearMap {
  /// An adapter: A `[rank, in]` and B `[width, rank]` in the adapters' buffer, for the outputs from `column` on; `place` is its
  /// place among the layer's adapters.
  struct Adapter {
    let place: Int
    let a: Int
    let b: Int
    let column: Int
    let width: Int
  }

  /// Offset of W `[outputs, inputs]`.
  let weight: Int
  /// Offset of the bias.
  let bias: Int?
  let outputs: Int
  let inputs: Int
  let adapters: [Adapter]

  /// All outputs in order, cut where an adapter begins or ends.
  var stretches: [(columns: Range<Int>, adapter: Adapter?)] {
    var (stretches, end): ([(columns: Range<Int>, adapter: Adapter?)], Int) = ([], 0)
    for adapter in adapters {
      if adapter.column > end { stretches.append((end..<adapter.column, nil)) }
      end = adapter.column + adapter.width
      stretches.append((adapter.column..<end, adapter))
    }
    if end < outputs { stretches.append((end..<outputs, nil)) }
    return stretches
  }
}

/// One layer's tensors in the flat parameter buffer.
struct LayerMap {
  let norm1: Int
  /// q, k, v.
  let projections: [LinearMap]
  let o: LinearMap
  let norm2: Int
  /// The gate's weights; the up projection's follow at once, so that both are one map to `2·F`.
  let gateUp: LinearMap
  let down: LinearMap
  /// All of the layer's elements.
  let range: Range<Int>

  init(_ layout: ParameterLayout, adapters: ParameterLayout?, sizes s: Sizes, layer: Int) {
    let prefix = "model.layers.\(layer)."
    func offset(_ name: String) -> Int? { layout[prefix + name]?.offset }
    func adapter(_ target: AdapterSettings.Target, column: Int = 0) -> LinearMap.Adapter? {
      let stem = prefix + target.path
      guard let a = adapters?[stem + ".lora_A.weight"], let b = adapters?[stem + ".lora_B.weight"] else { return nil }
      return LinearMap.Adapter(
        place: target.place, a: a.offset, b: b.offset, column: column, width: b.shape[0])
    }
    func map(_ target: AdapterSettings.Target, _ outputs: Int, _ inputs: Int) -> LinearMap {
      LinearMap(
        weight: offset(target.path + ".weight") ?? 0, bias: offset(target.path + ".bias"), outputs: outputs,
        inputs: inputs, adapters: [adapter(target)].compactMap { $0 })
    }
    norm1 = offset("input_layernorm.weight") ?? 0
    projections = [map(.q, s.HD, s.C), map(.k, s.KVD, s.C), map(.v, s.KVD, s.C)]
    o = map(.o, s.C, s.HD)
    norm2 = offset("post_attention_layernorm.weight") ?? 0
    gateUp = LinearMap(
      weight: offset("mlp.gate_proj.weight") ?? 0, bias: nil, outputs: 2 * s.F, inputs: s.C,
      adapters: [adapter(.gate), adapter(.up, column: s.F)].compactMap { $0 })
    down = map(.down, s.C, s.F)
    range = norm1..<(down.weight + s.C * s.F)
  }
}
