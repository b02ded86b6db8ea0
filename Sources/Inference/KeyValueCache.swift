import ModelFiles

/// The keys and values of one sequence: for each layer [capacity, key/value width] of both, row-major. One owner.
final class KeyValueCache {
  private let width: Int
  private let layers: Int
  private let storage = Scratch<Float>()
  private var capacity = 0
  private var base: UnsafeMutablePointer<Float>?
  /// The number of tokens held.
  private(set) var length = 0

  /// An empty cache for a model of this configuration.
  init(_ configuration: DecoderConfiguration) {
    width = configuration.keyValueHeadCount * configuration.headSize
    layers = configuration.layerCount
  }

  /// Empties the cache and makes room for `count` tokens.
  func reset(capacity count: Int) {
    length = 0
    // Rounding up keeps a cache in use for requests of similar length from being allocated again and again.
    let wanted = (count + 63) / 64 * 64
    guard wanted > capacity else { return }
    capacity = wanted
    base = storage.reserve(2 * layers * capacity * width)
  }

  /// Whether `count` more tokens fit.
  func hasRoom(for count: Int) -> Bool { length + count <= capacity }

  /// Notes that `count` more tokens are held.
  func grow(by count: Int) { length += count }

  /// The keys of `layer`; room for at least one token must have been made.
  func keys(_ layer: Int) -> UnsafeMutablePointer<Float>? { base.map { $0 + 2 * layer * capacity * width } }

  /// The values of `layer`; room for at least one token must have been made.
  func values(_ layer: Int) -> UnsafeMutablePointer<Float>? { base.map { $0 + (2 * layer + 1) * capacity * width } }
}
