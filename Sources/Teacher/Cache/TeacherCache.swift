#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
public import Topics

/// The teacher's cache from outside: forgetting what it knows of a request.
public enum TeacherCache {
  /// Deletes every cached answer about these conversations; other processes may use the file meanwhile.
  ///
  /// - Parameter path: the file; where there is none, nothing is cached.
  /// - Returns: how many answers there were.
  /// - Throws: `TeacherError` with `cache_unusable`.
  public static func forget(_ conversations: [[ChatMessage]], path: String) throws(TeacherError) -> Int {
    guard FileManager.default.fileExists(atPath: path) else { return 0 }
    let cache = try AnswerCache(path: path)
    defer { cache.close() }
    do {
      return try cache.forget(Set(conversations.map(AnswerCache.request)))
    } catch {
      throw TeacherError(
        .cacheUnusable, subject: path, expected: "answers that can be deleted", found: String(describing: error))
    }
  }
}
