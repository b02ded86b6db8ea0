import Testing
import Topics

@Suite("W3C trace context")
struct TraceContextTests {
  private static let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  @Test("a traceparent of version 00, or of a later one with more behind it")
  func valid() {
    #expect(TraceContext.valid(Self.good) == Self.good)
    let later = "01" + Self.good.dropFirst(2) + "-what-the-future-holds"
    #expect(TraceContext.valid(later) == later)
  }

  @Test("everything else is none")
  func invalid() {
    for text in [
      "", "00", Self.good + "0", Self.good + "-more", Self.good.uppercased(), "ff" + Self.good.dropFirst(2),
      Self.good.replacingOccurrences("-", "_"), "00-" + String(repeating: "0", count: 32) + "-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-" + String(repeating: "0", count: 16) + "-01",
      "01" + Self.good.dropFirst(2) + "more", "0é" + Self.good.dropFirst(2),
      "01" + Self.good.dropFirst(2) + "-" + String(repeating: "a", count: 1_000),
    ] {
      #expect(TraceContext.valid(text) == nil, "\(text.prefix(80))")
    }
  }
}

extension String {
  fileprivate func replacingOccurrences(_ old: Character, _ new: Character) -> String {
    String(map { $0 == old ? new : $0 })
  }
}
