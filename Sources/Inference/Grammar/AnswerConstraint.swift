/// Finds, token by token, what a legal answer may go on with.
///
/// The vocabulary's trie is walked together with the grammar: from a free string only tokens that spell on one of the request's
/// pieces are visited. Results that do not depend on the request are kept from one request to the next. Inside a free string,
/// structure tokens that no text has are not offered. Not thread-safe; one owner.
package final class AnswerConstraint {
  /// Where one answer stands. Empty: no legal answer begins like this.
  package struct State: Hashable {
    var threads: [GrammarThread]

    /// Whether the answer is complete.
    package var isComplete: Bool { threads.contains { $0.place == .done } }
    /// Whether nothing legal begins like this.
    package var isDead: Bool { threads.isEmpty }
  }

  private static let maximumKept = 200_000
  private static let maximumCached = 4_096
  private static let maximumCachedTokens = 1 << 24

  private let machine: GrammarMachine
  private let vocabulary: ConstraintVocabulary
  private var cache: [State: AllowedTokens] = [:]
  /// How many tokens stand in ``cache``.
  private var cachedTokens = 0
  private var scratch: [GrammarThread] = []
  private var found: [Int32] = []
  private var dependsOnRequest = false

  /// A constraint over one grammar and vocabulary.
  package init(grammar: AnswerGrammar, vocabulary: ConstraintVocabulary) {
    machine = GrammarMachine(grammar)
    self.vocabulary = vocabulary
  }

  /// Frees what earlier requests left behind, when there is much of it. States made before are void afterwards.
  package func tidy() {
    guard machine.frameCount + machine.nameCount > Self.maximumKept else { return }
    machine.reset()
    forgetResults()
  }

  private func forgetResults() {
    cache.removeAll(keepingCapacity: true)
    cachedTokens = 0
  }

  /// How many beginnings of undeclared keys are kept.
  package var nameCount: Int { machine.nameCount }

  /// The state before the first token of an answer to a request.
  package func start(_ context: RequestContext) -> State { State(threads: context.isHopeless ? [] : machine.start()) }

  /// The state after `token`; dead when the token is not legal here.
  package func advance(_ state: State, token: Int32, _ context: RequestContext) -> State {
    guard vocabulary.bytes.indices.contains(Int(token)), !vocabulary.bytes[Int(token)].isEmpty else {
      return State(threads: [])
    }
    var next = state
    for byte in vocabulary.bytes[Int(token)] { next.threads = machine.advance(next.threads, byte, context) }
    return next
  }

  /// The tokens that legal answers go on with from `state`.
  package func allowed(_ state: State, _ context: RequestContext) -> AllowedTokens {
    if context.isOrdinary, let known = cache[state] { return known }
    found.removeAll(keepingCapacity: true)
    scratch.removeAll(keepingCapacity: true)
    scratch.append(contentsOf: state.threads)
    dependsOnRequest = false
    // A walk through an undeclared key meets a name for nearly every token, and none of them is written but one.
    let names = machine.nameCount
    collect(0, 0, scratch.count, context)
    let result = AllowedTokens(ids: found, forced: forced(among: found, from: state, context))
    machine.forgetNames(beyond: names)
    if context.isOrdinary, !dependsOnRequest {
      if cache.count >= Self.maximumCached || cachedTokens + found.count > Self.maximumCachedTokens { forgetResults() }
      cache[state] = result
      cachedTokens += found.count
    }
    return result
  }

  /// Bytes that complete the answer from `state`, chosen by the grammar alone and as short as it easily can; nil when there are
  /// none within `maximumBytes`.
  package func completion(_ state: State, _ context: RequestContext, maximumBytes: Int = 65_536) -> [UInt8]? {
    var state = state.threads
    var bytes: [UInt8] = []
    while !state.isEmpty, bytes.count < maximumBytes {
      if state.contains(where: { $0.place == .done }) { return bytes }
      let before = bytes.count
      // Within a string its end comes first: whatever else closes something may be a part of it.
      let order =
        state.contains(where: \.place.isInString) ? [UInt8(ascii: "\"")] + Self.closingOrder : Self.closingOrder
      for byte in order {
        let next = machine.advance(state, byte, context)
        if next.isEmpty { continue }
        state = next
        bytes.append(byte)
        break
      }
      guard bytes.count > before else { return nil }
    }
    return nil
  }

  /// Closers first, then what starts short values, then everything else.
  private static let closingOrder: [UInt8] = {
    let first = Array(#"}]",0123456789ntf[{.-"#.utf8)
    return first + (0...255).filter { !first.contains($0) }
  }()

  // MARK: The walk

  /// Collects the tokens below `node` that the threads `scratch[low..<high]` allow.
  private func collect(_ node: Int32, _ low: Int, _ high: Int, _ context: RequestContext) {
    if high - low == 1, case .piece(let rule, let cursor) = scratch[low].place {
      if !vocabulary.trie.isLeaf(node) { collectPiece(node, cursor, rule, scratch[low].stack, context) }
      return
    }
    let trie = vocabulary.trie
    for edge in trie.edges(node) {
      let base = scratch.count
      let byte = trie.edgeBytes[edge]
      for index in low..<high {
        noteDependence(scratch[index].place)
        machine.step(scratch[index], byte, context, into: &scratch)
      }
      guard scratch.count > base else { continue }
      GrammarMachine.removeDuplicates(&scratch, from: base)
      let child = trie.edgeNodes[edge]
      for position in trie.valueRange(child) { found.append(trie.values[position]) }
      if !trie.isLeaf(child) { collect(child, base, scratch.count, context) }
      scratch.removeLast(scratch.count - base)
    }
  }

  private func noteDependence(_ place: GrammarThread.Place) {
    switch place {
    case .piece, .candidate: dependsOnRequest = true
    default: break
    }
  }

  /// The same within one string that copies a piece of the request: the common case, without touching the grammar.
  private func collectPiece(
    _ node: Int32, _ cursor: PieceCursor, _ rule: RuleID, _ stack: Int32, _ context: RequestContext
  ) {
    dependsOnRequest = true
    guard case .piece(let minimum, let maximum) = machine.grammar.rules[Int(rule)] else { return }
    let trie = vocabulary.trie
    for edge in trie.edges(node) {
      let byte = trie.edgeBytes[edge]
      let child = trie.edgeNodes[edge]
      if byte == UInt8(ascii: "\""), cursor.escape == 0 {
        guard cursor.canClose(in: context, minimum: minimum, maximum: maximum) else { continue }
        for position in trie.valueRange(child) { found.append(trie.values[position]) }
        guard !trie.isLeaf(child) else { continue }
        let base = scratch.count
        scratch.append(GrammarThread(place: .after, stack: stack))
        collect(child, base, base + 1, context)
        scratch.removeLast(scratch.count - base)
        continue
      }
      var moved = cursor
      guard moved.advance(byte, in: context.text, minimum: minimum, maximum: maximum) else { continue }
      for position in trie.valueRange(child) {
        let token = trie.values[position]
        if !vocabulary.hasAllBytes || !vocabulary.isNoText[Int(token)] { found.append(token) }
      }
      if !trie.isLeaf(child) { collectPiece(child, moved, rule, stack, context) }
    }
  }

  /// The only sensible token among `ids`, or −1: all others must be beginnings of it, behind which nothing else is legal.
  private func forced(among ids: [Int32], from state: State, _ context: RequestContext) -> Int32 {
    if ids.count == 1 { return ids[0] }
    guard ids.count > 1, ids.count <= 32 else { return -1 }
    // Of two structure tokens, `",` and the `","` of arrays say, the student alone knows which it learned here.
    let structure = ids.filter { vocabulary.isStructure[Int($0)] }
    guard structure.count == 1, let longest = structure.first else { return -1 }
    let text = vocabulary.bytes[Int(longest)]
    guard ids.allSatisfy({ text.starts(with: vocabulary.bytes[Int($0)]) }),
      let shortest = ids.map({ vocabulary.bytes[Int($0)].count }).min()
    else { return -1 }
    return isOnlyWay(text, behind: shortest, from: state, context) ? longest : -1
  }

  /// Whether a legal answer that goes on with the first `count` bytes of `text` goes on with all of it.
  private func isOnlyWay(_ text: [UInt8], behind count: Int, from state: State, _ context: RequestContext) -> Bool {
    var threads = state.threads
    for (index, byte) in text.enumerated() {
      if index >= count, threads.contains(where: { leaves($0, byte, context) }) { return false }
      threads = machine.advance(threads, byte, context)
    }
    return true
  }

  /// Whether a thread can go on with another byte than this one.
  private func leaves(_ thread: GrammarThread, _ byte: UInt8, _ context: RequestContext) -> Bool {
    let base = scratch.count
    defer { scratch.removeLast(scratch.count - base) }
    return (0...255 as ClosedRange<UInt8>).contains { other in
      guard other != byte else { return false }
      machine.step(thread, other, context, into: &scratch)
      return scratch.count > base
    }
  }
}
