/// Reads answers byte by byte against a grammar: a non-deterministic pushdown automaton whose stacks and names are interned, so that
/// states are small values that can be compared and cached.
///
/// Every state it reaches can be completed to a legal answer: a byte that would lead into a dead end is refused at once.
/// Not thread-safe; one owner.
package final class GrammarMachine {
  /// The longest name of an undeclared member.
  static let maximumNameLength: Int32 = 32

  let grammar: AnswerGrammar
  private(set) var frames: [GrammarFrame]
  private var frameNumbers: [GrammarFrame: Int32]
  private var names = NameTable()

  /// A machine for answers over `grammar`.
  package init(_ grammar: AnswerGrammar) {
    self.grammar = grammar
    let call = GrammarFrame(parent: -1, rule: -1, depth: 0)
    frames = [call]
    frameNumbers = [call: 0]
  }

  /// How many stack frames are kept; grows with use, and ``reset()`` empties it.
  var frameCount: Int { frames.count }

  /// How many beginnings of undeclared keys are kept; grows with use, and ``reset()`` empties it.
  var nameCount: Int { names.count }

  /// Forgets the names that came after the first `count`; states that are kept hold none of them.
  func forgetNames(beyond count: Int) { names.forget(beyond: count) }

  /// Forgets all stacks and names; states made before are void.
  func reset() {
    frames.removeSubrange(1...)
    frameNumbers = [frames[0]: 0]
    names = NameTable()
  }

  /// The state before the first byte.
  func start() -> [GrammarThread] { [GrammarThread(place: .opening(0), stack: 0)] }

  /// The state after `byte`: empty when no legal answer goes on like that.
  func advance(_ state: [GrammarThread], _ byte: UInt8, _ context: RequestContext) -> [GrammarThread] {
    var next: [GrammarThread] = []
    for thread in state { step(thread, byte, context, into: &next) }
    Self.removeDuplicates(&next, from: 0)
    return next
  }

  /// Removes threads that stand twice in `threads` from `start` on.
  static func removeDuplicates(_ threads: inout [GrammarThread], from start: Int) {
    guard threads.count - start > 1 else { return }
    var kept = start
    for index in start..<threads.count where !threads[start..<kept].contains(threads[index]) {
      threads[kept] = threads[index]
      kept += 1
    }
    threads.removeLast(threads.count - kept)
  }

  /// Adds to `next` where `thread` goes on `byte`.
  func step(_ thread: GrammarThread, _ byte: UInt8, _ context: RequestContext, into next: inout [GrammarThread]) {
    let stack = thread.stack
    switch thread.place {
    case .opening(let node): stepOpening(node, byte, context, &next)
    case .literal(let rule, let node):
      guard case .literals(let trie) = grammar.rules[Int(rule)] else { return }
      stepLiteral(trie, node, byte, stack, context, &next) { .literal(rule, $0) }
    case .candidate(let rule, let node):
      guard let trie = context.candidates[rule] else { return }
      stepLiteral(trie, node, byte, stack, context, &next) { .candidate(rule, $0) }
    case .quote(let rule):
      guard byte == UInt8(ascii: "\""), case .piece(let minimum, let maximum) = grammar.rules[Int(rule)] else { return }
      let cursor = PieceCursor(in: context, minimum: minimum, maximum: maximum)
      next.append(GrammarThread(place: .piece(rule, cursor), stack: stack))
    case .piece(let rule, let cursor): stepPiece(rule, cursor, byte, stack, context, &next)
    case .number(let rule, let cursor):
      guard case .number(let number) = grammar.rules[Int(rule)] else { return }
      if let cursor = number.advance(cursor, byte) {
        next.append(GrammarThread(place: .number(rule, cursor), stack: stack))
      } else if number.canEnd(cursor) {
        stepAfter(byte, stack, context, &next)
      }
    case .brace(let rule): if byte == UInt8(ascii: "{") { openObject(rule, stack, context, &next) }
    case .bracket(let rule): if byte == UInt8(ascii: "[") { openArray(rule, stack, context, &next) }
    case .key(let node): stepKey(node, byte, stack, context, &next)
    case .otherKey(let phase, let name, let length):
      stepOtherKey(phase, name, length, byte, stack, context, &next)
    case .empty:
      if byte == closer(of: frames[Int(stack)].rule) {
        next.append(GrammarThread(place: .after, stack: frames[Int(stack)].parent))
      }
    case .after: stepAfter(byte, stack, context, &next)
    case .done: return
    }
  }

  // MARK: Values

  private func stepOpening(_ node: Int32, _ byte: UInt8, _ context: RequestContext, _ next: inout [GrammarThread]) {
    let child = context.openings.child(node, byte)
    guard child >= 0 else { return }
    let function = context.openings.firstValue(child)
    if function >= 0 {
      begin(grammar.functions[Int(function)].arguments, 0, context, &next)
    } else {
      next.append(GrammarThread(place: .opening(child), stack: 0))
    }
  }

  private func stepLiteral(
    _ trie: ByteTrie, _ node: Int32, _ byte: UInt8, _ stack: Int32, _ context: RequestContext,
    _ next: inout [GrammarThread], _ place: (Int32) -> GrammarThread.Place
  ) {
    let child = trie.child(node, byte)
    if child >= 0 {
      let isEnd = trie.isLeaf(child)
      next.append(GrammarThread(place: isEnd ? .after : place(child), stack: stack))
    }
    // A literal such as 1 may be the beginning of another such as 10: it ends where something else follows.
    if trie.firstValue(node) >= 0 { stepAfter(byte, stack, context, &next) }
  }

  private func stepPiece(
    _ rule: RuleID, _ cursor: PieceCursor, _ byte: UInt8, _ stack: Int32, _ context: RequestContext,
    _ next: inout [GrammarThread]
  ) {
    guard case .piece(let minimum, let maximum) = grammar.rules[Int(rule)] else { return }
    if byte == UInt8(ascii: "\""), cursor.escape == 0 {
      if cursor.canClose(in: context, minimum: minimum, maximum: maximum) {
        next.append(GrammarThread(place: .after, stack: stack))
      }
      return
    }
    var moved = cursor
    if moved.advance(byte, in: context.text, minimum: minimum, maximum: maximum) {
      next.append(GrammarThread(place: .piece(rule, moved), stack: stack))
    }
  }

  /// Adds the places where a value of `rule` can begin.
  private func begin(_ rule: RuleID, _ stack: Int32, _ context: RequestContext, _ next: inout [GrammarThread]) {
    guard fits(rule, depth: frames[Int(stack)].depth, context) else { return }
    let place: GrammarThread.Place
    switch grammar.rules[Int(rule)] {
    case .literals: place = .literal(rule, 0)
    case .candidates: place = .candidate(rule, 0)
    case .piece: place = .quote(rule)
    case .number: place = .number(rule, NumberRule.Cursor())
    case .object: place = .brace(rule)
    case .array: place = .bracket(rule)
    case .choice(let options):
      for option in options { begin(option, stack, context, &next) }
      return
    }
    next.append(GrammarThread(place: place, stack: stack))
  }

  /// Whether a value of `rule` can be completed inside `depth` open arrays and objects.
  private func fits(_ rule: RuleID, depth: Int32, _ context: RequestContext) -> Bool {
    depth + context.depths[Int(rule)] <= AnswerGrammar.maximumDepth
  }

  // MARK: Arrays and objects

  private func intern(_ frame: GrammarFrame) -> Int32 {
    if let known = frameNumbers[frame] { return known }
    frames.append(frame)
    let number = Int32(frames.count - 1)
    frameNumbers[frame] = number
    return number
  }

  private func closer(of rule: RuleID) -> UInt8 {
    guard rule >= 0, case .array = grammar.rules[Int(rule)] else { return UInt8(ascii: "}") }
    return UInt8(ascii: "]")
  }

  private func openObject(_ rule: RuleID, _ stack: Int32, _ context: RequestContext, _ next: inout [GrammarThread]) {
    guard case .object(let object) = grammar.rules[Int(rule)] else { return }
    let frame = intern(GrammarFrame(parent: stack, rule: rule, depth: frames[Int(stack)].depth + 1))
    if object.required.isEmpty { next.append(GrammarThread(place: .empty, stack: frame)) }
    beginKey(object, frame, context, &next)
  }

  private func openArray(_ rule: RuleID, _ stack: Int32, _ context: RequestContext, _ next: inout [GrammarThread]) {
    guard case .array(let items, let minimum, let maximum) = grammar.rules[Int(rule)] else { return }
    var frame = GrammarFrame(parent: stack, rule: rule, depth: frames[Int(stack)].depth + 1)
    if minimum == 0 { next.append(GrammarThread(place: .empty, stack: intern(frame))) }
    guard maximum > 0, fits(items, depth: frame.depth, context) else { return }
    frame.count = 1
    begin(items, intern(frame), context, &next)
  }

  private func stepAfter(_ byte: UInt8, _ stack: Int32, _ context: RequestContext, _ next: inout [GrammarThread]) {
    let frame = frames[Int(stack)]
    guard frame.rule >= 0 else {
      if byte == UInt8(ascii: "}") { next.append(GrammarThread(place: .done, stack: 0)) }
      return
    }
    switch grammar.rules[Int(frame.rule)] {
    case .object(let object):
      if byte == UInt8(ascii: "}"), object.required.isSubset(of: frame.used) {
        next.append(GrammarThread(place: .after, stack: frame.parent))
      } else if byte == UInt8(ascii: ",") {
        beginKey(object, stack, context, &next)
      }
    case .array(let items, let minimum, let maximum):
      if byte == UInt8(ascii: "]"), frame.count >= minimum {
        next.append(GrammarThread(place: .after, stack: frame.parent))
      } else if byte == UInt8(ascii: ","), frame.count < maximum {
        var more = frame
        more.count += 1
        begin(items, intern(more), context, &next)
      }
    default: return
    }
  }

  // MARK: Keys

  /// Adds the places where the next key of the object on top of `stack` can begin.
  private func beginKey(
    _ object: ObjectRule, _ stack: Int32, _ context: RequestContext, _ next: inout [GrammarThread]
  ) {
    let frame = frames[Int(stack)]
    if !available(object, frame, context).isEmpty { next.append(GrammarThread(place: .key(0), stack: stack)) }
    if object.additional >= 0, frame.count < ObjectRule.maximumAdditional,
      fits(object.additional, depth: frame.depth, context)
    {
      next.append(GrammarThread(place: .otherKey(phase: 0, name: 0, length: 0), stack: stack))
    }
  }

  /// The declared properties that are not there yet and whose value can be completed.
  private func available(_ object: ObjectRule, _ frame: GrammarFrame, _ context: RequestContext) -> PropertySet {
    var unfit = PropertySet()
    for (property, value) in object.values.enumerated() where !fits(value, depth: frame.depth, context) {
      unfit.insert(property)
    }
    return object.all.subtracting(frame.used).subtracting(unfit)
  }

  private func stepKey(
    _ node: Int32, _ byte: UInt8, _ stack: Int32, _ context: RequestContext, _ next: inout [GrammarThread]
  ) {
    var frame = frames[Int(stack)]
    guard case .object(let object) = grammar.rules[Int(frame.rule)] else { return }
    let child = object.keys.child(node, byte)
    guard child >= 0 else { return }
    let open = object.below[Int(child)].intersection(available(object, frame, context))
    guard !open.isEmpty else { return }
    let property = object.keys.firstValue(child)
    guard property >= 0 else {
      next.append(GrammarThread(place: .key(child), stack: stack))
      return
    }
    frame.used.insert(Int(property))
    begin(object.values[Int(property)], intern(frame), context, &next)
  }

  private func stepOtherKey(
    _ phase: Int32, _ name: Int32, _ length: Int32, _ byte: UInt8, _ stack: Int32, _ context: RequestContext,
    _ next: inout [GrammarThread]
  ) {
    var frame = frames[Int(stack)]
    guard case .object(let object) = grammar.rules[Int(frame.rule)] else { return }
    func isFree(_ name: Int32) -> Bool {
      !names.list(frame.names, contains: name) && !object.names.contains { names.isName(name, $0) }
    }
    switch phase {
    case 0:
      guard byte == UInt8(ascii: "\"") else { return }
      next.append(GrammarThread(place: .otherKey(phase: 1, name: 0, length: 0), stack: stack))
    case 1 where byte == UInt8(ascii: "\""):
      guard length > 0, isFree(name) else { return }
      next.append(GrammarThread(place: .otherKey(phase: 2, name: name, length: length), stack: stack))
    case 1:
      guard NameTable.isNameByte(byte), length < Self.maximumNameLength else { return }
      let longer = names.extend(name, byte)
      // The last byte must leave a name that may be closed.
      guard length + 1 < Self.maximumNameLength || isFree(longer) else { return }
      next.append(GrammarThread(place: .otherKey(phase: 1, name: longer, length: length + 1), stack: stack))
    default:
      guard byte == UInt8(ascii: ":") else { return }
      frame.count += 1
      frame.names = names.list(frame.names, adding: name)
      begin(object.additional, intern(frame), context, &next)
    }
  }
}
