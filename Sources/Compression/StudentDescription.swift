public import ModelFiles

/// What a student's file says besides its weights.
public struct StudentDescription: Sendable {
  /// `general.name`; default "retort-student".
  public var name = "retort-student"
  /// The chat template; `nil` for the one that belongs to the tokenizer.
  public var chatTemplate: String?
  /// The id that ends an answer; `nil` for the one that belongs to the tokenizer.
  public var endOfText: Int?
  /// More metadata, keys and values in order; nothing that changes from run to run belongs here.
  public var metadata: [(key: String, value: GGUFValue)] = []

  /// A description with every default.
  public init() {}
}
