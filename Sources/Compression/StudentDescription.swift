public import ModelFiles
import Tokenization

/// What a student's file says besides its weights.
public struct StudentDescription: Sendable {
  /// `general.name`; default "retort-student".
  public var name = "retort-student"
  /// The chat template; `nil` for the one that belongs to the tokenizer.
  public var chatTemplate: String?
  /// The id that ends an answer; `nil` for the one that belongs to the tokenizer.
  public var endOfText: Int?
  /// More ids that end an answer, which a folder names too.
  public var otherEnds: [Int] = []
  /// The id that begins a text; `nil` for none, as for every student that was trained here: no prompt of theirs has one.
  public var beginning: Int?
  /// More metadata, keys and values in order; nothing that changes from run to run belongs here.
  public var metadata: [(key: String, value: GGUFValue)] = []

  /// A description with every default.
  public init() {}

  /// Whether what is written says that ``beginning`` is put before a text: where the tokenizer does so.
  func addsBeginning(_ tokenizer: Tokenizer) -> Bool {
    beginning != nil && tokenizer.beginning.map(Int.init) == beginning
  }
}
