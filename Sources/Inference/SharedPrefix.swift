/// The keys and values of what the last prompts had in common at their beginning, such as a system prompt, so that it is computed
/// once. One owner.
///
/// The second prompt that begins like the one before makes the beginning shared; it is then read once into a cache of its own, and
/// copied from there. A sequence's bits do not depend on where its tokens were read, so answers are the same with and without.
final class SharedPrefix {
  /// Shorter beginnings are not worth keeping.
  static let minimumTokens = 16

  private let cache: KeyValueCache
  private var tokens: [Int32] = []
  private var last: [Int32] = []

  /// An empty prefix for the model of `pass`.
  init(_ pass: ForwardPass) { cache = KeyValueCache(pass.model.configuration) }

  /// Copies what is known of the beginning of `prompt` into `target`, which is empty and has room; at least the last token is left.
  ///
  /// - Returns: how many tokens were copied.
  func fill(_ target: KeyValueCache, for prompt: [Int32], _ pass: ForwardPass) throws(InferenceError) -> Int {
    let usable = prompt.dropLast()
    var known = Self.common(usable, tokens[...])
    let seen = Self.common(usable, last[...])
    last = prompt
    if seen >= Self.minimumTokens, seen > known {
      cache.reset(capacity: seen)
      tokens = []
      try pass.run([ForwardPass.Segment(cache: cache, tokens: Array(prompt[..<seen]), output: .none)]) { _ in }
      tokens = Array(prompt[..<seen])
      known = seen
    }
    guard known >= Self.minimumTokens else { return 0 }
    target.copy(known, from: cache)
    return known
  }

  private static func common(_ a: ArraySlice<Int32>, _ b: ArraySlice<Int32>) -> Int {
    zip(a, b).prefix { $0 == $1 }.count
  }
}
