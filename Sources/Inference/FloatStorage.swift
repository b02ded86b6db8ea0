/// A fixed block of floats, 64-byte aligned, written once while it is made and read-only ever after.
///
/// `@unchecked Sendable`: nothing writes to the memory after `init`.
final class FloatStorage: @unchecked Sendable {
  /// The first float.
  let pointer: UnsafePointer<Float>
  /// How many there are.
  let count: Int
  private let memory: UnsafeMutableRawPointer

  /// Allocates `count` floats and lets `fill` write them all.
  init<Failure: Error>(
    count: Int, fill: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    memory = .allocate(byteCount: max(1, count) * MemoryLayout<Float>.stride, alignment: 64)
    let buffer = UnsafeMutableBufferPointer(
      start: memory.bindMemory(to: Float.self, capacity: max(1, count)), count: count)
    pointer = UnsafePointer(memory.assumingMemoryBound(to: Float.self))
    self.count = count
    buffer.initialize(repeating: 0)
    try fill(buffer)
  }

  deinit { memory.deallocate() }

  /// Whether no value is infinite or not a number.
  var isFinite: Bool {
    withExtendedLifetime(self) { UnsafeBufferPointer(start: pointer, count: count).allSatisfy(\.isFinite) }
  }

  /// One block with all of `parts` in order.
  static func joined(_ parts: [FloatStorage]) -> FloatStorage {
    FloatStorage(count: parts.reduce(0) { $0 + $1.count }) { buffer in
      var offset = 0
      for part in parts {
        _ = buffer[offset...].update(fromContentsOf: UnsafeBufferPointer(start: part.pointer, count: part.count))
        offset += part.count
      }
    }
  }
}
