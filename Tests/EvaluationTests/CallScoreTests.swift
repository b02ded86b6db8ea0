import Evaluation
import Testing
import Topics

@Suite("Comparing calls") struct CallScoreTests {
  private func call(_ name: String, _ arguments: JSONObject) -> Call { Call(name: name, arguments: arguments) }

  @Test("Calls are equal whatever the order of their keys and the way their numbers are written")
  func equality() {
    let expected = call("f", ["a": 1, "b": "x", "c": ["u": 1.5, "v": .null]])
    let predicted = call("f", ["c": ["v": .null, "u": 1.5], "b": "x", "a": 1.0])
    #expect(CallScore.exact(predicted, expected))
  }

  @Test("Lists are compared in order and strings exactly")
  func listsAndStrings() {
    #expect(!CallScore.exact(call("f", ["a": [1, 2]]), call("f", ["a": [2, 1]])))
    #expect(!CallScore.exact(call("f", ["a": "X"]), call("f", ["a": "x"])))
    #expect(!CallScore.exact(call("f", ["a": 1]), call("f", ["a": "1"])))
    #expect(!CallScore.exact(call("f", ["a": true]), call("f", ["a": 1])))
  }

  @Test("A missing, a surplus and a different argument each make the call inexact")
  func inexact() {
    let expected = call("f", ["a": 1, "b": 2])
    #expect(!CallScore.exact(call("f", ["a": 1]), expected))
    #expect(!CallScore.exact(call("f", ["a": 1, "b": 2, "c": 3]), expected))
    #expect(!CallScore.exact(call("f", ["a": 1, "b": 3]), expected))
    #expect(!CallScore.exact(call("g", ["a": 1, "b": 2]), expected))
    #expect(!CallScore.exact(nil, expected))
    #expect(CallScore.exact(call("f", [:]), call("f", [:])))
  }

  @Test("Pairs are counted by key and value")
  func pairs() {
    let score = CallScore(predicted: call("g", ["a": 1, "b": 3, "z": 0]), expected: call("f", ["a": 1, "b": 2]))
    #expect(score.matchingArguments == 1)
    #expect(score.predictedArguments == 3)
    #expect(score.expectedArguments == 2)
    #expect(!score.functionIsCorrect)
    #expect(score.isValid)
  }
}
