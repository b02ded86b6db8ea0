import Topics

/// The commented `retort.yaml` that `retort init` writes: every key with its default, most of them commented out.
enum ConfigurationTemplate {
  /// Keys that are written out rather than as a comment, because everyone wants to see them.
  private static let shown: Set<String> = [
    "model", "log.url", "task.functions", "task.instructions", "task.trusted_producers",
  ]

  static func text() -> String {
    var lines = [
      "# The configuration of one retort deployment: one task, one student lineage.",
      "# Commented keys show their defaults. Every key can be overridden by an environment variable",
      "# (log.url by RETORT_LOG_URL) and by --set key=value. Check with: retort config lint",
    ]
    var open: [String] = []
    for setting in Settings.all {
      let parts = setting.key.split(separator: ".").map(String.init)
      let sections = Array(parts.dropLast())
      let common = zip(open, sections).prefix { $0 == $1 }.count
      for depth in common..<max(common, sections.count) {
        if depth == 0 { lines.append("") }
        lines.append(indent(depth) + sections[depth] + ":")
      }
      open = sections
      lines.append(indent(sections.count) + "# " + setting.help)
      let mark = shown.contains(setting.key) ? "" : "# "
      lines.append(indent(sections.count) + mark + (parts.last ?? "") + ": " + scalar(setting.standard))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

  /// JSON is YAML; plain words go without quotes.
  private static func scalar(_ value: JSON?) -> String {
    guard let value else { return "" }
    if let text = value.stringValue, !text.isEmpty,
      text.utf8.allSatisfy({ ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x5F || $0 == 0x2E }),
      text.utf8.first.map({ $0 >= 0x61 }) == true
    {
      return text
    }
    return value.text
  }
}
