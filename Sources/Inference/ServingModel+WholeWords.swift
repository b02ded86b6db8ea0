import Tokenization
package import Topics

extension ServingModel {
  /// The share of labels that may be lost where answers are held to whole words.
  private static let loss = 0.01
  /// The fewest labels that decide.
  private static let fewest = 50

  /// Whether labels like these can be written where string values are whole words of the request.
  ///
  /// A student that need not choose where in a word a value begins or ends makes fewer errors. So it is held to whole words if, of
  /// at least 50 labels that consist of pieces of their requests at all, 99 % do without parts of words.
  package func wholeWordsSuffice(for labels: [(messages: [ChatMessage], call: Call)]) -> Bool {
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
    var (pieces, words) = (0, 0)
    for label in labels {
      guard canSay(label.call, to: label.messages, constraint, wholeWords: false) else { continue }
      pieces += 1
      if canSay(label.call, to: label.messages, constraint, wholeWords: true) { words += 1 }
    }
    return pieces >= Self.fewest && Double(pieces - words) <= Self.loss * Double(pieces)
  }

  private func canSay(
    _ call: Call, to messages: [ChatMessage], _ constraint: AnswerConstraint, wholeWords: Bool
  ) -> Bool {
    let texts = messages.map(\.content)
    guard let answer = try? codec.answer(call, request: texts.joined(separator: "\n")) else { return false }
    constraint.tidy()
    let context = RequestContext(grammar: grammar, texts: texts, wholeWords: wholeWords)
    var state = constraint.start(context)
    for token in answer.dropLast() {
      state = constraint.advance(state, token: token, context)
      if state.isDead { return false }
    }
    return state.isComplete
  }
}
