import CKernels
public import ModelFiles

/// One trainable Qwen2-architecture decoder: flat parameters, flat gradients, forward and hand-written backward pass.
///
/// Either all weights learn (fp32), or a base is frozen as bfloat16 and low-rank adapters learn, see ``AdapterSettings``;
/// ``parameters``, ``gradients`` and ``layout`` are what learns.
///
/// RMSNorm, rotary embeddings (half-split), grouped-query attention with biases on q, k, v, SwiGLU, tied or untied output.
/// Reference: Qwen Team 2024, arXiv 2407.10671, section 2.2.
///
/// A row's logits are a function of its own sequence's tokens up to it and of the parameters: the same bits whatever else is in the
/// batch, whatever the threads, and whether prefixes are shared or not. Gradients are sums over rows in the batch's order.
///
/// Not thread-safe, and not `Sendable`: one owner uses it at a time. It does not hold optimizer state.
public final class Student {
  /// The sizes of the model.
  public let configuration: DecoderConfiguration
  /// Where each tensor lies in ``parameters`` and ``gradients``.
  public let layout: ParameterLayout
  /// The adapters, if they alone learn.
  public let adapters: AdapterSettings?
  /// The operands of matrix products; fp32 by default, and always bf16 with adapters.
  public let precision: Precision
  /// Whether a backward pass computes a layer's activations again from its input instead of keeping them; the same bits,
  /// a third more work in the layers' forward pass, and a fraction of the memory. Off by default.
  public var recomputesActivations = false {
    didSet { if recomputesActivations != oldValue { workspace = nil } }
  }
  /// Whether rows with which several sequences of a batch begin are computed once for all of them, forward and backward: the same
  /// mathematics, in another order of sums. Off by default.
  public var sharesPrefixes = false

  let sizes: Sizes
  let layers: [LayerMap]
  let embeddingOffset: Int
  let finalNormOffset: Int
  let headOffset: Int
  let frozen: FrozenWeights?
  /// Set during a pass that hands gradients over.
  var windows: GradientWindows?
  private let parameterStorage: FloatBuffer
  private var gradientStorage: FloatBuffer?
  private var workspace: Workspace?

  init(
    checked configuration: DecoderConfiguration, parameters: FloatBuffer, precision: Precision,
    frozen: FrozenWeights? = nil, adapters: AdapterSettings? = nil
  ) {
    self.configuration = configuration
    (self.precision, self.frozen, self.adapters) = (precision, frozen, adapters)
    let (base, sizes) = (ParameterLayout(configuration), Sizes(configuration))
    let adapterLayout = adapters.map { ParameterLayout(configuration, adapters: $0) }
    layout = adapterLayout ?? base
    self.sizes = sizes
    parameterStorage = parameters
    layers = (0..<configuration.layerCount).map { LayerMap(base, adapters: adapterLayout, sizes: sizes, layer: $0) }
    embeddingOffset = base["model.embed_tokens.weight"]?.offset ?? 0
    finalNormOffset = base["model.norm.weight"]?.offset ?? 0
    headOffset = base["lm_head.weight"]?.offset ?? embeddingOffset
  }

  /// A student with random weights that are a function of the configuration, the seed and the recipe.
  ///
  /// - Throws: ``StudentError`` `configuration`.
  public convenience init(
    configuration: DecoderConfiguration, seed: UInt64, initialization: Initialization = Initialization(),
    precision: Precision = .fp32
  ) throws(StudentError) {
    try Student.check(configuration)
    let layout = ParameterLayout(configuration)
    let storage = FloatBuffer(layout.count)
    for (index, entry) in layout.entries.enumerated() {
      initialization.fill(
        storage.start + entry.offset, entry, index: index, seed: seed, layerCount: configuration.layerCount)
    }
    self.init(checked: configuration, parameters: storage, precision: precision)
  }

  /// A student with given weights, copied.
  ///
  /// - Parameter parameters: all tensors in canonical order, see ``ParameterLayout``.
  /// - Throws: ``StudentError`` `configuration` or `buffer_size`.
  public convenience init(
    configuration: DecoderConfiguration, parameters: UnsafeBufferPointer<Float>, precision: Precision = .fp32
  ) throws(StudentError) {
    let storage = try Student.storage(configuration, copying: parameters)
    self.init(checked: configuration, parameters: storage, precision: precision)
  }

  /// A student with given weights, copied.
  ///
  /// - Parameter parameters: all tensors in canonical order, see ``ParameterLayout``.
  /// - Throws: ``StudentError`` `configuration` or `buffer_size`.
  public convenience init(
    configuration: DecoderConfiguration, parameters: [Float], precision: Precision = .fp32
  ) throws(StudentError) {
    let storage = try parameters.withUnsafeBufferPointer { buffer throws(StudentError) in
      try Student.storage(configuration, copying: buffer)
    }
    self.init(checked: configuration, parameters: storage, precision: precision)
  }

