/// One way in which the answer so far can be read: a place in the grammar. A state is a small set of them.
struct GrammarThread: Hashable {
  /// What is being read.
  enum Place: Hashable {
    /// The text up to the arguments; the node in the context's openings.
    case opening(Int32)
    /// A literal; its rule and the node in that rule's trie.
    case literal(RuleID, Int32)
    /// A string with a pattern or format; its rule and the node in the context's trie.
    case candidate(RuleID, Int32)
    /// The opening quote of a free string.
    case quote(RuleID)
    /// Inside a string that copies a piece of the request.
    case piece(RuleID, PieceCursor)
    /// A number.
    case number(RuleID, NumberRule.Cursor)
    /// The opening brace of an object.
    case brace(RuleID)
    /// The opening bracket of an array.
    case bracket(RuleID)
    /// A declared key of the object on top of the stack; the node in its keys.
    case key(Int32)
    /// An undeclared key: 0 before the quote, 1 in the name, 2 before the colon; the name so far; its length.
    case otherKey(phase: Int32, name: Int32, length: Int32)
    /// The closer of the empty array or object on top of the stack.
    case empty
    /// After a value: what the top of the stack asks for.
    case after
    /// The answer is complete.
    case done

    /// Whether this is within a string or an undeclared key.
    var isInString: Bool {
      switch self {
      case .piece, .otherKey(phase: 1, _, _): true
      default: false
      }
    }
  }

  /// What is being read.
  var place: Place
  /// The arrays and objects that are open, as an index into the machine's frames.
  var stack: Int32
}

/// One open array or object; frames form a tree, each pointing to the one around it.
struct GrammarFrame: Hashable {
  /// The frame around this one, or −1 for the outermost: the call itself.
  var parent: Int32
  /// The rule of this array or object, or −1 for the call.
  var rule: RuleID
  /// How many arrays and objects are open.
  var depth: Int32
  /// Items of an array so far, or undeclared members of an object.
  var count: Int32 = 0
  /// Declared members so far.
  var used = PropertySet()
  /// The names of the undeclared members so far, as an index into the machine's name lists; 0 for none.
  var names: Int32 = 0
}
