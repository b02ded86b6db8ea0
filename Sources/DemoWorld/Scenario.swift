/// How the demo's traffic changes in mid-stream.
public enum Scenario: String, Sendable, Hashable, CaseIterable {
  /// Not at all.
  case steady
  /// People come to put things in other words: before the change every other template is used, after it the others.
  case drift
  /// One function, `get_weather`, is asked for only after the change.
  case newFunction = "new-function"

  /// The function that comes later in ``newFunction``.
  public static let newcomer = "get_weather"

  private static let all: [[Templates.Template]] = {
    let names = Templates.all.reduce(into: [String]()) { if !$0.contains($1.function) { $0.append($1.function) } }
    return names.map { name in Templates.all.filter { $0.function == name } }
  }()

  /// The templates of each function, before or after the change.
  func templates(hasChanged: Bool) -> [[Templates.Template]] {
    switch self {
    case .steady: Self.all
    case .drift:
      Self.all.map { own in own.indices.filter { ($0 % 2 == 1) == hasChanged }.map { own[$0] } }
    case .newFunction: hasChanged ? Self.all : Self.all.filter { $0.first?.function != Self.newcomer }
    }
  }
}
