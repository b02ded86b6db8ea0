#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The clocks that processes on one machine agree on.
enum SystemTime {
  /// Milliseconds since 1970.
  static func wallMilliseconds() -> Int64 { milliseconds(CLOCK_REALTIME) }

  /// Milliseconds since the machine started, sleep included where the system counts it: leases must not care when
  /// somebody sets the wall clock.
  static func bootMilliseconds() -> Int64 {
    #if os(Linux)
      milliseconds(CLOCK_BOOTTIME)
    #else
      milliseconds(CLOCK_MONOTONIC)
    #endif
  }

  /// Names this start of the machine, so that leases of an earlier one count as lapsed; empty where it has no name.
  static let bootName: String = {
    guard let file = fopen("/proc/sys/kernel/random/boot_id", "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count).prefix { $0 > 0x20 }, as: UTF8.self)
  }()

  private static func milliseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

extension Duration {
  /// Whole milliseconds, clamped to what fits.
  var milliseconds: Int64 {
    let parts = components
    let (whole, overflow) = parts.seconds.multipliedReportingOverflow(by: 1000)
    return overflow ? (parts.seconds < 0 ? .min : .max / 2) : whole &+ parts.attoseconds / 1_000_000_000_000_000
  }
}
