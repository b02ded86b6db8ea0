package import ModelFiles
import Tokenization
package import Topics

/// How many labels an answer under the constraint can be: one whose strings are pieces of the request.
package struct SayableLabels: Sendable, Hashable {
  /// The share of labels that may be lost where answers are held to whole words.
  private static let loss = 0.01
  /// How many of the newest labels decide.
  package static let deciding = 2_000
  /// The fewest labels that decide.
  private static let fewest = 50

  /// All labels.
  package var count = 0
  /// Those that an answer can be.
  package var pieces = 0
  /// Those of them that it can be with whole words alone.
  package var words = 0
  /// The tokens of the longest of those that an answer can be.
  package var longest = 0

  /// Whether string values may be held to whole words of the request.
  ///
  /// A student that need not choose where in a word a value begins or ends makes fewer errors. So it is held to whole words if, of
  /// at least 50 labels that consist of pieces of their requests at all, 99 % do without parts of words.
  package var wholeWordsSuffice: Bool {
    pieces >= Self.fewest && Double(pieces - words) <= Self.loss * Double(pieces)
  }

  /// How a student of these labels answers, in the order of ``ServingModel/answeringKeys``. Where the longest label has more tokens
  /// than answers have by default, they may have twice as many as it.
  package func metadata(alternatives: Int) -> [(key: String, value: GGUFValue)] {
    var metadata: [(key: String, value: GGUFValue)] = [
      (ServingModel.wholeWordsKey, .bool(wholeWordsSuffice)),
      (ServingModel.alternativesKey, .uint32(UInt32(alternatives))),
    ]
    if longest > DecodeOptions.standardAnswerTokens {
      let most = min(2 * longest, DecodeOptions.answerTokensRange.upperBound)
      metadata.append((ServingModel.answerTokensKey, .uint32(UInt32(most))))
    }
    return metadata
  }
}

extension ServingModel {
  /// Counts the labels that an answer of this model can be.
  package func sayable(_ labels: [(messages: [ChatMessage], call: Call)]) -> SayableLabels {
    let constraint = AnswerConstraint(grammar: grammar, vocabulary: vocabulary)
    var sayable = SayableLabels(count: labels.count)
    for label in labels {
      guard let count = tokens(of: label.call, to: label.messages, constraint, wholeWords: false) else { continue }
      sayable.pieces += 1
      sayable.longest = max(sayable.longest, count)
      if tokens(of: label.call, to: label.messages, constraint, wholeWords: true) != nil { sayable.words += 1 }
    }
    return sayable
  }

  /// How many tokens the call has as an answer; nil where it can be none.
  private func tokens(
    of call: Call, to messages: [ChatMessage], _ constraint: AnswerConstraint, wholeWords: Bool
  ) -> Int? {
    let request = messages.map(\.content).joined(separator: "\n")
    guard let answer = try? codec.answer(call, request: request) else { return nil }
    constraint.tidy()
    let context = context(of: messages, wholeWords: wholeWords)
    var state = constraint.start(context)
    for token in answer.dropLast() {
      state = constraint.advance(state, token: token, context)
      if state.isDead { return nil }
    }
    return state.isComplete ? answer.count - 1 : nil
  }
}
