extension Tokenizer {
  /// A smaller tokenizer, and the old id of each of its ids, ascending.
  public struct Pruned: Sendable {
    /// The tokenizer; its digest is a new one.
    public let tokenizer: Tokenizer
    /// The old id of each id of ``tokenizer``.
    public let kept: [Int32]
  }

  /// The tokenizer without the tokens that `used` does not name.
  ///
  /// The 256 bytes, all controls and all structure tokens stay, what the post-processor puts around a text, and what a token that
  /// stays is merged from; merges whose result goes, go. So a text whose old ids all stay has the same ids as before, renumbered;
  /// any other text is split into smaller pieces. Ids keep their order. Of the others the first in order of merges stay as well,
  /// until the number of tokens is a multiple of `multiple`; rows without a token never stay.
  ///
  /// - Parameters:
  ///   - used: old ids; those that are no piece of text are ignored.
  ///   - multiple: 1 or more; default 32.
  /// - Throws: ``TokenizationError`` as reading a tokenizer does.
  public func pruned(keeping used: some Sequence<Int32>, multiple: Int = 32) throws(TokenizationError) -> Pruned {
    var stays = kinds.map { $0 == .control || $0 == .structure }
    for id in model.byteIDs + added.map(\.id) + pipeline.prefix + pipeline.suffix { stays[Int(id)] = true }
    for id in used where kind(of: id) == .piece { stays[Int(id)] = true }
    let pieces = pieces
    for id in pieces.indices where stays[id] { markParts(of: Int32(id), &stays) }
    var count = stays.count { $0 }
    for merge in model.merges where count % max(1, multiple) != 0 {
      // Only where this merge is how the token comes about: else it would be there without ever being given.
      let origin = model.origins[Int(merge.result)]
      guard !stays[Int(merge.result)], stays[Int(merge.left)], stays[Int(merge.right)],
        (origin.left, origin.right) == (merge.left, merge.right)
      else { continue }
      stays[Int(merge.result)] = true
      count += 1
    }
    return try renumbered(stays, pieces: pieces)
  }

  private func renumbered(_ stays: [Bool], pieces: [[UInt8]?]) throws(TokenizationError) -> Pruned {
    let kept = stays.indices.filter { stays[$0] }.map(Int32.init)
    var new = [Int32](repeating: -1, count: stays.count)
    for (id, old) in kept.enumerated() { new[Int(old)] = Int32(id) }
    var pipeline = pipeline
    pipeline.prefix = pipeline.prefix.map { new[Int($0)] }
    pipeline.suffix = pipeline.suffix.map { new[Int($0)] }
    let tokenizer = try Tokenizer(
      pieces: kept.filter { Int($0) < pieces.count }.map { pieces[Int($0)] },
      merges: model.merges.compactMap { merge in
        let ids = [merge.left, merge.right, merge.result].map { new[Int($0)] }
        return ids.contains(-1) ? nil : BytePairModel.Merge(left: ids[0], right: ids[1], result: ids[2])
      },
      added: added.map {
        Added(id: new[Int($0.id)], text: $0.text, kind: $0.kind, isPiece: $0.isPiece, options: $0.options)
      },
      pipeline: pipeline)
    return Pruned(tokenizer: tokenizer, kept: kept)
  }

  /// Marks all that a token is merged from; within a longer text it comes about by the same merges as by itself, because
  /// none that crossed its ends took place.
  private func markParts(of id: Int32, _ stays: inout [Bool]) {
    var stack = [id]
    while let id = stack.popLast() {
      let origin = model.origins[Int(id)]
      for part in [origin.left, origin.right] where part >= 0 && !stays[Int(part)] {
        stays[Int(part)] = true
        stack.append(part)
      }
    }
  }
}
