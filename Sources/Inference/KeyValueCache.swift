import CKernels
import ModelFiles

/// The keys and values of one sequence: for each layer the keys in the order in which they are multiplied (`retort_turn_keys`), and
/// the values, [capacity, key/value width], row-major. One owner.
final class KeyValueCache {
  private let heads: Int
  private let headSize: Int
  private let layers: Int
  private let storage = Scratch<Float>()
  private var capacity = 0
  private var base: UnsafeMutablePointer<Float>?
  /// The number of tokens held.
  private(set) var length = 0

  private var width: Int { heads * headSize }
  /// Floats from one head's keys to the next.
  private var headStride: Int { capacity * headSize }

  /// An empty cache for a model of this configuration.
  init(_ configuration: DecoderConfiguration) {
    heads = configuration.keyValueHeadCount
    headSize = configuration.headSize
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

  /// Writes the keys and values of `count` tokens behind those held, without noting them: rows of `source` `stride` floats apart, the
  /// keys of all heads and then the values.
  func write(_ source: UnsafePointer<Float>, stride: Int, count: Int, layer: Int) {
    guard let (keys, values) = parts(layer) else { return }
    retort_turn_keys(length, count, heads, headSize, source, stride, keys, headStride)
    for row in 0..<count {
      (values + (length + row) * width).update(from: source + row * stride + width, count: width)
    }
  }

  /// The attention of the `count` rows that were written last over all tokens up to them.
  func sequence(
    _ queries: UnsafePointer<Float>, queryStride: Int, count: Int, into output: UnsafeMutablePointer<Float>,
    outputStride: Int, layer: Int
  ) -> retort_sequence? {
    guard let (keys, values) = parts(layer) else { return nil }
    return retort_sequence(
      q: queries, k: nil, v: values, out: output, ldq: queryStride, ldk: 0, ldv: width, ldo: outputStride,
      queries: Int32(count), keys: Int32(length + count), turned: keys, turned_stride: headStride, prefix_k: nil,
      prefix_v: nil, prefix: 0)
  }

  /// Takes over the first `count` tokens of `other`; this cache must be empty and have room.
  func copy(_ count: Int, from other: KeyValueCache) {
    let panels = (count + 15) / 16 * 16 * headSize
    for layer in 0..<layers {
      guard let (ownKeys, ownValues) = parts(layer), let (keys, values) = other.parts(layer) else { return }
      for head in 0..<heads {
        (ownKeys + head * headStride).update(from: keys + head * other.headStride, count: panels)
      }
      ownValues.update(from: values, count: count * width)
    }
    length = count
  }

  /// The keys and the values of a layer.
  private func parts(_ layer: Int) -> (keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>)? {
    guard let base else { return nil }
    let start = base + 2 * layer * capacity * width
    return (start, start + capacity * width)
  }
}
