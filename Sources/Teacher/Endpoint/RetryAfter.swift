/// Reads the header `Retry-After`: seconds, or an HTTP date in its preferred form.
///
/// Reference: RFC 9110, sections 10.2.3 and 5.6.7. The two obsolete date forms are not read.
package enum RetryAfter {
  /// The longest wait that is believed.
  package static let maximum = Duration.seconds(24 * 3_600)

  /// The wait, or nil when the text is neither form. Dates in the past give zero.
  package static func parse(_ text: String, wallMilliseconds now: Int64) -> Duration? {
    let trimmed = text.trimmingASCIISpace
    if !trimmed.isEmpty, trimmed.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      return min(maximum, .seconds(Int64(trimmed) ?? .max / 2))
    }
    guard let date = httpDate(trimmed) else { return nil }
    return min(maximum, max(.zero, .milliseconds(date * 1_000 - now)))
  }

  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
  private static func httpDate(_ text: String) -> Int64? {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 6, words[0].hasSuffix(","), words[5] == "GMT", words[1].utf8.count == 2,
      let day = Int64(words[1]), (1...31).contains(day),
      let month = months.firstIndex(of: String(words[2])),
      words[3].utf8.count == 4, let year = Int64(words[3]), year >= 1_970
    else { return nil }
    let clock = words[4].split(separator: ":", omittingEmptySubsequences: false).map { Int64($0) }
    guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2],
      (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    return days(year: year, month: Int64(month + 1), day: day) * 86_400 + hour * 3_600 + minute * 60 + second
  }

  /// Days since 1970-01-01 in the Gregorian calendar.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}

extension String {
  fileprivate var trimmingASCIISpace: String {
    var view = Substring(self)
    while view.first == " " || view.first == "\t" { view.removeFirst() }
    while view.last == " " || view.last == "\t" { view.removeLast() }
    return String(view)
  }
}
