import Evaluation
import Testing
import Topics

@Suite("Weighted estimates and calibrated confidence") struct WeightedTests {
  private func close(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool { abs(a - b) < tolerance }

  @Test("Hájek's share and Kish's effective number are what hand calculation gives")
  func hand() {
    // Drawn with 1, 1, 0.25 and 0.25: weights 1, 1, 4, 4. Right: the first and the third: (1 + 4) / 10.
    let weights = SampleWeights(propensities: [1, 1, 0.25, 0.25])
    let right = [true, false, true, false]
    // (Σw)² / Σw² = 100 / 34.
    #expect(close(weights.effectiveCount, 100.0 / 34))
    #expect(close(weights.share { right[$0] }.estimate, 0.5))
    #expect(close(weights.mean { right[$0] ? 3 : 1 }, 2))
    #expect(weights.share { _ in true }.upper == 1)
    #expect(weights.share { _ in false }.lower == 0)
    // Four are each more than a twentieth of the weight, and so known: Kish's number is the bound.
    let n = 100.0 / 34
    #expect(close(weights.effectiveCount { right[$0] ? 1 : 0 }, n))
    // Wilson's formula at p = 0.5: the half width is z / (1 + z²/n) · √(0.25/n + z²/4n²).
    let z = Interval.z95
    let half = z / (1 + z * z / n) * (0.25 / n + z * z / (4 * n * n)).squareRoot()
    #expect(close(weights.share { right[$0] }.lower, 0.5 - half))
  }

  @Test("With equal weights every figure is the unweighted one, bit for bit")
  func equal() {
    let first = (0..<200).map { $0 % 7 != 0 }
    let second = (0..<200).map { $0 % 5 != 0 }
    let weights = SampleWeights([Double](repeating: 3, count: 200))
    #expect(weights.areEqual)
    #expect(weights.share { first[$0] } == .wilson(successes: first.count { $0 }, trials: 200))
    #expect(
      PairedComparison.difference(first: first, second: second, weights: weights)
        == PairedComparison(first: first, second: second).difference())
    #expect(SampleWeights([]).share { _ in true } == .wilson(successes: 0, trials: 0))
  }

  @Test("A sample of the hard and a tenth of the easy gives the whole's accuracy, where the plain share does not")
  func unbiased() {
    // 10,000 requests: 2,000 hard ones with 40 % right, all labelled; 8,000 easy ones with 95 % right, one in ten labelled.
    var right: [Bool] = []
    var propensities: [Double] = []
    for index in 0..<2_000 { right.append(index % 5 < 2); propensities.append(1) }
    for index in 0..<800 { right.append(index % 20 != 0); propensities.append(0.1) }
    let weights = SampleWeights(propensities: propensities)
    let share = weights.share { right[$0] }
    #expect(close(share.estimate, 0.84))
    #expect(share.lower < 0.84 && share.upper > 0.84)
    #expect(Double(right.count { $0 }) / 2_800 < 0.56)
  }

