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
  /// For each byte its column in `next`, or −1 when it does not occur.
  private let columns: [Int16]
  private let width: Int
  /// [states, width]: the state after a byte, or −1.
  private let next: [Int32]
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
    var builder = Builder(texts)
    for text in texts { builder.append(text) }
    wordStart = max(0, builder.next[builder.boundary])
    endsWord = builder.passBoundaries()
    columns = builder.columns
    width = builder.width
    next = builder.next
    longest = builder.longestFollowing()
    var best: Int32 = 0
    for byte in UInt8.min...UInt8.max where !Self.isSpace(byte) && byte & 0xC0 != 0x80 {
      let column = columns[Int(byte)]
      guard column >= 0, next[Int(column)] >= 0 else { continue }
      best = max(best, longest[Int(next[Int(column)])] + 1)
    }
    longestPiece = best
  }

  /// The state after `byte`, or −1 when no piece goes on like that. State 0 is the start.
  @inline(__always)
  package func advance(_ state: Int32, _ byte: UInt8) -> Int32 {
    let column = columns[Int(byte)]
    return column < 0 ? -1 : next[Int(state) * width + Int(column)]
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

  /// The on-line construction, one symbol after another; the last column stands for the end of a text, the one before it for a
  /// place between words.
  private struct Builder {
    var columns = [Int16](repeating: -1, count: 256)
    var width: Int
    var next: [Int32] = []
    var length: [Int32] = []
    var link: [Int32] = []
    var last: Int32 = 0

    init(_ texts: [String]) {
      var count: Int16 = 0
      for text in texts {
        for byte in text.utf8 where columns[Int(byte)] < 0 {
          columns[Int(byte)] = count
          count += 1
        }
      }
      width = Int(count) + 2
      _ = addState(length: 0, link: -1)
    }

    var boundary: Int { width - 2 }

    mutating func append(_ text: String) {
      var bytes = Array(text.utf8)
      while let last = bytes.last, SubstringAutomaton.isSpace(last) { bytes.removeLast() }
      for (place, byte) in bytes.enumerated() {
        if Occurrences.isBoundary(bytes, place) { append(column: boundary) }
        append(column: Int(columns[Int(byte)]))
      }
      append(column: boundary)
      append(column: width - 1)
    }

    /// Leads bytes on across the places between words.
    ///
    /// - Returns: for each state whether there is such a place, and no white space before it.
    mutating func passBoundaries() -> [Bool] {
      var endsWord = length.indices.map { next[$0 * width + boundary] >= 0 }
      let columns = Set(columns.filter { $0 >= 0 }).map(Int.init)
      for byte in UInt8.min...UInt8.max where SubstringAutomaton.isSpace(byte) && self.columns[Int(byte)] >= 0 {
        for state in length.indices {
          let target = next[state * width + Int(self.columns[Int(byte)])]
          if target >= 0 { endsWord[Int(target)] = false }
        }
      }
      for state in length.indices.dropFirst() {
        let across = next[state * width + boundary]
        guard across >= 0 else { continue }
        for column in columns where next[state * width + column] < 0 {
          next[state * width + column] = next[Int(across) * width + column]
        }
      }
      return endsWord
    }

    mutating func addState(length: Int32, link: Int32) -> Int32 {
      next.append(contentsOf: repeatElement(-1, count: width))
      self.length.append(length)
      self.link.append(link)
      return Int32(self.length.count - 1)
    }

    mutating func append(column: Int) {
      let current = addState(length: length[Int(last)] + 1, link: 0)
      var state = last
      while state >= 0, next[Int(state) * width + column] < 0 {
        next[Int(state) * width + column] = current
        state = link[Int(state)]
      }
      last = current
      guard state >= 0 else { return }
      let target = next[Int(state) * width + column]
      if length[Int(target)] == length[Int(state)] + 1 {
        link[Int(current)] = target
        return
      }
      let clone = addState(length: length[Int(state)] + 1, link: link[Int(target)])
      for position in 0..<width { next[Int(clone) * width + position] = next[Int(target) * width + position] }
      link[Int(target)] = clone
      link[Int(current)] = clone
      while state >= 0, next[Int(state) * width + column] == target {
        next[Int(state) * width + column] = clone
        state = link[Int(state)]
      }
    }

    /// The longest path from each state in Unicode scalars, ends of texts not crossed.
    func longestFollowing() -> [Int32] {
      var result = [Int32](repeating: 0, count: length.count)
      let order = length.indices.sorted { length[$0] > length[$1] }
      for state in order {
        var best: Int32 = 0
        for byte in UInt8.min...UInt8.max where columns[Int(byte)] >= 0 {
          let target = next[state * width + Int(columns[Int(byte)])]
          guard target >= 0 else { continue }
          best = max(best, result[Int(target)] + (byte & 0xC0 == 0x80 ? 0 : 1))
        }
        result[state] = best
      }
      return result
    }
  }
}
