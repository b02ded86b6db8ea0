package import ModelFiles

/// What a decoder of some sizes costs, in what a target can be measured in.
package struct ModelCost {
  /// How a matrix is stored.
  let elementType: (_ name: String, _ shape: [Int]) -> ElementType
  /// The bytes of the file that are no tensor: metadata and vocabulary.
  let metadataBytes: Int

  /// - Parameters:
  ///   - elementType: how a tensor is stored.
  ///   - metadataBytes: the bytes of the file that are no tensor.
  package init(elementType: @escaping (_ name: String, _ shape: [Int]) -> ElementType, metadataBytes: Int) {
    self.elementType = elementType
    self.metadataBytes = metadataBytes
  }

  /// The cost of a configuration.
  package func callAsFunction(_ configuration: DecoderConfiguration, in measure: PruningPlan.Measure) -> Int {
    switch measure {
    case .parameters: configuration.parameterCount
    case .bytes: bytes(configuration)
    case .latency: Self.operations(configuration)
    }
  }

  /// The bytes of the whole file, to within some bytes for each tensor.
  private func bytes(_ configuration: DecoderConfiguration) -> Int {
    configuration.parameters.reduce(metadataBytes) { sum, parameter in
      let count = parameter.shape.reduce(1, *)
      return sum + (elementType(parameter.name, parameter.shape).byteCount(elements: count) ?? 0)
        + parameter.name.utf8.count + 64
    }
  }

  /// The multiply-adds of one decoded token after 64 others.
  private static func operations(_ configuration: DecoderConfiguration) -> Int {
    let matrices = configuration.parameters.filter { $0.shape.count == 2 }.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let lookedUp = configuration.tiesEmbeddings ? 0 : configuration.vocabularySize * configuration.hiddenSize
    return matrices - lookedUp + configuration.layerCount * 2 * 65 * configuration.headCount * configuration.headSize
  }
}
