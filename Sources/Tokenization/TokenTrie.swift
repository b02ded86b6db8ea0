/// The bytes of tokens as a tree: which is the longest token that some bytes begin with, and which the next shorter one.
///
/// A double array: a node is a number, and its child by a byte is at the cell of that number plus the byte. No two nodes have the
/// same number, so that a cell need only say the byte.
/// Reference: Aoe 1989, "An Efficient Digital Search Algorithm by Using a Double-Array Structure".
struct TokenTrie: Sendable {
  /// The most cells, as a node has 23 bits.
  static let maximumCells = 1 << 23

  /// One step down.
  struct Cell: Sendable {
    /// The node that it leads to in the high 23 bits, the byte that leads here in the low nine: 256, no byte, where the cell is
    /// free. Node 0 has no children.
    var link: UInt32 = 256
    /// The token that ends here, or -1.
    var token: Int32 = -1

    @inline(__always) var byte: UInt32 { link & 511 }
    @inline(__always) var node: UInt32 { link >> 9 }
  }

  private let cells: [Cell]
  private let root: UInt32
  /// For a token: the longest shorter token that it begins with, or -1.
  let shorter: [Int32]

  /// The tree of tokens, or nil where it has more than ``maximumCells``.
  ///
  /// - Parameter texts: the bytes by id; nil for those that are not to be found. No two are the same, none is empty.
  init?(_ texts: [ArraySlice<UInt8>?]) {
    guard let layout = TokenTrieLayout(texts) else { return nil }
    let (cells, root) = (layout.cells, layout.root)
    self.cells = cells
    self.root = root
    shorter = texts.map { text in
      var (node, longest) = (root, Int32(-1))
      for byte in (text ?? []).dropLast() {
        let cell = cells[Int(node + UInt32(byte))]
        if cell.token >= 0 { longest = cell.token }
        node = cell.node
      }
      return longest
    }
  }

  /// A view for many look-ups.
  func withView<T>(_ body: (View) throws -> T) rethrows -> T {
    try cells.withUnsafeBufferPointer { try body(View(cells: $0.baseAddress.unsafelyUnwrapped, root: root)) }
  }

  /// Looks bytes up; valid within `withView`.
  struct View {
    fileprivate let cells: UnsafePointer<Cell>
    fileprivate let root: UInt32

    /// The longest token with which the bytes from `start` on begin, and its length; -1 and 0 where there is none.
    @inline(__always)
    func longest(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> (token: Int32, length: Int) {
      var longest: (token: Int32, length: Int) = (-1, 0)
      var node = root
      var position = start
      while position < bytes.count {
        let byte = UInt32(bytes[position])
        let cell = cells[Int(node &+ byte)]
        guard cell.byte == byte else { break }
        node = cell.node
        position &+= 1
        longest = cell.token >= 0 ? (cell.token, position &- start) : longest
      }
      return longest
    }
  }
}

/// Finds places for the nodes of a ``TokenTrie``, level by level, each at a number where all its children are free.
private struct TokenTrieLayout {
  private(set) var cells: [TokenTrie.Cell] = []
  private(set) var root: UInt32 = 0
  /// Whether a number is some node's.
  private var isTaken: [Bool] = [true]
  /// Where to begin to look for free cells.
  private var first = 0
  /// The tokens in order of their bytes: their ids, and their bytes in a row.
  private var ids: [Int32] = []
  private var starts: [Int] = [0]
  private var bytes: [UInt8] = []

  /// A node to be placed: the tokens below it, how many bytes lead to it, and its cell.
  private struct Node {
    let tokens: Range<Int>
    let depth: Int
    let cell: Int?
  }

  init?(_ texts: [ArraySlice<UInt8>?]) {
    for id in Self.sorted(texts) {
      ids.append(Int32(id))
      bytes.append(contentsOf: texts[id] ?? [])
      starts.append(bytes.count)
    }
    var level = [Node(tokens: ids.indices, depth: 0, cell: nil)]
    while !level.isEmpty {
      var below: [Node] = []
      for node in level { if !place(node, &below) { return nil } }
      level = below
    }
    // A look-up may go up to 255 cells beyond the last.
    grow(to: cells.count + 256)
  }

  /// The ids in order of their bytes; most are told apart by the first eight.
  private static func sorted(_ texts: [ArraySlice<UInt8>?]) -> [Int] {
    var entries: [(key: UInt64, id: Int)] = []
    for (id, text) in texts.enumerated() {
      guard let text else { continue }
      var key: UInt64 = 0
      for index in 0..<8 { key = key << 8 | (index < text.count ? UInt64(text[text.startIndex + index]) : 0) }
      entries.append((key, id))
    }
    entries.sort { first, second in
      first.key != second.key
        ? first.key < second.key : (texts[first.id] ?? []).lexicographicallyPrecedes(texts[second.id] ?? [])
    }
    return entries.map(\.id)
  }

  /// Places a node's children.
  ///
  /// - Returns: false where there is no room.
  private mutating func place(_ node: Node, _ below: inout [Node]) -> Bool {
    var tokens = node.tokens
    // Of tokens with the same beginning that itself comes first.
    if let cell = node.cell, starts[tokens.lowerBound + 1] - starts[tokens.lowerBound] == node.depth {
      cells[cell].token = ids[tokens.lowerBound]
      tokens = (tokens.lowerBound + 1)..<tokens.upperBound
    }
    guard !tokens.isEmpty else { return true }
    let firstChild = below.count
    while !tokens.isEmpty {
      let byte = bytes[starts[tokens.lowerBound] + node.depth]
      var end = tokens.lowerBound + 1
      while end < tokens.upperBound, bytes[starts[end] + node.depth] == byte { end += 1 }
      // The cell is the byte alone until the node has its number.
      below.append(Node(tokens: tokens.lowerBound..<end, depth: node.depth + 1, cell: Int(byte)))
      tokens = end..<tokens.upperBound
    }
    let number = number(for: below[firstChild...].map { $0.cell ?? 0 })
    guard number + 512 < TokenTrie.maximumCells else { return false }
    isTaken[number] = true
    if let cell = node.cell { cells[cell].link |= UInt32(number) << 9 } else { root = UInt32(number) }
    for index in firstChild..<below.count {
      let (child, byte) = (below[index], below[index].cell ?? 0)
      cells[number + byte].link = UInt32(byte)
      below[index] = Node(tokens: child.tokens, depth: child.depth, cell: number + byte)
    }
    return true
  }

  /// A number that no node has, and where the cells of all children are free.
  private mutating func number(for children: [Int]) -> Int {
    let start = max(first, children[0] + 1)
    var cell = start
    while true {
      let number = cell - children[0]
      grow(to: number + 256)
      if cells[cell].byte == 256, !isTaken[number], children.allSatisfy({ cells[number + $0].byte == 256 }) {
        return number
      }
      cell += 1
      // Where so much is taken, nothing is looked for any more.
      if cell - start == 128 { first = start + 32 }
    }
  }

  private mutating func grow(to count: Int) {
    guard count > cells.count else { return }
    cells.append(contentsOf: repeatElement(TokenTrie.Cell(), count: count - cells.count))
    isTaken.append(contentsOf: repeatElement(false, count: count - isTaken.count))
  }
}
