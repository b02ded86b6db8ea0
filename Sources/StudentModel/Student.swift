import CKernels
public import ModelFiles

/// One trainable Qwen2-architecture decoder: flat parameters, flat gradients, forward and hand-written backward pass in fp32.
///
/// RMSNorm, rotary embeddings (half-split), grouped-query attention with biases on q, k, v, SwiGLU, tied or untied output.
/// Reference: Qwen Team 2024, arXiv 2407.10671, section 2.2.
///
/// A row's logits are a function of its own sequence's tokens up to it and of the parameters: the same bits whatever else is in the
/// batch, whatever the threads. Gradients are sums over rows in the batch's order.
///
/// Not thread-safe, and not `Sendable`: one owner uses it at a time. It does not hold optimizer state.
public final class Student {
  /// The sizes of the model.
  public let configuration: DecoderConfiguration
  /// Where each tensor lies in ``parameters`` and ``gradients``.
  public let layout: ParameterLayout

  let sizes: Sizes
  let offsets: [LayerOffsets]
  let embeddingOffset: Int
  let finalNormOffset: Int
  let headOffset: Int
  private let parameterStorage: FloatBuffer
  private var gradientStorage: FloatBuffer?
  private var workspace: Workspace?

  private init(checked configuration: DecoderConfiguration, parameters: FloatBuffer) {
    self.configuration = configuration
    layout = ParameterLayout(configuration)
    sizes = Sizes(configuration)
    parameterStorage = parameters
    let layout = layout
    offsets = (0..<configuration.layerCount).map { LayerOffsets(layout, layer: $0) }
    embeddingOffset = layout["model.embed_tokens.weight"]?.offset ?? 0
    finalNormOffset = layout["model.norm.weight"]?.offset ?? 0
    headOffset = layout["lm_head.weight"]?.offset ?? embeddingOffset
  }

  /// A student with random weights that are a function of the configuration, the seed and the recipe.
  ///
  /// - Throws: ``StudentError`` `configuration`.
  public convenience init(
    configuration: DecoderConfiguration, seed: UInt64, initialization: Initialization = Initialization()
  ) throws(StudentError) {
    try Student.check(configuration)
    let layout = ParameterLayout(configuration)
    let storage = FloatBuffer(layout.count)
    for (index, entry) in layout.entries.enumerated() {
      if let deviation = initialization.deviation(of: entry, layerCount: configuration.layerCount) {
        retort_fill_normal(entry.count, seed, UInt64(index), deviation, storage.start + entry.offset)
      } else if !entry.name.hasSuffix(".bias") {
        (storage.start + entry.offset).update(repeating: 1, count: entry.count)
      }
    }
    self.init(checked: configuration, parameters: storage)
  }

  /// A student with given weights, copied.
  ///
  /// - Parameter parameters: all tensors in canonical order, see ``ParameterLayout``.
  /// - Throws: ``StudentError`` `configuration` or `buffer_size`.
  public convenience init(
    configuration: DecoderConfiguration, parameters: UnsafeBufferPointer<Float>
  ) throws(StudentError) {
    let storage = try Student.storage(configuration, copying: parameters)
    self.init(checked: configuration, parameters: storage)
  }

  /// A student with given weights, copied.
  ///
  /// - Parameter parameters: all tensors in canonical order, see ``ParameterLayout``.
  /// - Throws: ``StudentError`` `configuration` or `buffer_size`.
  public convenience init(configuration: DecoderConfiguration, parameters: [Float]) throws(StudentError) {
    let storage = try parameters.withUnsafeBufferPointer { buffer throws(StudentError) in
      try Student.storage(configuration, copying: buffer)
    }
    self.init(checked: configuration, parameters: storage)
  }

  /// A second student with the same weights, and buffers of its own.
  public func copy() -> Student {
    let storage = FloatBuffer(layout.count)
    storage.start.update(from: parameterStorage.start, count: layout.count)
    return Student(checked: configuration, parameters: storage)
  }

  /// All weights, in canonical order; valid as long as the student lives.
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

  /// The activation buffers, grown if this batch is larger than any before.
  func workspace(for batch: PackedBatch) -> Workspace {
    let rows = batch.rowCount
    let longest = batch.longestSequence
    if let workspace, workspace.rows >= rows, workspace.longest >= longest, workspace.threads >= KernelPool.threads {
      return workspace
    }
    let larger = Workspace(
      configuration, rows: max(workspace?.rows ?? 0, (rows + 63) / 64 * 64),
      longest: max(workspace?.longest ?? 0, (longest + 15) / 16 * 16))
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

  private static func check(_ configuration: DecoderConfiguration) throws(StudentError) {
    do {
      try configuration.validate()
    } catch {
      throw StudentError(
        .configuration, context: "the decoder's configuration", expected: "sizes that fit together", found: "\(error)",
        advice: "correct the configuration")
    }
  }
}