  @Test("A question asked again adds to its weight, and counts once")
  func repeated() {
    let right = [true, false, true, true, true, false]
    let other = [true, true, false, false, false, true]
    let repeated = SampleWeights([2, 2, 2, 2, 2, 2], clusters: ["a", "b", "c", "c", "c", "d"])
    #expect(repeated.areEqual && repeated.distinctCount == 4 && repeated.effectiveCount == 4)
    #expect(close(repeated.share { right[$0] }.estimate, 4.0 / 6))
    // McNemar's of four questions: only the other is right on b and d, only the first on c.
    #expect(
      PairedComparison.exactPValue(first: right, second: other, weights: repeated)
        == PairedComparison(both: 1, onlyFirst: 1, onlySecond: 2, neither: 0).exactPValue)
    // A part of the questions, and questions that are all different.
    #expect(repeated.only([2, 3, 5]) == SampleWeights([1, 1, 1], clusters: ["x", "x", "y"]))
    #expect(SampleWeights([1, 1], clusters: ["a", "b"]) == SampleWeights(count: 2))
    // Each question twice is as many questions.
    let twice = SampleWeights(
      [Double](repeating: 1, count: 200), clusters: (0..<200).map { "\($0 / 2)" })
    #expect(close(twice.effectiveCount { $0 < 40 ? 1 : 0 }, 100, 1e-6))
  }

  @Test("A text that many ask widens the interval where the models differ on it, and only there")
  func frequent() {
    // 1,000 questions: one text asked 100 times, 900 asked once.
    let clusters = (0..<1_000).map { $0 < 100 ? "often" : "\($0)" }
    let weights = SampleWeights([Double](repeating: 1, count: 1_000), clusters: clusters)
    let incumbent = (0..<1_000).map { $0 % 10 != 9 || $0 < 100 }
    func interval(_ candidate: [Bool]) -> Interval {
      PairedComparison.difference(first: candidate, second: incumbent, weights: weights)
    }
    // Better on 45 rare ones: a standard error of 0.8 points.
    let better = interval((0..<1_000).map { incumbent[$0] || $0 % 20 == 19 })
    #expect(close(better.estimate, 0.045))
    #expect(better.lower > 0.02 && better.upper < 0.08, "\(better)")
    // Better on the frequent one alone, which everybody asks, and so is known to be asked.
    let often = PairedComparison.difference(
      first: incumbent, second: (0..<1_000).map { incumbent[$0] && $0 >= 100 }, weights: weights)
    #expect(close(often.estimate, 0.1))
    #expect(often.lower > 0.05 && often.upper < 0.15, "\(often)")
    // Neither does one that all models answer alike blur what they differ in, however frequent.
    let half = SampleWeights(
      [Double](repeating: 1, count: 1_600), clusters: (0..<1_600).map { $0 < 700 ? "often" : "\($0)" })
    let blurred = PairedComparison.difference(
      first: (0..<1_600).map { $0 % 10 == 1 && $0 >= 700 }, second: [Bool](repeating: false, count: 1_600),
      weights: half)
    #expect(close(blurred.estimate, 90.0 / 1_600) && blurred.lower > 0.04, "\(blurred)")
    // A text that is asked now and then is one observation.
    let seldom = SampleWeights(
      [Double](repeating: 1, count: 1_000), clusters: (0..<1_000).map { $0 < 40 ? "seldom" : "\($0)" })
    let one = PairedComparison.difference(
      first: (0..<1_000).map { $0 < 40 }, second: [Bool](repeating: false, count: 1_000), weights: seldom)
    #expect(close(one.estimate, 0.04) && one.lower < 0 && one.upper > 0.1, "\(one)")
    // The same answers.
    #expect(interval(incumbent).lower > -0.01)
  }

  @Test("The weighted difference is the mean of the differences")
  func difference() {
    let weights = SampleWeights([1, 1, 4, 4])
    let interval = PairedComparison.difference(
      first: [true, false, true, true], second: [false, false, true, false], weights: weights)
    // (1·1 + 0 + 0 + 4·1) / 10
    #expect(close(interval.estimate, 0.5))
    #expect(interval.lower <= interval.estimate && interval.estimate <= interval.upper)
  }

  @Test("A report of weighted cases is weighted")
  func report() {
    let call = Call(name: "f", arguments: ["a": 1])
    let wrong = Call(name: "g", arguments: ["a": 1])
    let report = EvaluationReport([
      EvaluationCase(id: "1", expected: call, predicted: call, weight: 1),
      EvaluationCase(id: "2", expected: call, predicted: wrong, weight: 3),
    ])
    #expect(close(report.exactMatch.estimate, 0.25))
    #expect(close(report.functionAccuracy.estimate, 0.25))
    #expect(report.argumentF1.estimate == 1)
    #expect(report.count == 2)
    #expect(close(report.slices[0].exactMatch.estimate, 0.25))
  }

  @Test("Answering only what one is sure of: how much, and how right")
  func selective() {
    let call = Call(name: "f", arguments: [:])
    let other = Call(name: "g", arguments: [:])
    func item(_ confidence: Double?, _ predicted: Call?, weight: Double = 1, _ id: Int) -> EvaluationCase {
      EvaluationCase(id: "\(id)", expected: call, predicted: predicted, confidence: confidence, weight: weight)
    }
    let cases = [
      item(0.99, call, 0), item(0.9, call, 1), item(0.9, other, weight: 2, 2), item(0.8, call, 3),
      item(0.2, call, weight: 4, 4),
      item(1, nil, 5), item(nil, call, 6),
    ]
    let sure = SelectivePrediction(cases, threshold: 0.9)
    // Of weights 11 those of 1, 1 and 2 are answered, 1 and 1 of them rightly.
    #expect(sure.count == 3)
    #expect(close(sure.coverage.estimate, 4.0 / 11) && close(sure.exactMatch.estimate, 0.5))
    let none = SelectivePrediction(cases, threshold: 1)
    #expect(none.count == 0 && none.exactMatch == Interval(estimate: 0, lower: 0, upper: 1))
    #expect(SelectivePrediction.threshold(for: 1, of: cases) == 0.99)
    // 0.99 alone; with both of 0.9 a half; with 0.8 three fifths, with the four of 0.2 seven ninths.
    #expect(SelectivePrediction.threshold(for: 0.9, of: cases) == 0.99)
    #expect(SelectivePrediction.threshold(for: 0.75, of: cases) == 0)
    #expect(SelectivePrediction.threshold(for: 0.6, of: Array(cases.prefix(4))) == 0.8)
    #expect(SelectivePrediction.threshold(for: 0.5, of: [item(0.9, other, 0)]) == nil)
  }

  @Test("Calibration finds the curve that made the answers, and its probabilities are the shares of right answers")
  func calibration() throws {
    // Overconfident: an answer of confidence c is right with logistic(0.5 · log odds(c) − 0.5).
    let truth = ConfidenceCalibration(slope: 0.5, intercept: -0.5, n: 0)
    var answers: [(confidence: Double, isRight: Bool, weight: Double)] = []
    for step in 1..<50 {
      let confidence = Double(step) / 50
      let right = Int((truth.probability(of: confidence) * 400).rounded())
      for index in 0..<400 { answers.append((confidence, index < right, 1)) }
    }
    let found = try #require(ConfidenceCalibration(fitting: answers))
    #expect(close(found.slope, 0.5, 0.01) && close(found.intercept, -0.5, 0.01))
    #expect(found.n == answers.count)
    // Scoring equation of the maximum: the mean probability is the share of right answers, but for smoothing and pull.
    let mean = answers.reduce(0) { $0 + found.probability(of: $1.confidence) } / Double(answers.count)
    #expect(close(mean, Double(answers.count { $0.isRight }) / Double(answers.count), 1e-3))
  }

  @Test("Answers that are all right, all of one confidence, or too few give no extreme curve")
  func degenerate() throws {
    let sure = [(confidence: Double, isRight: Bool, weight: Double)](repeating: (0.99, true, 1), count: 40)
    let curve = try #require(ConfidenceCalibration(fitting: sure))
    #expect((0.9...0.999).contains(curve.probability(of: 0.99)))
    let wrong = [(confidence: Double, isRight: Bool, weight: Double)](repeating: (0.99, false, 1), count: 40)
    #expect(try #require(ConfidenceCalibration(fitting: wrong)).probability(of: 0.99) < 0.2)
    #expect(ConfidenceCalibration(fitting: Array(sure.prefix(29))) == nil)
    #expect(curve.probability(of: 0) == 0)
    #expect(curve.probability(of: 1) > curve.probability(of: 0.5))
    // Weights count: the same answers, where each wrong one stands for nine others.
    let mixed = (0..<100).map { (confidence: 0.8, isRight: $0 % 2 == 0, weight: $0 % 2 == 0 ? 1.0 : 9.0) }
    #expect(close(try #require(ConfidenceCalibration(fitting: mixed)).probability(of: 0.8), 0.11, 0.03))
  }
}
