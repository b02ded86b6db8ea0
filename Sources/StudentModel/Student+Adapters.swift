import CKernels
public import ModelFiles

extension Student {
  /// A student whose base is given and frozen, and whose adapters are new: it computes what its base computes.
  ///
  /// - Parameters:
  ///   - configuration: the base's sizes.
  ///   - adapters: which maps have adapters, and how wide they are.
  ///   - seed: of the adapters' initial weights.
  ///   - fill: writes the weights of a tensor (the number of its elements) of the base; called once for each, in canonical order.
  /// - Throws: ``StudentError`` `configuration` or `number_range`; what `fill` throws.
  public convenience init(
    configuration: DecoderConfiguration, adapters: AdapterSettings, seed: UInt64,
    base fill: (_ entry: ParameterLayout.Entry, _ weights: UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    try Student.check(configuration)
    let frozen = FrozenWeights(ParameterLayout(configuration))
    let largest = FloatBuffer(frozen.layout.entries.map(\.count).max() ?? 0)
    for entry in frozen.layout.entries {
      try fill(entry, largest.start)
      frozen.set(entry, largest.start)
    }
    frozen.readVectors()
    try self.init(configuration, frozen, adapters)
    for (index, entry) in layout.entries.enumerated() where entry.name.hasSuffix(".lora_A.weight") {
      retort_fill_normal(
        entry.count, seed, UInt64(index), 1 / Double(entry.shape[1]).squareRoot(),
        self.parameters.pointer + entry.offset)
    }
  }

  /// A student whose base has random weights, those of `init(configuration:seed:initialization:)` rounded to bfloat16.
  ///
  /// - Throws: ``StudentError`` `configuration` or `number_range`.
  public convenience init(
    configuration: DecoderConfiguration, adapters: AdapterSettings, seed: UInt64,
    initialization: Initialization = Initialization()
  ) throws {
    var index = 0
    try self.init(configuration: configuration, adapters: adapters, seed: seed) { entry, weights in
      initialization.fill(weights, entry, index: index, seed: seed, layerCount: configuration.layerCount)
      index += 1
    }
  }

  /// A student of a frozen base as ``frozenWeights`` gives it, and adapters as ``parameters`` gives them.
  ///
  /// - Throws: ``StudentError`` `configuration`, `number_range` or `buffer_size`.
  public convenience init(
    configuration: DecoderConfiguration, adapters: AdapterSettings, frozenWeights: UnsafeRawBufferPointer,
    parameters: [Float]
  ) throws(StudentError) {
    try Student.check(configuration)
    let frozen = FrozenWeights(ParameterLayout(configuration))
    try require(
      frozenWeights.count == frozen.layout.count * 2, .bufferSize, "the frozen weights",
      "\(frozen.layout.count * 2) bytes", "\(frozenWeights.count)", "give all tensors as bfloat16, in canonical order")
    UnsafeMutableRawBufferPointer(frozen.values).copyMemory(from: frozenWeights)
    frozen.readVectors()
    try self.init(configuration, frozen, adapters)
    try require(
      parameters.count == layout.count, .bufferSize, "the adapters", "\(layout.count) numbers", "\(parameters.count)",
      "give all adapters, in canonical order")
    _ = self.parameters.update(fromContentsOf: parameters)
  }

  private convenience init(
    _ configuration: DecoderConfiguration, _ frozen: FrozenWeights, _ adapters: AdapterSettings
  ) throws(StudentError) {
    try require(
      adapters.rank >= 1 && adapters.rank <= configuration.hiddenSize, .numberRange, "the adapters' rank",
      "1…\(configuration.hiddenSize)", "\(adapters.rank)", "correct the recipe")
    try require(
      !adapters.targets.isEmpty && adapters.alpha > 0 && adapters.alpha.isFinite, .numberRange, "the adapters",
      "a target and a positive alpha", "\(adapters.targets.count) targets, alpha \(adapters.alpha)",
      "correct the recipe")
    let storage = FloatBuffer(ParameterLayout(configuration, adapters: adapters).count)
    self.init(checked: configuration, parameters: storage, precision: .bf16, frozen: frozen, adapters: adapters)
  }

  /// The frozen base's weights as bfloat16, all tensors in canonical order, little-endian; nil where all weights learn.
  /// Valid as long as the student lives.
  public var frozenWeights: UnsafeRawBufferPointer? { frozen.map { UnsafeRawBufferPointer($0.values) } }

  /// A student without adapters that computes the same but for rounding: W + (alpha / rank)·B·A in fp32; itself where it
  /// has none. Its products keep this student's precision.
  public func merged() -> Student {
    guard let frozen else { return self }
    let storage = FloatBuffer(frozen.layout.count)
    for entry in frozen.layout.entries { writeMerged(entry, into: storage.start + entry.offset) }
    let merged = Student(checked: configuration, parameters: storage, precision: precision)
    merged.recomputesActivations = recomputesActivations
    merged.sharesPrefixes = sharesPrefixes
    return merged
  }

  /// Writes one tensor of ``merged()``, for whoever needs no two of them at once.
  ///
  /// - Parameter entry: of the layout of a student of this configuration without adapters.
  public func writeMerged(_ entry: ParameterLayout.Entry, into weights: UnsafeMutablePointer<Float>) {
    guard let frozen, let adapters else {
      return weights.update(from: parameters.pointer + entry.offset, count: entry.count)
    }
    retort_from_bfloat16(entry.count, frozen.values.pointer + entry.offset, weights)
    let r = adapters.rank
    for map in layers.flatMap({ $0.projections + [$0.o, $0.gateUp, $0.down] }) {
      for adapter in map.adapters where map.weight + adapter.column * map.inputs == entry.offset {
        let scratch = FloatBuffer(Int(retort_gemm_scratch(adapter.width, map.inputs, r)))
        let b = FloatBuffer(adapter.width * r)
        b.start.update(from: parameters.pointer + adapter.b, count: adapter.width * r)
        retort_scale(adapter.width * r, adapters.scale, b.start)
        retort_gemm(
          RETORT_NN, adapter.width, map.inputs, r, b.start, r, parameters.pointer + adapter.a, map.inputs, weights,
          map.inputs, nil, 1, scratch.start)
      }
    }
  }
}
