/// Moments as RFC 3339 text and as milliseconds since 1970-01-01T00:00:00Z, without a calendar library.
public enum RFC3339 {
  /// The moment that `text` names, or nil when it is not an RFC 3339 date and time. A leap second is the next second.
  public static func milliseconds(of text: String) -> Int64? {
    var scanner = TimeScanner(text)
    guard let days = scanner.date(), scanner.skip(0x54, 0x74) || scanner.skip(0x20, 0x20), let time = scanner.time(),
      scanner.isAtEnd
    else { return nil }
    return Int64(days) * 86_400_000 + time
  }

  /// The moment in UTC as `2026-11-23T06:41:22.123Z`; the fraction is left out when it is zero. Years 0000 to 9999; what
  /// is beyond is clamped.
  public static func text(milliseconds: Int64) -> String {
    let clamped = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
    let days = floorDivide(clamped, 86_400_000)
    var rest = clamped - days * 86_400_000
    let (year, month, day) = civil(days: Int(days))
    let fraction = rest % 1_000
    rest /= 1_000
    let clock = "\(padded(rest / 3_600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))"
    let date = "\(padded(Int64(year), 4))-\(padded(Int64(month), 2))-\(padded(Int64(day), 2))"
    return fraction == 0 ? "\(date)T\(clock)Z" : "\(date)T\(clock).\(padded(fraction, 3))Z"
  }

  private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
    a >= 0 ? a / b : -((-a + b - 1) / b)
  }

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }

  /// Days since 1970-01-01 of a date in the Gregorian calendar.
  ///
  /// Reference: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2014), days_from_civil.
  static func days(year: Int, month: Int, day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The date of a number of days since 1970-01-01.
  ///
  /// Reference: as `days(year:month:day:)`, civil_from_days.
  static func civil(days: Int) -> (year: Int, month: Int, day: Int) {
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted + (shifted < 10 ? 3 : -9)
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }
}

/// Reads the parts of a date and time from ASCII.
struct TimeScanner {
  private let bytes: [UInt8]
  private var position = 0

  /// Longer texts, such as fractions without end, are none.
  init(_ text: String) { bytes = text.utf8.count <= 80 ? Array(text.utf8) : [] }

  var isAtEnd: Bool { position == bytes.count }

  mutating func skip(_ first: UInt8, _ second: UInt8) -> Bool {
    guard position < bytes.count, bytes[position] == first || bytes[position] == second else { return false }
    position += 1
    return true
  }

  mutating func digits(_ count: Int) -> Int? {
    guard position + count <= bytes.count else { return nil }
    var value = 0
    for byte in bytes[position..<position + count] {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    position += count
    return value
  }

  /// `YYYY-MM-DD` as days since 1970.
  mutating func date() -> Int? {
    guard let year = digits(4), skip(0x2D, 0x2D), let month = digits(2), skip(0x2D, 0x2D), let day = digits(2),
      (1...12).contains(month)
    else { return nil }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard (1...lengths[month - 1]).contains(day) else { return nil }
    return RFC3339.days(year: year, month: month, day: day)
  }

  /// `hh:mm:ss[.fraction](Z|±hh:mm)` as milliseconds since midnight UTC.
  mutating func time() -> Int64? {
    guard let hour = digits(2), skip(0x3A, 0x3A), let minute = digits(2), skip(0x3A, 0x3A), let second = digits(2),
      hour < 24, minute < 60, second <= 60
    else { return nil }
    var fraction: Int64 = 0
    if skip(0x2E, 0x2E) {
      var place: Int64 = 100
      guard let first = digits(1) else { return nil }
      fraction = Int64(first) * place
      while let next = digits(1) {
        place /= 10
        fraction += Int64(next) * place
      }
    }
    guard let offset = zone() else { return nil }
    return Int64(hour * 3_600 + minute * 60 + second - offset * 60) * 1_000 + fraction
  }

  /// The zone's offset in minutes east.
  private mutating func zone() -> Int? {
    if skip(0x5A, 0x7A) { return 0 }
    let sign: Int
    if skip(0x2B, 0x2B) { sign = 1 } else if skip(0x2D, 0x2D) { sign = -1 } else { return nil }
    guard let hours = digits(2), skip(0x3A, 0x3A), let minutes = digits(2), hours < 24, minutes < 60 else { return nil }
    return sign * (hours * 60 + minutes)
  }
}
