import StudentModel
import Tokenization
public import Topics

extension Trainer {
  /// Takes up the functions of the next sample, before that sample is taken in: a task gains functions in mid-stream.
  ///
  /// Samples name their functions by digest, so the student's are a function of the samples in their order. Before the first
  /// sample it is given them as they are. Later, a set that has all of the student's and more makes it grow: its tokenizer gets
  /// the new structure tokens, its embedding a row for each, and nothing else changes, what it has learned included.
  /// A set that the student's has all of (of a process that does not know the new ones yet) changes nothing, and neither
  /// does one that lacks some and has others: a sample of those is left out when its round comes.
  ///
  /// - Parameters:
  ///   - set: The functions that the sample's digest names.
  ///   - base: Loads the model to fine-tune for them; called only before the first sample.
  /// - Returns: Whether the student's functions have changed.
  /// - Throws: ``TrainingError``, `TokenizationError` or `StudentError` where the new tokens cannot be added; the trainer must
  ///   then be given up.
  @discardableResult
  public func follow(_ set: FunctionSet, base: () throws -> BaseModel? = { nil }) throws -> Bool {
    guard set.digest != functions.digest else { return false }
    let isNew = memory.nextSequence == 0
    guard isNew || set.missing(of: functions).isEmpty else { return false }
    let set = try set.inCanonicalOrder()
    if isNew {
      if trunk != nil, let base = try base() {
        guard base.digest == baseDigest else {
          throw TrainingError(
            .invalidBase, context: "the base model",
            expected: baseDigest.map { "the one that was read first, \($0.hex)" } ?? "none",
            found: base.digest.hex, advice: "its folder was replaced meanwhile: start training again")
        }
        trunk = try Self.makeTrunk(base, recipe: recipe, functions: set)
      }
    } else {
      let before = trunk?.student
      trunk = try trunk?.grown(for: set, recipe: recipe)
      if trunk?.student !== before { segments.frozen = nil }
    }
    functions = set
    return true
  }
}
