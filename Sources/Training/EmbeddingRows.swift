import CKernels
import StudentModel
import Tokenization

/// Where the embeddings of a base's lessons and of the students that start from it come from: shared rows that are always the
/// same, and rows made of others.
package struct EmbeddingRows: Sendable {
  private let width: Int
  private let deviation: Double
  private let seed: UInt64

  /// The rows of a recipe.
  package init(_ recipe: TrainingRecipe) {
    width = recipe.hiddenSize
    deviation = recipe.embeddingDeviation
    seed = CounterRandom(seed: UInt64(recipe.seed), .sharedRows).bits(0)
  }

  /// Writes a shared row over the row `id`.
  func write(_ shared: SharedRow, over id: Int, of table: UnsafeMutableBufferPointer<Float>) {
    _ = row(id, of: table).update(fromContentsOf: values(shared))
  }

  /// Writes over the row `id` what a shared row and other rows are together, distributed as a row of its own:
  /// (shared + Σ parts / √n) / √2.
  func write(_ shared: SharedRow, with parts: [Int32], over id: Int, of table: UnsafeMutableBufferPointer<Float>) {
    guard !parts.isEmpty else { return write(shared, over: id, of: table) }
    let common = values(shared)
    let target = row(id, of: table)
    let half = Float(0.5).squareRoot()
    let scale = half / Float(parts.count).squareRoot()
    for channel in 0..<width {
      var sum: Float = 0
      for part in parts { sum += table[Int(part) * width + channel] }
      target[channel] = common[channel] * half + sum * scale
    }
  }

  /// Writes the rows of all tokens of generated lessons, those of pieces anew for each step.
  func write(_ calls: InventedCalls, step: Int, into table: UnsafeMutableBufferPointer<Float>) {
    guard let start = table.baseAddress else { return }
    let drawn = CounterRandom(seed: seed, .inventedRows).bits(UInt64(step))
    retort_fill_normal(table.count, drawn, 0, deviation, start)
    for token in SharedRow.tokens { write(token, over: token.number, of: table) }
    for piece in 0..<InventedCalls.fusedCount {
      write(.space, with: [InventedCalls.piece(piece)], over: InventedCalls.firstFused + piece, of: table)
    }
    for (index, function) in calls.functions.enumerated() {
      write(
        .function, with: function.name.map(InventedCalls.piece), over: InventedCalls.firstFunction + index, of: table)
    }
    for (index, key) in calls.keys.enumerated() {
      write(.key(key.opener), with: key.name.map(InventedCalls.piece), over: InventedCalls.firstKey + index, of: table)
    }
  }

  /// Gives a fresh student's embedding the rows that a base knows: controls, closers and the space as they are in lessons, pieces
  /// with a space in front like those without, functions and keys like the pieces of their names.
  func write(_ tokenizer: Tokenizer, into table: UnsafeMutableBufferPointer<Float>) {
    for (index, text) in ControlTokens.texts.enumerated() {
      if let id = tokenizer.control(text) { write(.control(index), over: Int(id), of: table) }
    }
    for (index, text) in StructureTokens.closers.enumerated() {
      if let id = tokenizer.structure(text) { write(.closer(index), over: Int(id), of: table) }
    }
    for id in 0..<tokenizer.vocabularySize {
      let bytes = tokenizer.bytes(of: Int32(id))
      switch tokenizer.kind(of: Int32(id)) {
      case .piece where bytes == [0x20]: write(.space, over: id, of: table)
      case .piece where bytes.first == 0x20:
        let rest = tokenizer.encode(bytes: bytes.dropFirst())
        if rest.count == 1 { write(.space, with: rest, over: id, of: table) }
      case .structure:
        guard let named = StructureTokens.named(String(decoding: bytes, as: UTF8.self)) else { continue }
        let shared = named.opener.map(SharedRow.key) ?? .function
        write(shared, with: Self.pieces(of: named.name, tokenizer), over: id, of: table)
      default: break
      }
    }
  }

  /// The pieces of a name's words, as they stand in a request: of `playlist_owner` those of "playlist" and of "owner".
  static func pieces(of name: String, _ tokenizer: Tokenizer) -> [Int32] {
    name.split { !$0.isLetter && !$0.isNumber }.flatMap { tokenizer.encode(String($0)) }
  }

  /// A shared row's numbers.
  package func values(_ shared: SharedRow) -> [Float] {
    [Float](unsafeUninitializedCapacity: width) { buffer, count in
      if let start = buffer.baseAddress { retort_fill_normal(width, seed, UInt64(shared.number), deviation, start) }
      count = width
    }
  }

  private func row(_ id: Int, of table: UnsafeMutableBufferPointer<Float>) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(rebasing: table[id * width..<(id + 1) * width])
  }
}
