import Evaluation
import Topics

/// How two models compare, as people and programs read it.
struct ComparisonReport {
  let first: ModelReference.Loaded
  let second: ModelReference.Loaded
  /// What they were asked, such as "held-out samples".
  let questions: String
  let comparison: ModelComparison

  var json: JSON {
    guard case .object(var object) = comparison.json else { return .null }
    for (name, loaded) in [("a", first), ("b", second)] {
      guard case .object(let metrics)? = object[name] else { continue }
      var described = loaded.json
      for (key, value) in metrics { described[key] = value }
      object[name] = .object(described)
    }
    object["questions"] = .string(questions)
    return .object(object)
  }

  var text: String {
    var table = Table(["", first.title, second.title, "difference (95 %)"])
    func add(_ name: String, _ one: Interval, _ two: Interval, _ difference: String) {
      table.add([name, Figures.percent(one.estimate), Figures.percent(two.estimate), difference])
    }
    let (a, b) = (comparison.first, comparison.second)
    add("exact match", a.exactMatch, b.exactMatch, Self.points(comparison.exactMatch.difference))
    add(
      "function accuracy", a.functionAccuracy, b.functionAccuracy, Self.points(comparison.functionAccuracy.difference))
    add("argument F1", a.argumentF1, b.argumentF1, "")
    table.add(["invalid answers", "\(a.invalid)", "\(b.invalid)", ""])
    var slices = Table(["exact match by function", "n", first.title, second.title, "difference (95 %)"])
    for slice in comparison.slices {
      slices.add([
        slice.name, "\(slice.count)", Figures.percent(slice.first.estimate), Figures.percent(slice.second.estimate),
        Self.points(slice.exactMatch.difference),
      ])
    }
    let pairs = comparison.exactMatch.pairs
    return """
      \(a.count) \(questions), the same for both
      \(table.text)
      both right \(pairs.both), only \(first.title) \(pairs.onlySecond), only \(second.title) \(pairs.onlyFirst), \
      neither \(pairs.neither); McNemar's exact p \(Self.probability(comparison.exactMatch.exactPValue))

      \(slices.text)
      """
  }

  /// None is 0.
  private static func probability(_ value: Double) -> String { value < 0.001 ? "below 0.001" : Figures.short(value) }

  private static func points(_ difference: Interval) -> String {
    func signed(_ value: Double) -> String {
      let text = Figures.fixed(value * 100, 1)
      // What rounds to nothing has no sign there.
      return text.hasPrefix("-") ? "−" + text.dropFirst() : "+" + text
    }
    return "\(signed(difference.estimate)) points (\(signed(difference.lower)) to \(signed(difference.upper)))"
  }
}
