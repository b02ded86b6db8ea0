import CKernels
import ModelFiles
import StudentModel
import Tokenization
import Topics

extension Trunk {
  /// The same trunk with the structure tokens of more functions, after all its ids.
  ///
  /// All weights and moments stay as they are. A new token's row is the mean of two: of what the rows of its kind (functions, or
  /// keys with the same opener) have become on average, and of the pieces of its name on average; where there are neither, the
  /// mean of all rows. Its moments are zero, or those of the row without a token whose place it takes.
  /// Where there is no new token (another description, say), student and optimizer are the same objects.
  /// Reference: Hewitt 2021, "Initializing new word embeddings for pretrained language models", for rows that are means.
  func grown(for functions: FunctionSet, recipe: TrainingRecipe) throws -> Trunk {
    let structure = CallCodec.structureTokens(for: functions)
    let hasAll = structure.allSatisfy { self.tokenizer.structure($0) != nil }
    let tokenizer = hasAll ? self.tokenizer : try self.tokenizer.adding(structure: structure)
    var sizes = student.configuration
    let encoder = try SampleEncoder(
      tokenizer: tokenizer, functions: functions,
      maximumSequence: min(recipe.maximumSequence, sizes.maximumPositions))
    guard !hasAll else {
      return Trunk(student: student, tokenizer: tokenizer, encoder: encoder, optimizer: optimizer)
    }
    sizes.vocabularySize = max(sizes.vocabularySize, (tokenizer.vocabularySize + 31) / 32 * 32)
    let rows = GrownRows(from: self.tokenizer, to: tokenizer, width: sizes.hiddenSize)
    let student = try self.student.grown(to: sizes, rows)
    student.follow(recipe)
    return Trunk(
      student: student, tokenizer: tokenizer, encoder: encoder,
      optimizer: optimizer.grown(from: self.student.layout, to: student.layout))
  }
}

/// The rows that a vocabulary of more tokens adds to an embedding or to an output matrix.
private struct GrownRows {
  /// A token and those that its row is made of.
  private struct Origin {
    let id: Int
    let peers: [Int]
    let pieces: [Int]
  }

  private let origins: [Origin]
  private let width: Int

  init(from old: Tokenizer, to new: Tokenizer, width: Int) {
    self.width = width
    func kind(_ id: Int, in tokenizer: Tokenizer) -> (name: String, opener: StructureTokens.Opener?)? {
      guard tokenizer.kind(of: Int32(id)) == .structure else { return nil }
      return StructureTokens.named(String(decoding: tokenizer.bytes(of: Int32(id)), as: UTF8.self))
    }
    let known = (0..<old.vocabularySize).compactMap { id in kind(id, in: old).map { (id: id, opener: $0.opener) } }
    origins = (old.vocabularySize..<new.vocabularySize).compactMap { id in
      guard let named = kind(id, in: new) else { return nil }
      let peers = known.filter { $0.opener == named.opener }.map(\.id)
      return Origin(id: id, peers: peers, pieces: EmbeddingRows.pieces(of: named.name, old).map(Int.init))
    }
  }

  /// Writes them; rows between the old matrix and the new one that no token has become the mean of all old ones, as little
  /// likely as the others.
  func write(into table: UnsafeMutableBufferPointer<Float>, oldRows: Int) {
    let count = table.count / width
    if oldRows < count { mean(Array(0..<oldRows), of: table, into: oldRows) }
    for id in oldRows..<count { mean([oldRows], of: table, into: id) }
    for origin in origins {
      let parts = [origin.peers, origin.pieces].filter { !$0.isEmpty }
      mean(parts.first ?? Array(0..<oldRows), of: table, into: origin.id)
      guard parts.count == 2 else { continue }
      let row = Array(table[origin.id * width..<(origin.id + 1) * width])
      mean(parts[1], of: table, into: origin.id)
      for channel in 0..<width {
        table[origin.id * width + channel] = (table[origin.id * width + channel] + row[channel]) / 2
      }
    }
  }

