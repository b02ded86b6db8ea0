import CKernels

/// A base's weights that do not learn: all of them as bfloat16 in canonical order, and vectors (norms, biases) also as fp32.
final class FrozenWeights {
  let layout: ParameterLayout
  let values: UnsafeMutableBufferPointer<UInt16>
  private let vectors: FloatBuffer
  private let vectorStarts: [Int: Int]

  /// All zero; fill ``values`` and then call ``readVectors()``.
  init(_ layout: ParameterLayout) {
    self.layout = layout
    values = .allocate(capacity: max(1, layout.count))
    values.initialize(repeating: 0)
    var (starts, count) = ([Int: Int](), 0)
    for entry in layout.entries where entry.shape.count == 1 {
      starts[entry.offset] = count
      count += entry.count
    }
    vectorStarts = starts
    vectors = FloatBuffer(count)
  }

  deinit { values.deallocate() }

  /// Rounds one tensor's weights.
  func set(_ entry: ParameterLayout.Entry, _ weights: UnsafePointer<Float>) {
    retort_to_bfloat16(entry.count, weights, values.pointer + entry.offset)
  }

  /// Takes the vectors over from ``values``.
  func readVectors() {
    for (offset, start) in vectorStarts {
      guard let entry = layout.entries.first(where: { $0.offset == offset }) else { continue }
      retort_from_bfloat16(entry.count, values.pointer + offset, vectors.start + start)
    }
  }

  /// The norm or bias at that offset.
  func vector(at offset: Int) -> UnsafePointer<Float> { UnsafePointer(vectors.start + (vectorStarts[offset] ?? 0)) }
}
