/// A block of 64-byte aligned floats with one owner.
final class FloatBuffer {
  let start: UnsafeMutablePointer<Float>
  let count: Int

  /// Allocates `count` floats, all zero.
  init(_ count: Int) {
    self.count = count
    let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 16) * MemoryLayout<Float>.stride, alignment: 64)
    start = raw.bindMemory(to: Float.self, capacity: max(count, 16))
    start.initialize(repeating: 0, count: max(count, 16))
  }

  deinit { UnsafeMutableRawPointer(start).deallocate() }

  var mutableBuffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: start, count: count) }
}
