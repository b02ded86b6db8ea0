/// An immutable trie over byte strings, each with numbers attached, in flat arrays.
///
/// Node 0 is the root. The edges of a node are contiguous and sorted by byte; so are the values of the strings that end at it.
/// It serves the vocabulary (values are token ids), the keys of an object (property numbers) and enumerations.
package struct ByteTrie: Sendable {
  /// First edge of each node, and one more entry for the end.
  let edgeStart: [Int32]
  /// The byte of each edge.
  let edgeBytes: [UInt8]
  /// The node that each edge leads to.
  let edgeNodes: [Int32]
  /// First value of each node, and one more entry for the end.
  let valueStart: [Int32]
  /// The values.
  let values: [Int32]

  /// Builds the trie; strings may repeat, and the empty string ends at the root.
  package init(_ entries: [(bytes: [UInt8], value: Int32)]) {
    let sorted = entries.sorted { left, right in
      if left.bytes == right.bytes { return left.value < right.value }
      return left.bytes.lexicographicallyPrecedes(right.bytes)
    }
    var edgeStart: [Int32] = []
    var edgeBytes: [UInt8] = []
    var edgeNodes: [Int32] = []
    var valueStart: [Int32] = []
    var values: [Int32] = []
    var pending: [(low: Int, high: Int, depth: Int)] = [(0, sorted.count, 0)]
    var node = 0
    while node < pending.count {
      let (low, high, depth) = pending[node]
      var index = low
      valueStart.append(Int32(values.count))
      while index < high, sorted[index].bytes.count == depth {
        values.append(sorted[index].value)
        index += 1
      }
      edgeStart.append(Int32(edgeBytes.count))
      while index < high {
        let byte = sorted[index].bytes[depth]
        var end = index
        while end < high, sorted[end].bytes[depth] == byte { end += 1 }
        edgeBytes.append(byte)
        edgeNodes.append(Int32(pending.count))
        pending.append((index, end, depth + 1))
        index = end
      }
      node += 1
    }
    edgeStart.append(Int32(edgeBytes.count))
    valueStart.append(Int32(values.count))
    self.edgeStart = edgeStart
    self.edgeBytes = edgeBytes
    self.edgeNodes = edgeNodes
    self.valueStart = valueStart
    self.values = values
  }

  /// The number of nodes, the root included.
  var nodeCount: Int { edgeStart.count - 1 }

  /// Whether no string is in the trie.
  var isEmpty: Bool { values.isEmpty }

  /// The edges of `node`, as positions in `edgeBytes` and `edgeNodes`.
  @inline(__always)
  func edges(_ node: Int32) -> Range<Int> { Int(edgeStart[Int(node)])..<Int(edgeStart[Int(node) + 1]) }

  /// The values at `node`, as positions in `values`.
  @inline(__always)
  func valueRange(_ node: Int32) -> Range<Int> { Int(valueStart[Int(node)])..<Int(valueStart[Int(node) + 1]) }

  /// Whether `node` has no edge.
  @inline(__always)
  func isLeaf(_ node: Int32) -> Bool { edgeStart[Int(node)] == edgeStart[Int(node) + 1] }

  /// The node that `byte` leads to from `node`, or −1.
  @inline(__always)
  func child(_ node: Int32, _ byte: UInt8) -> Int32 {
    var low = Int(edgeStart[Int(node)])
    var high = Int(edgeStart[Int(node) + 1])
    while low < high {
      let middle = (low + high) >> 1
      let found = edgeBytes[middle]
      if found == byte { return edgeNodes[middle] }
      if found < byte { low = middle + 1 } else { high = middle }
    }
    return -1
  }

  /// The first value at `node`, or −1 when no string ends there.
  @inline(__always)
  func firstValue(_ node: Int32) -> Int32 {
    let start = valueStart[Int(node)]
    return start == valueStart[Int(node) + 1] ? -1 : values[Int(start)]
  }
}
