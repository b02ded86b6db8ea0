/// The values of JSON Schema's `format` that are asserted, not merely noted.
enum StringFormat: String, Sendable, CaseIterable {
  case dateTime = "date-time"
  case date
  case time
  case duration
  case email
  case hostname
  case ipv4
  case ipv6
  case uuid

  func accepts(_ text: String) -> Bool {
    guard text.utf8.count <= 1_024 else { return false }
    switch self {
    case .dateTime: return RFC3339.milliseconds(of: text) != nil
    case .date:
      var scanner = TimeScanner(text)
      return scanner.date() != nil && scanner.isAtEnd
    case .time:
      var scanner = TimeScanner(text)
      return scanner.time() != nil && scanner.isAtEnd
    case .duration: return Self.isDuration(Array(text.utf8))
    case .email: return Self.isEmail(text)
    case .hostname: return Self.isHostname(text)
    case .ipv4: return Self.isIPv4(text)
    case .ipv6: return Self.isIPv6(text)
    case .uuid: return Self.isUUID(Array(text.utf8))
    }
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
    default: false
    }
  }

  private static func isUUID(_ bytes: [UInt8]) -> Bool {
    bytes.count == 36
      && bytes.indices.allSatisfy { index in
        [8, 13, 18, 23].contains(index) ? bytes[index] == 0x2D : isHexadecimal(bytes[index])
      }
  }

  private static func isEmail(_ text: String) -> Bool {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...64).contains(parts[0].utf8.count) else { return false }
    let local = parts[0]
    guard !local.hasPrefix("."), !local.hasSuffix("."), !local.contains("..") else { return false }
    let marks = Set("!#$%&'*+-/=?^_`{|}~.".utf8)
    let isLocal = local.utf8.allSatisfy { $0 >= 0x80 || isAlphanumeric($0) || marks.contains($0) }
    return isLocal && isHostname(String(parts[1]))
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: false
    }
  }

  private static func isHostname(_ text: String) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
        && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
    }
  }

  private static func isIPv4(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
          && (part == "0" || !part.hasPrefix("0")) && (Int(part) ?? 256) < 256
      }
  }

  private static func isIPv6(_ text: String) -> Bool {
    var text = text
    var groupsWanted = 8
    if text.contains("."), let colon = text.lastIndex(of: ":") {
      guard isIPv4(String(text[text.index(after: colon)...])) else { return false }
      // The embedded IPv4 address stands for two groups.
      text = text[...colon] + "0:0"
    }
    let halves = text.split(separator: "::", omittingEmptySubsequences: false)
    guard halves.count <= 2, !text.isEmpty else { return false }
    var groups = 0
    for half in halves where !half.isEmpty {
      for group in half.split(separator: ":", omittingEmptySubsequences: false) {
        guard (1...4).contains(group.utf8.count), group.utf8.allSatisfy(isHexadecimal) else { return false }
        groups += 1
      }
    }
    if halves.count == 2 {
      groupsWanted = 7
      return groups <= groupsWanted
    }
    return groups == groupsWanted
  }

  /// ISO 8601 durations as RFC 3339 appendix A has them: `P1Y2M3DT4H5M6S`, `P3W`.
  private static func isDuration(_ bytes: [UInt8]) -> Bool {
    guard bytes.first == 0x50, bytes.count > 1 else { return false }
    var rest = bytes.dropFirst()
    if rest.last == 0x57 { return rest.count > 1 && rest.dropLast().allSatisfy { (0x30...0x39).contains($0) } }
    func take(_ units: [UInt8]) -> Int? {
      var taken = 0
      var next = 0
      while let first = rest.first, (0x30...0x39).contains(first) {
        let number = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest.dropFirst(number.count)
        guard let unit = rest.first, let place = units[next...].firstIndex(of: unit) else { return nil }
        next = place + 1
        taken += 1
        rest = rest.dropFirst()
      }
      return taken
    }
    guard let dates = take(Array("YMD".utf8)) else { return false }
    guard rest.first == 0x54 else { return dates > 0 && rest.isEmpty }
    rest = rest.dropFirst()
    guard let times = take(Array("HMS".utf8)) else { return false }
    return times > 0 && rest.isEmpty
  }
}
