import CKernels
import ModelFiles

/// Runs tokens of several sequences through the decoder as one packed pass, each against its own cache.
///
/// A sequence's logits have the same bits whatever else is in the pass and however its tokens are split over passes: every product is
/// a chain over its own row, and attention looks at its own sequence alone. With fp32 weights they are also the bits of the
/// training forward pass. Not thread-safe; one owner.
///
/// Reference: Qwen Team 2024, "Qwen2 Technical Report", arXiv 2407.10671, section 2.2.
final class ForwardPass {
  /// Which logits of a segment are wanted.
  enum Output {
    /// Those after the last token.
    case last
    /// Those after the last token, of these tokens; the others are undefined.
    case tokens([Int32])
    /// Those after every token.
    case all
    /// None: only the cache is filled.
    case none

    /// What a stretch of tokens has to give that others follow.
    var beforeLast: Output { if case .all = self { .all } else { .none } }
  }

  /// Tokens to append to one sequence.
  struct Segment {
    let cache: KeyValueCache
    let tokens: [Int32]
    let output: Output
  }

  /// The most rows of one pass; longer work is split.
  private static let maximumRows = 1_024

  let model: DecoderModel
  private let sizes: Sizes
  private let buffers = Buffers()
  private var tablePositions = 0

  struct Sizes {
    let C, H, KV, D, F, V: Int
    /// Width of all query heads, of all key heads, and of queries, keys and values side by side.
    var HD: Int { H * D }
    var KVD: Int { KV * D }
    var QKV: Int { HD + 2 * KVD }
    let epsilon: Float
    var attentionScale: Float { 1 / Float(D).squareRoot() }
  }

  private struct Buffers {
    let x = Scratch<Float>(), norm = Scratch<Float>(), qkv = Scratch<Float>(), attention = Scratch<Float>()
    let branch = Scratch<Float>(), gateUp = Scratch<Float>(), hidden = Scratch<Float>(), tail = Scratch<Float>()
    let cosine = Scratch<Float>(), sine = Scratch<Float>(), attentionScratch = Scratch<Float>(),
      products = Scratch<UInt8>()
    let logits = Scratch<Float>()
  }

  /// A pass over `model`.
  init(_ model: DecoderModel) {
    self.model = model
    let c = model.configuration
    sizes = Sizes(
      C: c.hiddenSize, H: c.headCount, KV: c.keyValueHeadCount, D: c.headSize, F: c.feedForwardSize,
      V: c.vocabularySize,
      epsilon: Float(c.normEpsilon))
  }

  /// Appends the segments' tokens to their caches and computes the wanted logits: [rows, V], segments in order.
  ///
  /// An empty cache without room is given some; others must have been given enough.
  ///
  /// - Parameter read: Is handed the logits, which are valid only while it runs.
  /// - Throws: ``InferenceError`` `bad_argument` for a token outside the vocabulary, `too_long` above `maximumPositions` or
  ///   where a cache has no room.
  func run<Result>(
    _ segments: [Segment], _ read: (UnsafeMutablePointer<Float>) -> Result
  ) throws(InferenceError) -> Result {
    var wanted = 0
    for segment in segments {
      try check(segment)
      switch segment.output {
      case .last, .tokens: wanted += 1
      case .all: wanted += segment.tokens.count
      case .none: break
      }
    }
    let logits = buffers.logits.reserve(wanted * sizes.V)
    var written = 0
    var part: [Segment] = []
    var rows = 0
    for segment in segments {
      var rest = segment.tokens[...]
      while !rest.isEmpty {
        let taken = rest.prefix(Self.maximumRows - rows)
        rest = rest.dropFirst(taken.count)
        let output = rest.isEmpty ? segment.output : segment.output.beforeLast
        part.append(Segment(cache: segment.cache, tokens: Array(taken), output: output))
        rows += taken.count
        guard rows == Self.maximumRows else { continue }
        written += runPart(part, rows: rows, into: logits + written * sizes.V)
        part.removeAll(keepingCapacity: true)
        rows = 0
      }
    }
    if rows > 0 { written += runPart(part, rows: rows, into: logits + written * sizes.V) }
    return withExtendedLifetime(self) { read(logits) }
  }