  private func mean(_ ids: [Int], of table: UnsafeMutableBufferPointer<Float>, into target: Int) {
    for channel in 0..<width {
      var sum: Float = 0
      for id in ids { sum += table[id * width + channel] }
      table[target * width + channel] = sum / Float(ids.count)
    }
  }
}

extension Student {
  /// The tensors with a row for each token.
  static let vocabularyTables = ["model.embed_tokens.weight", "lm_head.weight"]

  /// The same student with more rows in its embedding and output matrix.
  fileprivate func grown(to sizes: DecoderConfiguration, _ rows: GrownRows) throws -> Student {
    let old = ParameterLayout(configuration)
    if let adapters, let frozenWeights {
      let halves = grown(frozenWeights.bindMemory(to: UInt16.self), from: old, to: ParameterLayout(sizes), rows)
      return try halves.withUnsafeBytes { bytes in
        try Student(configuration: sizes, adapters: adapters, frozenWeights: bytes, parameters: Array(parameters))
      }
    }
    return try Student(configuration: sizes, precision: precision) { entry, weights in
      guard let before = old[entry.name] else { return }
      let table = UnsafeMutableBufferPointer(start: weights, count: entry.count)
      _ = table.update(fromContentsOf: parameters(before))
      if Self.vocabularyTables.contains(entry.name) { rows.write(into: table, oldRows: configuration.vocabularySize) }
    }
  }

  /// The frozen base of adapters with more rows; the new ones are rounded to bfloat16.
  private func grown(
    _ frozen: UnsafeBufferPointer<UInt16>, from old: ParameterLayout, to new: ParameterLayout, _ rows: GrownRows
  ) -> [UInt16] {
    var halves = [UInt16](repeating: 0, count: new.count)
    for entry in new.entries {
      guard let before = old[entry.name] else { continue }
      let source = UnsafeBufferPointer(rebasing: frozen[before.range])
      guard Self.vocabularyTables.contains(entry.name) else {
        halves.replaceSubrange(entry.offset..<entry.offset + before.count, with: source)
        continue
      }
      var table = [Float](repeating: 0, count: entry.count)
      retort_from_bfloat16(before.count, source.baseAddress, &table)
      table.withUnsafeMutableBufferPointer { rows.write(into: $0, oldRows: configuration.vocabularySize) }
      halves.withUnsafeMutableBufferPointer {
        retort_to_bfloat16(entry.count, table, UnsafeMutableBufferPointer(rebasing: $0[entry.range]).baseAddress)
      }
    }
    return halves
  }
}

extension AdamW {
  /// The optimizer in the same state for tensors of which some have more rows; those start from zero.
  fileprivate func grown(from old: ParameterLayout, to new: ParameterLayout) -> AdamW {
    let other = AdamW(layout: new, step: step, state: first.storage)
    for (source, target) in [(first, other.first), (second, other.second)] {
      let size = source.storage.bytesPerElement
      let (before, after) = (MomentBuffer.blocks(old), MomentBuffer.blocks(new))
      for (index, entry) in old.entries.enumerated() {
        let (from, to) = (entry.offset * size, new.entries[index].offset * size)
        target.bytes[to..<to + entry.count * size].copyBytes(source.bytes[from..<from + entry.count * size])
        guard source.storage == .int8 else { continue }
        let blocks = (index + 1 < before.starts.count ? before.starts[index + 1] : before.total) - before.starts[index]
        let (scales, place) = (
          MomentBuffer.scales(old, source.storage) + before.starts[index] * 4,
          MomentBuffer.scales(new, source.storage) + after.starts[index] * 4
        )
        target.bytes[place..<place + blocks * 4].copyBytes(source.bytes[scales..<scales + blocks * 4])
      }
    }
    return other
  }
}

extension Slice<UnsafeMutableRawBufferPointer> {
  /// Copies as many bytes over these.
  fileprivate func copyBytes(_ source: Slice<UnsafeMutableRawBufferPointer>) {
    UnsafeMutableRawBufferPointer(rebasing: self).copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
  }
}
