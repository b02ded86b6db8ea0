import CKernels

/// A teacher's logits for the rows with a target, how much they count, and how the distance is measured.
struct TeacherSignal {
  let logits: UnsafeBufferPointer<Float>
  let weight: Float
  var loss = DistillationLoss()
}

/// What a pass minimises, for each row with a target: (1 − share)·cross-entropy + share·divergence from a teacher; with a
/// policy signal, clipped surrogate + share·divergence. Without either, rows with a soft target have theirs in the batch.
struct Objective {
  var teacher: TeacherSignal?
  var policy: PolicySignal?

  /// How much the teacher's divergence counts.
  private var share: Float { teacher?.weight ?? 0 }

  /// Whether the cross-entropy kernel can do it alone.
  private var isPlain: Bool { policy == nil && (teacher.map { $0.loss == DistillationLoss() } ?? true) }

  /// Losses of some of the rows; with a scale, `logits` become the gradient, in place.
  ///
  /// - Parameters:
  ///   - rows: the rows, as indices into all rows with a target.
  ///   - logits: `[rows.count, V]`.
  ///   - targets: of all rows with a target; so are `weights` and `soft`.
  func run(
    rows: Range<Int>, logits: UnsafeMutablePointer<Float>, V: Int, targets: [Int32], weights: [Float],
    soft: SoftRows?, gradientScale: Float?, losses: inout [retort_row_loss]
  ) -> LossReport {
    let (count, start) = (rows.count, rows.lowerBound)
    let part = Array(weights[rows])
    let hasGradient: Int32 = gradientScale == nil ? 0 : 1
    var coefficients = [Float](repeating: 1 - share, count: count)
    var surrogates: [Double]?
    targets.withUnsafeBufferPointer { targets in
      guard let targets = targets.baseAddress.map({ $0 + start }) else { return }
      let teacherLogits = teacher?.logits.baseAddress.map { $0 + start * V }
      if let soft {
        soft.withRows(from: start) {
          retort_top_loss(count, V, logits, V, targets, part, gradientScale ?? 0, $0, hasGradient, &losses)
        }
        return
      }
      if isPlain {
        retort_cross_entropy(
          count, V, logits, V, targets, part, gradientScale ?? 0, teacherLogits, V, share, hasGradient, &losses)
        return
      }
      if let policy {
        retort_cross_entropy(count, V, logits, V, targets, part, 0, nil, V, 0, 0, &losses)
        surrogates = policy.surrogates(rows: rows, losses: losses, coefficients: &coefficients)
      }
      let targetWeights = zip(part, coefficients).map { $0 * $1 }
      let teacherWeights = part.map { $0 * share }
      teacherWeights.withUnsafeBufferPointer { teacherWeights in
        var signal = retort_teacher_rows(
          logits: teacherLogits, ldt: V, weights: teacherWeights.baseAddress,
          reverse: teacher?.loss.direction == .reverse ? 1 : 0, top: teacher?.loss.top ?? 0)
        withUnsafePointer(to: &signal) { signal in
          retort_mixed_loss(
            count, V, logits, V, targets, targetWeights, gradientScale ?? 0, teacher == nil ? nil : signal, hasGradient,
            &losses)
        }
      }
    }
    let shares = rows.map { soft?.share(of: $0) ?? share }
    return summary(losses.prefix(count), weights: part, shares: shares, surrogates: surrogates)
  }

  private func summary(
    _ losses: ArraySlice<retort_row_loss>, weights: [Float], shares: [Float], surrogates: [Double]?
  ) -> LossReport {
    var report = LossReport(targetCount: losses.count)
    for (index, (loss, weight)) in zip(losses, weights).enumerated() {
      let (weight, entropy, divergence) = (Double(weight), Double(loss.cross_entropy), Double(loss.divergence))
      let share = Double(shares[index])
      report.lossSum += weight * ((surrogates?[index] ?? (1 - share) * entropy) + share * divergence)
      report.crossEntropySum += weight * entropy
      report.divergenceSum += weight * divergence
      report.weightSum += weight
      report.correctCount += Int(loss.correct)
    }
    return report
  }
}

extension PolicySignal {
  /// The loss of each row; `coefficients` become what the cross-entropy's gradient is multiplied by.
  fileprivate func surrogates(
    rows: Range<Int>, losses: [retort_row_loss], coefficients: inout [Float]
  ) -> [Double] {
    rows.enumerated().map { index, row in
      let advantage = Double(advantages[row])
      let ratio =
        sampledLogProbabilities.map { retort_exp(-Double(losses[index].cross_entropy) - Double($0[row])) } ?? 1
      let (low, high) = (1 - Double(clipLow), 1 + Double(clipHigh))
      let isActive = advantage >= 0 ? ratio <= high : ratio >= low
      coefficients[index] = isActive ? Float(ratio * advantage) : 0
      return -min(ratio * advantage, min(max(ratio, low), high) * advantage)
    }
  }
}
