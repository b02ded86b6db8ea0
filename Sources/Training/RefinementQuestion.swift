import Evaluation
package import Topics

/// A learned request as it is presented to be answered by sampling, with what judges the answers.
package struct RefinementQuestion {
  package let id: String
  package let messages: [ChatMessage]
  /// The label's call.
  package private(set) var call: Call
  package let weight: Double
  /// Calls whose worth is known whatever the label says.
  package let judged: [JudgedCall]

  package init(id: String, messages: [ChatMessage], call: Call, weight: Double, judged: [JudgedCall]) {
    self.id = id
    self.messages = messages
    self.call = call
    self.weight = weight
    self.judged = judged
  }

  private func judgement(of answer: Call?) -> Double? {
    judged.first { CallScore.exact(answer, $0.call) }?.score
  }

  /// The question with an answer that may be learned from: one that was judged rather right than wrong, or one that nobody
  /// has judged and that is the label's; otherwise nil.
  package func accepted(_ answer: Call?) -> RefinementQuestion? {
    guard let answer else { return nil }
    let isLabel = CallScore.exact(answer, call)
    guard judgement(of: answer).map({ $0 > 0.5 }) ?? isLabel else { return nil }
    var question = self
    if !isLabel { question.call = answer }
    return question
  }

  /// What an answer is worth, −1…1: what was said of it, else how much of the label's call is in it.
  package func reward(_ answer: Call?, functions: FunctionSet) -> Double {
    judgement(of: answer) ?? ToolCallReward.reward(answer.map { [$0] }, expected: [call], functions: functions)
  }
}
