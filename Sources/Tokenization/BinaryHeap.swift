/// A binary min-heap.
struct BinaryHeap<Element> {
  private var elements: [Element]
  private let precedes: (Element, Element) -> Bool

  /// A heap of `elements`, in linear time; the one that `precedes` all others comes out first.
  init(_ elements: [Element] = [], by precedes: @escaping (Element, Element) -> Bool) {
    self.elements = elements
    self.precedes = precedes
    for index in stride(from: elements.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  mutating func insert(_ element: Element) {
    elements.append(element)
    var index = elements.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard precedes(elements[index], elements[parent]) else { return }
      elements.swapAt(index, parent)
      index = parent
    }
  }

  mutating func removeFirst() -> Element? {
    guard let first = elements.first else { return nil }
    let last = elements.removeLast()
    if !elements.isEmpty {
      elements[0] = last
      sink(0)
    }
    return first
  }

  private mutating func sink(_ start: Int) {
    var index = start
    while true {
      var smallest = index
      for child in [2 * index + 1, 2 * index + 2] where child < elements.count {
        if precedes(elements[child], elements[smallest]) { smallest = child }
      }
      guard smallest != index else { return }
      elements.swapAt(index, smallest)
      index = smallest
    }
  }
}
