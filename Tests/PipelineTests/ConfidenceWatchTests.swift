import Pipeline
import Testing
import Topics

@Suite struct ConfidenceWatchTests {
  private static func release(_ share: Double) -> Evidence {
    Evidence(metric: "sure_share", value: share, n: 60, subject: .candidate)
  }

  /// How many of so many requests it takes until the watch says that the share has fallen, every `unsure`-th being unsure.
  private static func look(_ watch: inout ConfidenceWatch, _ count: Int, unsure: Int) -> Int? {
    (1...count).first { watch.look(isSure: $0 % unsure != 0) }
  }

  @Test("a question that was asked again and again is one of the questions against which traffic is held")
  func repeated() {
    func evidence(_ texts: [String]) -> Evidence {
      let samples = texts.enumerated().map {
        MeasuredSample(
          id: "\($0.offset)", messages: [.user($0.element)], call: Call(name: "lock_door", arguments: [:]))
      }
      return ConfidenceThreshold.evidence(samples.indices.map { $0 % 2 == 0 }, of: samples)
    }
    let different = (0..<20).map { "lock door \($0)" }
    #expect(evidence(different).n == 20 && evidence(different).value == 0.5)
    let repeated = evidence(different + [String](repeating: "lock the door", count: 300))
    #expect((1...21).contains(repeated.n), "\(repeated.n)")
  }

  @Test("a share as of development samples is no drift, a smaller one is, until the next release that is as sure again")
  func drift() throws {
    var watch = ConfidenceWatch()
    watch.follow(Self.release(0.9))
    #expect(Self.look(&watch, 2_000, unsure: 10) == nil && !watch.hasFallen)
    let found = try #require(Self.look(&watch, 200, unsure: 2))
    #expect(found < 60 && watch.hasFallen, "\(found)")
    // It is said once.
    #expect(Self.look(&watch, 500, unsure: 2) == nil && watch.hasFallen)
    watch.follow(Self.release(0.9))
    #expect(!watch.hasFallen)
    #expect(Self.look(&watch, 2_000, unsure: 10) == nil)
    // Found surer than what it had fallen to, so that another fall is one.
    watch.follow(Self.release(0.9))
    #expect(Self.look(&watch, 200, unsure: 2) != nil)
  }

  @Test("what has fallen and risen again is no drift any more, and may fall again")
  func back() throws {
    var watch = ConfidenceWatch()
    watch.follow(Self.release(0.9))
    _ = try #require(Self.look(&watch, 400, unsure: 2))
    #expect(watch.hasFallen)
    #expect(Self.look(&watch, 2_000, unsure: 10) == nil && !watch.hasFallen)
    #expect(Self.look(&watch, 400, unsure: 2) != nil && watch.hasFallen)
  }

  @Test("what no release is ever sure of is drift once and not again")
  func hopeless() {
    var watch = ConfidenceWatch()
    watch.follow(Self.release(0.9))
    #expect(Self.look(&watch, 2_000, unsure: 2) != nil)
    for _ in 0..<3 {
      watch.follow(Self.release(0.9))
      #expect(Self.look(&watch, 2_000, unsure: 2) == nil)
    }
  }

  @Test("a release that does not say of how much it was sure is not watched")
  func silent() {
    var watch = ConfidenceWatch()
    watch.follow(nil)
    #expect(Self.look(&watch, 2_000, unsure: 1) == nil)
  }
}
