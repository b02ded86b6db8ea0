import Tokenization

/// The minimal automaton of all contiguous pieces of a request, in linear size.
///
/// From the start state, bytes lead on exactly as long as what was read is a piece of one of the texts; no piece spans two texts.
/// Each state knows how many more Unicode scalars can follow, and whether a word may end there. White space at the end of a text is
/// no part of a piece.
///
/// The places between words are a symbol of their own while it is built. Which places these are is decided by the first bytes of the
/// characters at their sides, so that after a piece and before a byte there always is one or never, and it can be left out of what is read.
///
/// Reference: A. Blumer et al. 1985, "The smallest automaton recognizing the subwords of a text", Theoretical Computer Science 40.
package struct SubstringAutomaton: Sendable {
  /// For each byte its column in `sets`, or −1 when it does not occur.
  private let columns: [Int16]
  /// Words in a row of `sets`: one for 64 different bytes.
  private let width: Int
  /// [states, width]: in the columns of the bytes that lead on from a state, a bit.
  private let sets: [UInt64]
  /// For each state its first target, and one more entry for the end.
  private let starts: [Int32]
  /// The states that these bytes lead to, in the order of the bits.
  private let targets: [Int32]
  /// For each state whether a piece of whole words may end there.
  private let endsWord: [Bool]
  /// The state from which pieces begin that start with a word.
  let wordStart: Int32
  /// For each state the most Unicode scalars that can still follow.
  private let longest: [Int32]
  /// The most Unicode scalars of a piece that does not begin with white space.
  let longestPiece: Int32

  /// Builds the automaton of `texts`, in time and space linear in their length.
  package init(_ texts: [String]) {
    var builder = Builder()
    for text in texts { builder.append(text) }
    var ways: [Builder.Way] = []
    builder.findWays(from: 0, &ways)
    let bytes = ways.map(\.byte)
    var columns = [Int16](repeating: -1, count: 256)
    for (column, byte) in bytes.enumerated() { columns[Int(byte)] = Int16(column) }
    let width = max(1, (bytes.count + 63) / 64)

    // Kept are the states that bytes lead to. Of those behind a place between words it is only the one where words begin.
    var numbers = [Int32](repeating: -1, count: builder.states.count)
    var kept: [Int32] = []
    func number(_ state: Int32) -> Int32 {
      if numbers[Int(state)] < 0 {
        numbers[Int(state)] = Int32(kept.count)
        kept.append(state)
      }
      return numbers[Int(state)]
    }
    _ = number(0)
    wordStart = number(max(0, builder.target(0, Builder.boundary)))
    var sets: [UInt64] = []
    var starts: [Int32] = []
    var targets: [Int32] = []
    while starts.count < kept.count {
      builder.findWays(from: kept[starts.count], &ways)
      let row = sets.count
      sets.append(contentsOf: repeatElement(0, count: width))
      starts.append(Int32(targets.count))
      for way in ways {
        let column = Int(columns[Int(way.byte)])
        sets[row + (column >> 6)] |= 1 &<< UInt64(column & 63)
        targets.append(number(way.target))
      }
    }
    starts.append(Int32(targets.count))

    let states = kept.map { builder.states[Int($0)] }
    endsWord = zip(kept, states).map { place, state in
      builder.target(place, Builder.boundary) >= 0 && !state.isBehindSpace
    }
    var longest = [Int32](repeating: 0, count: states.count)
    // What follows a state has read more than it.
    for state in states.indices.sorted(by: { states[$0].length > states[$1].length }) {
      for target in targets[Int(starts[state])..<Int(starts[state + 1])] {
        let here: Int32 = states[Int(target)].symbol & 0xC0 == 0x80 ? 0 : 1
        longest[state] = max(longest[state], longest[Int(target)] + here)
      }
    }
    var best: Int32 = 0
    for (byte, target) in zip(bytes, targets) where !Self.isSpace(byte) && byte & 0xC0 != 0x80 {
      best = max(best, longest[Int(target)] + 1)
    }
    longestPiece = best
    self.columns = columns
    self.width = width
    self.sets = sets
    self.starts = starts
    self.targets = targets
    self.longest = longest
  }

  /// How many numbers it consists of: fewer than 34 for each text and each byte of it, whichever bytes these are.
  package var entryCount: Int { sets.count + starts.count + targets.count + longest.count + endsWord.count }

  /// The state after `byte`, or −1 when no piece goes on like that. State 0 is the start.
  @inline(__always)
  package func advance(_ state: Int32, _ byte: UInt8) -> Int32 {
    let column = Int(columns[Int(byte)])
    guard column >= 0 else { return -1 }
    let row = Int(state) * width
    let word = row + (column >> 6)
    let bit: UInt64 = 1 &<< UInt64(column & 63)
    guard sets[word] & bit != 0 else { return -1 }
    var place = Int(starts[Int(state)]) + (sets[word] & (bit - 1)).nonzeroBitCount
    for earlier in row..<word { place += sets[earlier].nonzeroBitCount }
    return targets[place]
  }

  /// Whether a piece of whole words may end at `state`, reached from ``wordStart``.
  @inline(__always)
  func isWordEnd(_ state: Int32) -> Bool { endsWord[Int(state)] }

  /// How many Unicode scalars can still follow `state`.
  @inline(__always)
  func following(_ state: Int32) -> Int32 { longest[Int(state)] }

  /// Whether `byte` is white space: a value never begins with it.
  @inline(__always)
  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  /// The on-line construction, one symbol after another. The ways on from a state are a list: there are no more than three for each
  /// symbol, where a table would have a row of all bytes.
  private struct Builder {
    /// The symbols that are no bytes: a place between words, and the end of a text.
    static let boundary: UInt16 = 256
    static let end: UInt16 = 257

    struct State {
      /// Its first edge, or −1.
      var edge: Int32 = -1
      let length: Int32
      var link: Int32
      /// The last symbol of all that leads to it.
      let symbol: UInt16

      var isBehindSpace: Bool { symbol < Builder.boundary && SubstringAutomaton.isSpace(UInt8(symbol)) }
    }

    struct Edge {
      var target: Int32
      /// The next edge of the same state, or −1.
      let next: Int32
      let symbol: UInt16
    }

    typealias Way = (byte: UInt8, target: Int32)

    private(set) var states = [State(length: 0, link: -1, symbol: end)]
    private var edges: [Edge] = []
    private var last: Int32 = 0

    mutating func append(_ text: String) {
      var bytes = Array(text.utf8)
      while let last = bytes.last, SubstringAutomaton.isSpace(last) { bytes.removeLast() }
      for (place, byte) in bytes.enumerated() {
        if Occurrences.isBoundary(bytes, place) { append(Self.boundary) }
        append(UInt16(byte))
      }
      append(Self.boundary)
      append(Self.end)
    }

    /// The state that `symbol` leads to from `state`, or −1.
    func target(_ state: Int32, _ symbol: UInt16) -> Int32 {
      let edge = edge(state, symbol)
      return edge < 0 ? -1 : edges[Int(edge)].target
    }

    /// Finds the bytes that lead on from `state`, in order, those across a place between words among them.
    func findWays(from state: Int32, _ ways: inout [Way]) {
      ways.removeAll(keepingCapacity: true)
      addWays(from: state, &ways)
      let across = target(state, Self.boundary)
      if across >= 0 { addWays(from: across, &ways) }
      ways.sort { $0.byte < $1.byte }
    }

    /// Adds the bytes that lead on from `state`, but for those that were there before.
    private func addWays(from state: Int32, _ ways: inout [Way]) {
      let before = ways.count
      var place = states[Int(state)].edge
      while place >= 0 {
        let edge = edges[Int(place)]
        if edge.symbol < Self.boundary, !ways[..<before].contains(where: { $0.byte == edge.symbol }) {
          ways.append((UInt8(edge.symbol), edge.target))
        }
        place = edge.next
      }
    }

    private func edge(_ state: Int32, _ symbol: UInt16) -> Int32 {
      var place = states[Int(state)].edge
      while place >= 0, edges[Int(place)].symbol != symbol { place = edges[Int(place)].next }
      return place
    }

    private mutating func addEdge(_ state: Int32, _ symbol: UInt16, to target: Int32) {
      edges.append(Edge(target: target, next: states[Int(state)].edge, symbol: symbol))
      states[Int(state)].edge = Int32(edges.count - 1)
    }

    private mutating func addState(length: Int32, link: Int32, _ symbol: UInt16) -> Int32 {
      states.append(State(length: length, link: link, symbol: symbol))
      return Int32(states.count - 1)
    }

    private mutating func append(_ symbol: UInt16) {
      let current = addState(length: states[Int(last)].length + 1, link: 0, symbol)
      var state = last
      var edge: Int32 = -1
      while state >= 0 {
        edge = self.edge(state, symbol)
        if edge >= 0 { break }
        addEdge(state, symbol, to: current)
        state = states[Int(state)].link
      }
      last = current
      guard edge >= 0 else { return }
      let target = edges[Int(edge)].target
      let length = states[Int(state)].length + 1
      if states[Int(target)].length == length {
        states[Int(current)].link = target
        return
      }
      let clone = addState(length: length, link: states[Int(target)].link, symbol)
      var place = states[Int(target)].edge
      while place >= 0 {
        let copied = edges[Int(place)]
        addEdge(clone, copied.symbol, to: copied.target)
        place = copied.next
      }
      states[Int(target)].link = clone
      states[Int(current)].link = clone
      while edge >= 0, edges[Int(edge)].target == target {
        edges[Int(edge)].target = clone
        state = states[Int(state)].link
        edge = state < 0 ? -1 : self.edge(state, symbol)
      }
    }
  }
}
