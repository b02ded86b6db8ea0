public import Topics

/// How one predicted call compares with the expected one.
///
/// Calls are compared as objects: the order of keys is nothing, the order of lists is kept, numbers are equal by
/// value (`1` equals `1.0`). Strings are compared exactly, case and spaces included.
public struct CallScore: Sendable, Hashable {
  /// Whether a call was predicted at all (`false`: the answer was invalid).
  public let isValid: Bool
  /// Whether the name of the function is right.
  public let functionIsCorrect: Bool
  /// Whether the whole call is right.
  public let isExact: Bool
  /// The number of top-level (key, value) pairs that both calls have.
  public let matchingArguments: Int
  /// The number of top-level pairs predicted.
  public let predictedArguments: Int
  /// The number of top-level pairs expected.
  public let expectedArguments: Int

  /// Scores a prediction; `nil` stands for an answer that was no valid call.
  ///
  /// A pair counts as matching where key and value agree, whatever the function's name (as slot F1 is counted).
  public init(predicted: Call?, expected: Call) {
    expectedArguments = expected.arguments.count
    guard let predicted else {
      isValid = false
      functionIsCorrect = false
      isExact = false
      matchingArguments = 0
      predictedArguments = 0
      return
    }
    var matching = 0
    for (key, value) in expected.arguments where predicted.arguments[key] == value {
      matching += 1
    }
    isValid = true
    functionIsCorrect = predicted.name == expected.name
    matchingArguments = matching
    predictedArguments = predicted.arguments.count
    isExact =
      functionIsCorrect && matching == expected.arguments.count && predicted.arguments.count == matching
  }

  /// Whether the prediction is the expected call.
  public static func exact(_ predicted: Call?, _ expected: Call) -> Bool {
    CallScore(predicted: predicted, expected: expected).isExact
  }
}
