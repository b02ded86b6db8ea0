/// The tokens that may come next.
package struct AllowedTokens: Sendable {
  /// Their ids, each once, in no particular order; empty when the answer is complete.
  package let ids: [Int32]
  /// The only one that makes sense: there is no other, or all others are beginnings of this structure token behind which nothing
  /// but it is legal; −1 otherwise.
  package let forced: Int32
}
