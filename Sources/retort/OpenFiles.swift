#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How many files and connections this process may have open.
enum OpenFiles {
  /// What any command can need: the log, its locks, event loops.
  private static let least: rlim_t = 64

  /// Takes as many as the system grants: programs start with few because some old calls know no more.
  ///
  /// - Throws: ``ConfigurationError`` where they do not suffice; what then fails would be some library in the midst of its work.
  static func raiseLimit() throws {
    #if canImport(Glibc)
      let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
      let resource = RLIMIT_NOFILE
    #endif
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return }
    limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 65_536))
    setrlimit(resource, &limit)
    guard limit.rlim_cur >= least else {
      throw ConfigurationError(
        "open files: expected leave to have \(least), found \(limit.rlim_cur); raise it with `ulimit -n`")
    }
  }
}
