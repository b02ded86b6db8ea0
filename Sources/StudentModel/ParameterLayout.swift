public import ModelFiles

/// Where each parameter tensor lies in one flat `Float` buffer, in canonical order without gaps.
///
/// Parameters, gradients and optimizer moments share it, so that digests, checkpoints and the optimizer see one array.
public struct ParameterLayout: Sendable, Hashable {
  /// One tensor of the flat buffer.
  public struct Entry: Sendable, Hashable {
    /// Its Hugging Face name.
    public let name: String
    /// `[out, in]` or `[width]`, row-major, outermost first.
    public let shape: [Int]
    /// Index of its first element in the flat buffer.
    public let offset: Int
    /// Its number of elements.
    public let count: Int
    /// Whether weight decay applies: to matrices, not to norms and biases.
    public var decays: Bool { shape.count > 1 }
    /// Its elements in the flat buffer.
    public var range: Range<Int> { offset..<offset + count }
  }

  /// The tensors in canonical order.
  public let entries: [Entry]
  /// The number of elements of the whole buffer.
  public let count: Int
  private let indices: [String: Int]

  /// Lays out the parameters of a configuration.
  public init(_ configuration: DecoderConfiguration) { self.init(configuration.parameters) }

  /// Lays out the adapters of a configuration's linear maps: `….lora_A.weight [rank, in]`, then `….lora_B.weight [out, rank]`.
  public init(_ configuration: DecoderConfiguration, adapters: AdapterSettings) {
    let wanted = Set(adapters.targets.map { $0.path + ".weight" })
    self.init(
      configuration.parameters.flatMap { name, shape -> [(name: String, shape: [Int])] in
        let parts = name.split(separator: ".").suffix(3).joined(separator: ".")
        guard wanted.contains(parts), shape.count == 2 else { return [] }
        let stem = name.dropLast("weight".count)
        return [
          (stem + "lora_A.weight", [adapters.rank, shape[1]]), (stem + "lora_B.weight", [shape[0], adapters.rank]),
        ]
      })
  }

  private init(_ parameters: [(name: String, shape: [Int])]) {
    var entries: [Entry] = []
    var offset = 0
    for (name, shape) in parameters {
      let count = shape.reduce(1, *)
      entries.append(Entry(name: name, shape: shape, offset: offset, count: count))
      offset += count
    }
    self.entries = entries
    self.count = offset
    self.indices = Dictionary(entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The tensor of that name, if the model has it.
  public subscript(name: String) -> Entry? { indices[name].map { entries[$0] } }

  /// Stretches of the buffer with and without weight decay, ascending, neighbours merged.
  public var decayRanges: [(range: Range<Int>, decays: Bool)] {
    var ranges: [(range: Range<Int>, decays: Bool)] = []
    for entry in entries {
      if let last = ranges.last, last.decays == entry.decays {
        ranges[ranges.count - 1].range = last.range.lowerBound..<entry.range.upperBound
      } else {
        ranges.append((entry.range, entry.decays))
      }
    }
    return ranges
  }
}