  private func check(_ segment: Segment) throws(InferenceError) {
    let (cache, count) = (segment.cache, segment.tokens.count)
    guard segment.tokens.allSatisfy({ $0 >= 0 && Int($0) < sizes.V }), count > 0 else {
      throw InferenceError(
        .badArgument, context: "tokens", expected: "at least one, each in 0..<\(sizes.V)",
        found: "\(count) tokens, not all of them",
        advice: "encode with the model's own tokenizer")
    }
    if cache.length == 0, !cache.hasRoom(for: count) {
      cache.reset(capacity: min(count, model.configuration.maximumPositions))
    }
    guard cache.length + count <= model.configuration.maximumPositions, cache.hasRoom(for: count) else {
      throw InferenceError(
        .tooLong, context: "tokens", expected: "at most \(model.configuration.maximumPositions) in a sequence",
        found: "\(cache.length + count)", advice: "shorten the text")
    }
  }

  // MARK: One part

  /// What one packed pass works on.
  private struct Part {
    let segments: [Segment]
    let rows: Int
    let positions: [Int32]
    /// Rows whose logits are wanted.
    let wanted: [Int32]
    /// The tokens whose logits are wanted of each of these rows; nil: all.
    let tokens: [[Int32]?]
    /// The first row of each segment.
    let starts: [Int]
    let products: UnsafeMutablePointer<UInt8>
    /// Threads that the scratch of the attention is made for.
    let threads: Int32
  }

  /// Runs one part; returns how many rows of logits were written.
  private func runPart(_ segments: [Segment], rows: Int, into logits: UnsafeMutablePointer<Float>) -> Int {
    let part = prepare(segments, rows: rows)
    let (C, weights) = (sizes.C, model.weights)
    var x = buffers.x.reserve(rows * C)
    weights.embedding.copyRows(segments.flatMap(\.tokens), into: x)
    var count = rows
    for (number, layer) in weights.layers.enumerated() {
      attend(part, number, layer, x: x)
      var heads = buffers.attention.reserve(rows * sizes.HD)
      if number == weights.layers.count - 1, part.wanted.count < rows {
        (x, heads) = tail(part, x: x, heads: heads)
        count = part.wanted.count
      }
      let branch = buffers.branch.reserve(rows * C)
      multiply(layer.output, heads, count: count, into: branch, outputStride: C, part.products)
      retort_add(count * C, x, branch, x)
      feedForward(layer, x: x, count: count, products: part.products)
    }
    for segment in segments { segment.cache.grow(by: segment.tokens.count) }
    guard count > 0 else { return 0 }
    let norm = buffers.norm.reserve(rows * C)
    retort_rmsnorm_forward(count, C, x, weights.finalNorm.pointer, sizes.epsilon, norm, nil)
    head(part, norm: norm, into: logits)
    return count
  }

  /// The wanted logits of the wanted rows: all rows in one product where more than one needs (nearly) all.
  private func head(_ part: Part, norm: UnsafePointer<Float>, into logits: UnsafeMutablePointer<Float>) {
    let (head, V) = (model.weights.head, sizes.V)
    let panels = part.tokens.map { tokens -> [Int32]? in
      guard let tokens, tokens.count < V / 4 else { return nil }
      return Set(tokens.lazy.filter { Int($0) < V }.map { $0 / Int32(WeightMatrix.panel) }).sorted()
    }
    guard panels.count(where: { $0 == nil }) < min(2, panels.count) else {
      head.multiply(norm, count: panels.count, into: logits, outputStride: V, scratch: part.products)
      return
    }
    for (row, panels) in panels.enumerated() {
      let (input, output) = (norm + row * sizes.C, logits + row * V)
      if let panels {
        head.multiply(input, panels: panels, into: output, scratch: part.products)
      } else {
        head.multiply(input, count: 1, into: output, outputStride: V, scratch: part.products)
      }
    }
  }

  /// The outputs of all `layers` side by side.
  private func multiply(
    _ layers: [ModelWeights.Linear], _ input: UnsafePointer<Float>, count: Int,
    into output: UnsafeMutablePointer<Float>,
    outputStride: Int, _ scratch: UnsafeMutablePointer<UInt8>
  ) {
    var column = 0
    for layer in layers {
      layer.weight.multiply(
        input, count: count, into: output + column, outputStride: outputStride, bias: layer.bias?.pointer,
        scratch: scratch)
      column += layer.weight.rows
    }
  }

