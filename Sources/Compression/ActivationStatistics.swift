import CKernels
package import StudentModel
package import Training

/// What the linear layers of a student read on samples: mean |x| and mean x² of every channel.
package struct ActivationStatistics {
  /// Of one input.
  struct Channels {
    /// Σ |x| over the rows, `[width]`.
    var absolute: [Float]
    /// Σ x² over the rows, `[width]`.
    var squares: [Float]
  }

  /// The number of rows (tokens) that were seen.
  package private(set) var rows = 0
  private var channels: [LinearInput: Channels] = [:]

  /// Measures on batches, in order, of which about `rows` tokens are held at once; the parts change no bit.
  package init(of student: Student, on batches: [PackedBatch], rows: Int = 2_048) throws {
    for batch in batches.parts(rows: rows) {
      try student.observeInputs(batch) { input, values, width in
        var sums =
          channels[input]
          ?? Channels(
            absolute: [Float](repeating: 0, count: width), squares: [Float](repeating: 0, count: width))
        if let start = values.baseAddress {
          retort_absolute_column_sums(batch.rowCount, width, start, width, &sums.absolute)
          sums.squares.withUnsafeMutableBufferPointer { squares in
            for row in 0..<batch.rowCount {
              for column in 0..<width { squares[column] += values[row * width + column] * values[row * width + column] }
            }
          }
        }
        channels[input] = sums
      }
      self.rows += batch.rowCount
    }
  }

  /// Mean |x| by channel; empty for an input that was not seen.
  package func meanAbsolute(_ input: LinearInput) -> [Double] {
    (channels[input]?.absolute ?? []).map { Double($0) / Double(max(1, rows)) }
  }

  /// Mean x² by channel; empty for an input that was not seen.
  package func meanSquare(_ input: LinearInput) -> [Double] {
    (channels[input]?.squares ?? []).map { Double($0) / Double(max(1, rows)) }
  }

  /// The samples as batches of at most 32, in order; what cannot be encoded is left out.
  package static func batches(of samples: [TrainingSample], encoder: SampleEncoder) -> [PackedBatch] {
    stride(from: 0, to: samples.count, by: 32).compactMap { start in
      var batch = PackedBatch()
      for sample in samples[start..<min(start + 32, samples.count)] {
        guard case .success(let encoded) = encoder.encode(sample) else { continue }
        batch.append(prompt: encoded.prompt, completion: encoded.answer)
      }
      return batch.rowCount > 0 ? batch : nil
    }
  }
}

extension [PackedBatch] {
  /// The same sequences in order, in batches of about so many tokens: what layers read is held for a batch as a whole.
  func parts(rows: Int) -> [PackedBatch] { flatMap { $0.split(into: ($0.rowCount + rows - 1) / rows) } }
}
