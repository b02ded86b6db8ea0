import ModelFiles
import StudentModel
import Training

/// Measures how active each feed-forward neuron is on samples.
enum ActivationProbe {
  /// Mean |h| by layer and neuron over all tokens of the samples; `nil` where none could be encoded.
  static func activations(
    of student: Student, on samples: [TrainingSample], encoder: SampleEncoder
  ) throws -> [[Float]]? {
    let sizes = student.configuration
    var sums = [[Double]](
      repeating: [Double](repeating: 0, count: sizes.feedForwardSize), count: sizes.layerCount)
    var rows = 0
    for start in stride(from: 0, to: samples.count, by: 32) {
      var batch = PackedBatch()
      for sample in samples[start..<min(start + 32, samples.count)] {
        guard case .success(let encoded) = encoder.encode(sample) else { continue }
        batch.append(prompt: encoded.prompt, completion: encoded.answer)
      }
      guard batch.rowCount > 0 else { continue }
      let means = try student.feedForwardActivations(batch)
      for (layer, values) in means.enumerated() {
        for (neuron, value) in values.enumerated() {
          sums[layer][neuron] += Double(value) * Double(batch.rowCount)
        }
      }
      rows += batch.rowCount
    }
    guard rows > 0 else { return nil }
    return sums.map { layer in layer.map { Float($0 / Double(rows)) } }
  }
}