  /// A student with given weights, tensor by tensor.
  ///
  /// - Parameter fill: writes the weights of a tensor; called once for each, in canonical order.
  /// - Throws: ``StudentError`` `configuration`; what `fill` throws.
  public convenience init(
    configuration: DecoderConfiguration, precision: Precision = .fp32,
    weights fill: (_ entry: ParameterLayout.Entry, _ weights: UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    try Student.check(configuration)
    let layout = ParameterLayout(configuration)
    let storage = FloatBuffer(layout.count)
    for entry in layout.entries { try fill(entry, storage.start + entry.offset) }
    self.init(checked: configuration, parameters: storage, precision: precision)
  }

  /// A second student with the same weights, and buffers of its own; frozen weights are shared.
  public func copy() -> Student {
    let storage = FloatBuffer(layout.count)
    storage.start.update(from: parameterStorage.start, count: layout.count)
    let copy = Student(
      checked: configuration, parameters: storage, precision: precision, frozen: frozen, adapters: adapters)
    copy.recomputesActivations = recomputesActivations
    copy.sharesPrefixes = sharesPrefixes
    return copy
  }

  /// All weights that learn, in canonical order; valid as long as the student lives.
  public var parameters: UnsafeMutableBufferPointer<Float> { parameterStorage.mutableBuffer }

  /// The gradient of the last ``forwardBackward(_:dropout:accumulate:normalizer:)``, laid out like ``parameters``; allocated on first use.
  public var gradients: UnsafeMutableBufferPointer<Float> {
    if let gradientStorage { return gradientStorage.mutableBuffer }
    let storage = FloatBuffer(layout.count)
    gradientStorage = storage
    return storage.mutableBuffer
  }

  /// The weights of one tensor.
  public func parameters(_ entry: ParameterLayout.Entry) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(rebasing: parameters[entry.range])
  }

  /// Gives activation buffers and gradients back to the system; the next pass allocates what it needs.
  public func releaseBuffers() {
    workspace = nil
    gradientStorage = nil
  }

  /// A matrix of the model, by its offset among all weights.
  func matrix(_ offset: Int) -> ProductOperand {
    frozen.map { ProductOperand($0.values.pointer + offset) } ?? ProductOperand(parameters.pointer + offset)
  }

  /// A norm or bias of the model, by its offset among all weights.
  func vector(at offset: Int) -> UnsafePointer<Float> {
    frozen?.vector(at: offset) ?? UnsafePointer(parameters.pointer + offset)
  }

  /// Where the gradient of a weight goes, by its offset among all weights; nil where it does not learn.
  func gradient(at offset: Int) -> UnsafeMutablePointer<Float>? {
    if frozen != nil { return nil }
    if let windows { return windows.pointer(at: offset) }
    return gradients.pointer + offset
  }

  /// The activation buffers, grown if this batch is larger than any before.
  func workspace(for batch: PackedBatch) -> Workspace {
    let rows = batch.rowCount
    let longest = batch.longestSequence
    if let workspace, workspace.rows >= rows, workspace.longest >= longest, workspace.threads >= KernelPool.threads {
      return workspace
    }
    let larger = Workspace(
      configuration, rows: max(workspace?.rows ?? 0, (rows + 63) / 64 * 64),
      longest: max(workspace?.longest ?? 0, (longest + 15) / 16 * 16), rank: adapters?.rank ?? 0,
      isShared: recomputesActivations)
    workspace = larger
    return larger
  }

  /// A copy of given weights, if they fit the configuration.
  private static func storage(
    _ configuration: DecoderConfiguration, copying parameters: UnsafeBufferPointer<Float>
  ) throws(StudentError) -> FloatBuffer {
    try check(configuration)
    let count = ParameterLayout(configuration).count
    try require(
      parameters.count == count, .bufferSize, "the parameters", "\(count) numbers", "\(parameters.count)",
      "give all tensors of the configuration, in canonical order")
    let storage = FloatBuffer(count)
    if let base = parameters.baseAddress { storage.start.update(from: base, count: count) }
    return storage
  }

  static func check(_ configuration: DecoderConfiguration) throws(StudentError) {
    do {
      try configuration.validate()
    } catch {
      throw StudentError(
        .configuration, context: "the decoder's configuration", expected: "sizes that fit together", found: "\(error)",
        advice: "correct the configuration")
    }
  }
}
