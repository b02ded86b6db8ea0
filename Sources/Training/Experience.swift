import StudentModel

/// Sampled answers with what they are worth: one batch of a policy gradient.
struct Experience {
  /// The answers of groups whose rewards differ.
  private(set) var batch = PackedBatch()
  /// The advantage of each target of ``batch``.
  private(set) var advantages: [Float] = []
  /// The groups in ``batch``.
  private(set) var usefulGroups = 0
  private var rewardSum = 0.0
  private var rewardCount = 0

  /// The mean reward of all answers, those left out too; 0 of none.
  var meanReward: Double { rewardCount > 0 ? rewardSum / Double(rewardCount) : 0 }

  /// The same answers in order, cut into at most `count` batches, each with its advantages.
  func split(into count: Int) -> [(batch: PackedBatch, advantages: [Float])] {
    var start = 0
    return batch.split(into: count).map { part in
      defer { start += part.targetRows.count }
      return (part, Array(advantages[start..<start + part.targetRows.count]))
    }
  }

  /// Adds the answers to one request.
  ///
  /// - Parameters:
  ///   - prompt: the request's tokens, at least one.
  ///   - answers: the answers' tokens, their ends included; empty ones are left out.
  ///   - rewards: one an answer.
  ///   - weight: multiplies the loss of the group's tokens.
  ///   - normalized: whether advantages are divided by the standard deviation of the group's rewards.
  mutating func add(
    prompt: [Int32], answers: [[Int32]], rewards: [Double], weight: Double, normalized: Bool
  ) {
    rewardSum += rewards.reduce(0, +)
    rewardCount += rewards.count
    let mean = rewards.reduce(0, +) / Double(max(1, rewards.count))
    let variance = rewards.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, rewards.count))
    guard variance > 1e-12, weight > 0, !prompt.isEmpty else { return }
    usefulGroups += 1
    for (tokens, reward) in zip(answers, rewards) where !tokens.isEmpty {
      batch.append(prompt: prompt, completion: tokens, weight: Float(weight))
      let advantage = (reward - mean) / (normalized ? variance.squareRoot() : 1)
      advantages += Array(repeating: Float(advantage), count: tokens.count)
    }
  }
}
