/// A block of plain values that grows on demand and keeps nothing when it does: scratch memory with one owner, 64-byte aligned.
final class Scratch<Element: BitwiseCopyable> {
  private var memory: UnsafeMutablePointer<Element>?
  private var capacity = 0

  /// At least `count` elements; what they hold is undefined.
  func reserve(_ count: Int) -> UnsafeMutablePointer<Element> {
    if let memory, count <= capacity { return memory }
    memory?.deallocate()
    capacity = max(count, 1)
    let size = capacity * MemoryLayout<Element>.stride
    let raw = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    let fresh = raw.bindMemory(to: Element.self, capacity: capacity)
    memory = fresh
    return fresh
  }

  deinit { memory?.deallocate() }
}
