package import StudentModel
package import Tokenization
import Topics

/// The teacher that samples bring with them: its log-probabilities, as soft targets of the student's answer.
///
/// The student's answer is another text than the teacher's: its structure is tokens of its own, its keys stand in another order.
/// Alike are values. So a value's tokens have soft targets from the first one on, as long as the teacher wrote the very same ones from the
/// very place where the value begins; a value whose beginning is within a token, or is escaped otherwise, has none. Nothing else has
/// any, and all that has none learns the label alone. An alternative that ends the value or leaves it is counted to the tail: the
/// student says that with tokens that the teacher does not have.
package struct LoggedTeacher {
  private let tokenizer: Tokenizer
  private let top: Int

  /// - Parameters:
  ///   - tokenizer: the student's.
  ///   - top: how many alternatives are kept apart from the tail; 0 for all that were logged.
  package init(tokenizer: Tokenizer, top: Int) {
    self.tokenizer = tokenizer
    self.top = top
  }

  /// Checks that a sample's log-probabilities are of the student's tokens.
  ///
  /// - Parameter digest: of the student's text vocabulary.
  /// - Throws: ``TrainingError`` `invalid_base`, naming both digests.
  static func check(_ sample: TrainingSample, digest: Digest) throws(TrainingError) {
    guard let found = sample.topLogprobs?.tokenizer, found != digest else { return }
    throw TrainingError(
      .invalidBase, context: "the log-probabilities of sample \(sample.id.prefix(64))",
      expected: "those of the student's tokens, \(digest.hex)", found: "those of another tokenizer's, \(found.hex)",
      advice: "start the student from a folder with the teacher's tokenizer.json, or set distill_teacher to \"\"")
  }

  /// The soft targets of a sample's answer; the row of each is its place in the answer.
  package func targets(of sample: TrainingSample, in encoded: SampleEncoder.Encoded) -> [SoftTarget] {
    guard let logged = sample.topLogprobs else { return [] }
    var text: [UInt8] = []
    var places: [Int: Int] = [:]
    for (place, token) in logged.tokens.enumerated() {
      places[text.count] = place
      // What is no token of text stands for bytes that are in no JSON.
      text += token == TokenLogprobs.none ? [0xFF] : tokenizer.bytes(of: token)
    }
    guard let range = JSONText.range(of: sample.call.arguments, in: text) else { return [] }
    var targets: [SoftTarget] = []
    for scalar in JSONText.scalars(in: text, range) {
      guard let value = encoded.values[scalar.pointer], let first = places[scalar.range.lowerBound] else { continue }
      for (place, row) in zip(first..., value) {
        guard place < logged.tokens.count, logged.tokens[place] == encoded.answer[row] else { break }
        let known = logged.alternatives(at: place).prefix(top > 0 ? top : .max).filter {
          continues($0.token, isString: scalar.isString)
        }
        guard !known.isEmpty else { continue }
        targets.append(SoftTarget(row: Int32(row), tokens: known.map(\.token), logprobs: known.map(\.logprob)))
      }
    }
    return targets.sorted { $0.row < $1.row }
  }

  /// Whether a token can stand within a value.
  private func continues(_ token: Int32, isString: Bool) -> Bool {
    guard tokenizer.kind(of: token) == .piece else { return false }
    return tokenizer.bytes(of: token).allSatisfy { byte in
      if isString { return byte != UInt8(ascii: "\"") }
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "E"),
        UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
        return true
      default: return false
      }
    }
  }
}
