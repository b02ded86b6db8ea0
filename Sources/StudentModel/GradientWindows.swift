/// Gradients of a few stretches of the parameters, for passes that hand them over as soon as they are complete.
///
/// All layers share one buffer, one after the other; the embedding (with a tied head) has its own through the whole pass.
final class GradientWindows {
  /// Takes over the complete gradient of a stretch; the memory is reused when it returns.
  typealias Consumer = (_ range: Range<Int>, _ gradient: UnsafeMutablePointer<Float>) -> Void

  private let consume: Consumer
  private var open: [(range: Range<Int>, buffer: FloatBuffer)] = []
  private var spare: [FloatBuffer] = []

  init(_ consume: @escaping Consumer) { self.consume = consume }

  /// Where the gradient of the element at that offset is, if its window is open.
  func pointer(at offset: Int) -> UnsafeMutablePointer<Float>? {
    guard let window = open.first(where: { $0.range.contains(offset) }) else { return nil }
    return window.buffer.start + (offset - window.range.lowerBound)
  }

  /// Opens a window; what it holds is whatever was there.
  func open(_ range: Range<Int>) {
    guard !open.contains(where: { $0.range == range }) else { return }
    if let index = spare.firstIndex(where: { $0.count == range.count }) {
      open.append((range, spare.remove(at: index)))
    } else {
      open.append((range, FloatBuffer(range.count)))
    }
  }

  /// Hands a window over and closes it.
  func close(_ range: Range<Int>) {
    guard let index = open.firstIndex(where: { $0.range == range }) else { return }
    let window = open.remove(at: index)
    consume(range, window.buffer.start)
    spare.append(window.buffer)
  }
}
