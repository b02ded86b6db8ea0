import Metrics
import Serving
import Testing

@Suite("Prometheus text")
struct RegistryTests {
  @Test("names and labels are made legal, and values add up")
  func text() {
    let registry = PrometheusRegistry()
    registry.describe("a.count", "How\nmany.")
    let counter = Counter(label: "a.count", dimensions: [("who", "a\"b\\c\nd")], factory: registry)
    counter.increment(by: 2)
    Counter(label: "a.count", dimensions: [("who", "a\"b\\c\nd")], factory: registry).increment()
    let timer = Timer(label: "took_seconds", factory: registry)
    timer.recordMilliseconds(30)
    let text = registry.text
    #expect(text.contains("# HELP a_count How\\nmany.\n# TYPE a_count counter\n"))
    #expect(text.contains(#"a_count{who="a\"b\\c\nd"} 3"#))
    #expect(text.contains("took_seconds_bucket{le=\"0.02\"} 0\n"))
    #expect(text.contains("took_seconds_bucket{le=\"0.05\"} 1\n"))
    #expect(text.contains("took_seconds_sum 0.03\n"))
  }

  @Test("labels without end end in one overflow series")
  func cardinality() {
    let registry = PrometheusRegistry()
    let counters = (0..<5_000).map { index in
      Counter(label: "hits", dimensions: [("path", "\(index)")], factory: registry)
    }
    for counter in counters { counter.increment() }
    #expect(registry.text.split(separator: "\n").count == 4_098)
    #expect(registry.text.contains(#"hits{overflow="true"} 904"#))
    // One of those who share it goes: the others' numbers stay.
    counters[4_999].destroy()
    counters[4_998].increment()
    #expect(registry.text.contains(#"hits{overflow="true"} 905"#))
    counters[0].destroy()
    #expect(registry.text.split(separator: "\n").count == 4_097)
  }
}