  private func prepare(_ segments: [Segment], rows: Int) -> Part {
    var positions: [Int32] = []
    var wanted: [Int32] = []
    var tokens: [[Int32]?] = []
    var starts: [Int] = []
    var longest = 0
    positions.reserveCapacity(rows)
    for segment in segments {
      let (start, count, length) = (positions.count, segment.tokens.count, segment.cache.length)
      starts.append(start)
      positions.append(contentsOf: Int32(length)..<Int32(length + count))
      switch segment.output {
      case .last: wanted.append(Int32(start + count - 1))
      case .tokens(let some):
        wanted.append(Int32(start + count - 1))
        tokens.append(some)
      case .all: wanted.append(contentsOf: Int32(start)..<Int32(start + count))
      case .none: break
      }
      tokens += Array(repeating: nil, count: wanted.count - tokens.count)
      longest = max(longest, length + count)
    }
    fillTables(longest)
    let threads = retort_pool_threads()
    _ = buffers.attentionScratch.reserve(retort_attention_scratch(longest, sizes.D, threads))
    let products = model.weights.matrices.map { $0.scratch(count: rows) }.max() ?? 0
    return Part(
      segments: segments, rows: rows, positions: positions, wanted: wanted, tokens: tokens, starts: starts,
      products: buffers.products.reserve(products), threads: threads)
  }

  /// Rotary tables for at least `positions` positions.
  private func fillTables(_ positions: Int) {
    guard positions > tablePositions else { return }
    tablePositions = min(
      max(2 * tablePositions, (positions + 63) / 64 * 64), max(positions, model.configuration.maximumPositions))
    let half = sizes.D / 2
    retort_rope_table(
      0, tablePositions, sizes.D, model.configuration.ropeTheta, model.configuration.ropeDivisors,
      buffers.cosine.reserve(tablePositions * half),
      buffers.sine.reserve(tablePositions * half))
  }

  /// Norm, projections, rotation, cache and attention of one layer, into `buffers.attention`.
  private func attend(_ part: Part, _ number: Int, _ layer: ModelWeights.Layer, x: UnsafeMutablePointer<Float>) {
    let (s, rows) = (sizes, part.rows)
    let norm = buffers.norm.reserve(rows * s.C)
    let qkv = buffers.qkv.reserve(rows * s.QKV)
    retort_rmsnorm_forward(rows, s.C, x, layer.inputNorm.pointer, s.epsilon, norm, nil)
    multiply(layer.attention, norm, count: rows, into: qkv, outputStride: s.QKV, part.products)
    retort_rope(
      rows, s.H + s.KV, s.D, qkv, s.QKV, part.positions, buffers.cosine.reserve(0), buffers.sine.reserve(0), 0)
    let output = buffers.attention.reserve(rows * s.HD)
    var sequences: [retort_sequence] = []
    sequences.reserveCapacity(part.segments.count)
    for (segment, start) in zip(part.segments, part.starts) {
      let (cache, count) = (segment.cache, segment.tokens.count)
      cache.write(qkv + start * s.QKV + s.HD, stride: s.QKV, count: count, layer: number)
      let sequence = cache.sequence(
        qkv + start * s.QKV, queryStride: s.QKV, count: count, into: output + start * s.HD, outputStride: s.HD,
        layer: number)
      if let sequence { sequences.append(sequence) }
    }
    retort_attention_forward(
      sequences, sequences.count, s.H, s.KV, s.D, s.attentionScale, buffers.attentionScratch.reserve(0),
      part.threads)
  }

  /// Keeps only the wanted rows: after the last attention no row needs another.
  private func tail(
    _ part: Part, x: UnsafeMutablePointer<Float>, heads: UnsafeMutablePointer<Float>
  ) -> (x: UnsafeMutablePointer<Float>, heads: UnsafeMutablePointer<Float>) {
    let count = part.wanted.count
    let space = buffers.tail.reserve(part.rows * (sizes.C + sizes.HD))
    let keptHeads = space + part.rows * sizes.C
    retort_gather_rows(count, sizes.C, x, part.wanted, space)
    retort_gather_rows(count, sizes.HD, heads, part.wanted, keptHeads)
    return (space, keptHeads)
  }

  /// x += down(silu(gate(norm x)) · up(norm x)) for `count` rows.
  private func feedForward(
    _ layer: ModelWeights.Layer, x: UnsafeMutablePointer<Float>, count: Int, products: UnsafeMutablePointer<UInt8>
  ) {
    let s = sizes
    let norm = buffers.norm.reserve(count * s.C)
    let gateUp = buffers.gateUp.reserve(count * 2 * s.F)
    let hidden = buffers.hidden.reserve(count * s.F)
    let branch = buffers.branch.reserve(count * s.C)
    retort_rmsnorm_forward(count, s.C, x, layer.middleNorm.pointer, s.epsilon, norm, nil)
    multiply(layer.gateUp, norm, count: count, into: gateUp, outputStride: 2 * s.F, products)
    retort_swiglu_forward(count, s.F, gateUp, hidden)
    multiply(layer.down, hidden, count: count, into: branch, outputStride: s.C, products)
    retort_add(count * s.C, x, branch, x)
  }
}
