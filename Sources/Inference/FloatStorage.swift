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
}

/// A block of floats that grows on demand and keeps nothing when it does: scratch memory with one owner.
final class FloatScratch {
  private var memory: UnsafeMutablePointer<Float>?
  private var capacity = 0

  /// At least `count` floats; what they hold is undefined.
  func reserve(_ count: Int) -> UnsafeMutablePointer<Float> {
    if let memory, count <= capacity { return memory }
    memory?.deallocate()
    capacity = max(count, 1)
    let fresh = UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<Float>.stride, alignment: 64)
      .bindMemory(to: Float.self, capacity: capacity)
    fresh.initialize(repeating: 0, count: capacity)
    memory = fresh
    return fresh
  }

  deinit { memory?.deallocate() }
}
