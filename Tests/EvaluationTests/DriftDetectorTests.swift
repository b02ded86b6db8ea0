import Evaluation
import Testing
import Topics

@Suite("Drift detection") struct DriftDetectorTests {
  /// Outcomes that are right with a probability; a hash, so that the stream is always the same.
  private static func outcomes(_ share: Double, _ count: Int, salt: String) -> [Bool] {
    (0..<count).map { index in
      let bytes = Digest.sha256("\(salt)/\(index)").bytes
      return Double(UInt16(bytes[0]) << 8 | UInt16(bytes[1])) < share * 65_536
    }
  }

  private static func alarms(_ stream: [Bool], _ detector: inout DriftDetector) -> [(Int, DriftDetector.Change)] {
    stream.enumerated().compactMap { index, outcome in detector.add(outcome).map { (index, $0) } }
  }

  @Test("a stream that stays as it is raises few alarms: with δ = 0.01, less than one in ten streams of 5,000")
  func steady() {
    var falls = 0
    for run in 0..<20 {
      var detector = DriftDetector(confidence: 0.01)
      falls += Self.alarms(Self.outcomes(0.85, 5_000, salt: "s\(run)"), &detector).isEmpty ? 0 : 1
    }
    #expect(falls <= 2, "\(falls)")
  }

  @Test("a sudden fall is found within a few hundred outcomes, once, and the old part is forgotten")
  func sudden() throws {
    var detector = DriftDetector(confidence: 0.01)
    let stream = Self.outcomes(0.9, 2_000, salt: "a") + Self.outcomes(0.6, 2_000, salt: "b")
    let alarms = Self.alarms(stream, &detector)
    let first = try #require(alarms.first)
    #expect(first.1 == .fall)
    #expect((2_000..<2_200).contains(first.0), "\(first.0)")
    #expect(alarms.allSatisfy { $0.1 == .fall && $0.0 < 2_600 })
    #expect(detector.width < 2_400)
    #expect(abs(detector.mean - 0.6) < 0.05)
  }

  @Test("a hundred outcomes before a large fall suffice to see it in a few dozen after it; of five streams, in all")
  func few() throws {
    for run in 0..<5 {
      var detector = DriftDetector(confidence: 0.002)
      let stream = Self.outcomes(0.97, 100, salt: "f\(run)") + Self.outcomes(0.55, 100, salt: "u\(run)")
      let first = try #require(Self.alarms(stream, &detector).first)
      #expect(first.1 == .fall && (100..<160).contains(first.0), "\(first.0)")
    }
  }

  @Test("outcomes to come are held against a share that was seen elsewhere, whose order says nothing")
  func elsewhere() throws {
    for (count, right) in [(0, 0), (1, 1), (60, 56), (60, 0), (60, 60), (997, 500)] {
      let detector = DriftDetector(confidence: 0.002, after: count, right: right)
      #expect(detector.width == count && detector.sum == right)
    }
    func fall(_ share: Double) -> Int? {
      var detector = DriftDetector(confidence: 0.002, after: 60, right: 56)
      return Self.outcomes(share, 300, salt: "e").firstIndex { detector.add($0) == .fall }
    }
    #expect(fall(0.93) == nil)
    let first = try #require(fall(0.5))
    #expect(first < 100, "\(first)")
  }

  @Test("a student that gets better raises no fall")
  func rising() {
    var detector = DriftDetector(confidence: 0.01)
    var stream: [Bool] = []
    for step in 0..<20 { stream += Self.outcomes(0.1 + 0.04 * Double(step), 200, salt: "r\(step)") }
    let alarms = Self.alarms(stream, &detector)
    #expect(alarms.contains { $0.1 == .rise })
    #expect(!alarms.contains { $0.1 == .fall })
  }

  @Test("a slow fall is found too")
  func gradual() throws {
    var detector = DriftDetector(confidence: 0.01)
    var stream = Self.outcomes(0.9, 2_000, salt: "g")
    for step in 0..<20 { stream += Self.outcomes(0.9 - 0.02 * Double(step), 100, salt: "d\(step)") }
    let first = try #require(Self.alarms(stream, &detector).first)
    #expect(first.1 == .fall && (2_000..<4_000).contains(first.0))
  }

  @Test("memory grows with the logarithm of the window, which counts what it holds")
  func memory() {
    var detector = DriftDetector(confidence: 0.01)
    for index in 0..<10_000 { _ = detector.add(index % 2 == 0) }
    #expect(detector.width == 10_000)
    #expect(detector.sum == 5_000)
    #expect(detector.json.bytes.count < 600)
  }

  @Test("written and read back at any moment it goes on the same way")
  func stored() throws {
    let stream = Self.outcomes(0.9, 700, salt: "x") + Self.outcomes(0.5, 300, salt: "y")
    var whole = DriftDetector(confidence: 0.02)
    var interrupted = whole
    for (index, outcome) in stream.enumerated() {
      #expect(whole.add(outcome) == interrupted.add(outcome))
      if index % 97 == 0 { interrupted = try #require(DriftDetector(json: JSON.parse(interrupted.json.bytes))) }
      #expect(whole == interrupted)
    }
    #expect(DriftDetector(json: ["confidence": 0.01, "rows": [[2]]]) == nil)
    #expect(DriftDetector(json: ["confidence": 0, "rows": []]) == nil)
    #expect(DriftDetector(json: ["rows": []]) == nil)
  }
}
