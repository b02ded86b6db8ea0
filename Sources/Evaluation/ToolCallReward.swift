public import Topics

/// How good sampled calls are, as a number that a policy can climb: −1 for what is no call, or names a function or an argument that
/// does not exist, else 0…1 by how much of the expected calls is there.
///
/// The score is a soft Jaccard index: calls are matched one to one, best pairs first, and Σ similarity / (predicted +
/// expected − Σ similarity). Two calls of one function are as similar as their arguments are on average over all keys that
/// either has; of different functions, 0. Strings are as similar as 1 − edit distance / the longer one's length, in Unicode
/// scalars; lists and objects element by element; other values are equal or not.
///
/// Reference: "STAR", arXiv 2602.03022 (the reward's shape: −1, and a soft Jaccard with string similarity on arguments);
/// Levenshtein 1966.
public enum ToolCallReward {
  /// What an answer that is no call, or calls what does not exist, is worth.
  public static let invalid = -1.0

  /// The reward of an answer; −1 where it is no call (`nil`), or names a function or an argument that does not exist.
  public static func reward(_ predicted: [Call]?, expected: [Call], functions: FunctionSet) -> Double {
    guard let predicted, !predicted.isEmpty, predicted.allSatisfy({ isKnown($0, functions) }) else { return invalid }
    return softJaccard(predicted, expected)
  }

  private static func isKnown(_ call: Call, _ functions: FunctionSet) -> Bool {
    guard let function = functions[call.name] else { return false }
    return call.arguments.allSatisfy { exists($0.key, in: function.parametersJSON, of: function.parameters) }
  }

  /// Whether there is an argument of that name: the schema, through references and alternatives, declares or requires it, or says
  /// that there may be others.
  private static func exists(_ name: String, in schema: JSON, of document: JSONSchema, depth: Int = 0) -> Bool {
    if schema["properties"]?[name] != nil { return true }
    if schema["required"]?.arrayValue?.contains(.string(name)) == true { return true }
    if let others = schema["additionalProperties"], others != false { return true }
    guard depth < 16 else { return false }
    let targets = schema["$ref"] == nil ? [] : [document.resolved(schema)]
    return (targets + (schema["anyOf"]?.arrayValue ?? [])).contains {
      exists(name, in: $0, of: document, depth: depth + 1)
    }
  }

  static func softJaccard(_ predicted: [Call], _ expected: [Call]) -> Double {
    let pairs = predicted.indices.flatMap { p in
      expected.indices.map { (p, $0, similarity(predicted[p], expected[$0])) }
    }
    var (taken, given): (Set<Int>, Set<Int>) = ([], [])
    var sum = 0.0
    for (p, e, value) in pairs.sorted(by: { ($1.2, $0.0, $0.1) < ($0.2, $1.0, $1.1) })
    where !taken.contains(p) && !given.contains(e) {
      taken.insert(p)
      given.insert(e)
      sum += value
    }
    return sum / max(1e-30, Double(predicted.count + expected.count) - sum)
  }

  /// How similar two calls are, 0…1.
  public static func similarity(_ a: Call, _ b: Call) -> Double {
    guard a.name == b.name else { return 0 }
    return similarity(a.arguments, b.arguments)
  }

  private static func similarity(_ a: JSONObject, _ b: JSONObject) -> Double {
    let keys = Set(a.keys).union(b.keys).sorted()
    guard !keys.isEmpty else { return 1 }
    let sum = keys.reduce(0.0) { sum, key in
      guard let x = a[key], let y = b[key] else { return sum }
      return sum + similarity(x, y)
    }
    return sum / Double(keys.count)
  }

  private static func similarity(_ a: JSON, _ b: JSON) -> Double {
    switch (a, b) {
    case (.string(let x), .string(let y)): return similarity(x, y)
    case (.object(let x), .object(let y)): return similarity(x, y)
    case (.array(let x), .array(let y)):
      guard !x.isEmpty || !y.isEmpty else { return 1 }
      return zip(x, y).reduce(0.0) { $0 + similarity($1.0, $1.1) } / Double(max(x.count, y.count))
    default: return a == b ? 1 : 0
    }
  }

  /// 1 − edit distance / the longer text's length; 1 for two empty ones. Texts beyond 1,024 scalars are equal or not.
  static func similarity(_ a: String, _ b: String) -> Double {
    // By bytes, as calls are compared: two spellings of one text are not the same value.
    if a.utf8.elementsEqual(b.utf8) { return 1 }
    let (x, y) = (Array(a.unicodeScalars), Array(b.unicodeScalars))
    guard max(x.count, y.count) <= 1_024 else { return 0 }
    var row = Array(0...y.count)
    for i in x.indices {
      var diagonal = row[0]
      row[0] = i + 1
      for j in y.indices {
        let change = diagonal + (x[i] == y[j] ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(change, row[j] + 1, diagonal + 1)
      }
    }
    return 1 - Double(row[y.count]) / Double(max(x.count, y.count))
  }
}
