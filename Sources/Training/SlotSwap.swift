package import Topics

/// Exchanges values of a sample for others seen in the same place, in the request and in the call alike.
///
/// A string value that stands in the request as a piece bounded by words is exchanged with a probability; the new one is
/// drawn from the pool of its function and key. Where the result would contradict itself (a value that stood in the
/// request no longer does) or the function's schema, the sample stays as it is. The more often a slot's next value is likely
/// to be one never seen, the more often one is invented: it can only be copied, not known by heart. With many samples that matters
/// less, and values become worth knowing: it happens the less often the more samples there are. All choices are a function of the seed, the sample and the count of
/// its presentations.
///
/// Reference: the idea is slot-value replacement, e.g. Louvan and Magnini 2020, "Simple is better! Lightweight data
/// augmentation for low resource slot filling and intent classification", arXiv 2009.03695; half of our draws follow the
/// values' frequency, half are uniform over distinct values.
package struct SlotSwap: Sendable {
  private let probability: Double
  private let uniformShare: Double
  private let inventedShare: Double
  private let functions: FunctionSet
  private let random: CounterRandom

  /// - Parameter learned: the number of samples that are presented.
  package init(recipe: TrainingRecipe, functions: FunctionSet, domain: CounterRandom.Domain, learned: Int) {
    probability = recipe.swapProbability
    uniformShare = recipe.swapUniformShare
    inventedShare = recipe.swapInventedShare * min(1, Double(recipe.swapInventedUntil) / Double(max(1, learned)))
    self.functions = functions
    random = CounterRandom(seed: UInt64(recipe.seed), domain)
  }

  /// A piece of one message: a value's place in the request.
  private struct Span {
    let leaf: Int
    let message: Int
    let range: Range<Int>
  }

  /// The sample as it is presented for the `presentation`-th time.
  package func apply(
    _ sample: TrainingSample, presentation: UInt64, pool: ValuePool
  ) -> (messages: [ChatMessage], call: Call) {
    let unchanged = (sample.messages, sample.call)
    guard probability > 0 else { return unchanged }
    let leaves = CallLeaf.leaves(of: sample.call)
    let texts = sample.messages.map { $0.role == .user ? Array($0.content.utf8) : [] }
    let spans = Self.align(leaves, texts)
    var replacements: [(span: Span, text: String)] = []
    for span in spans {
      guard let text = replacement(for: leaves[span.leaf], index: span.leaf, sample, presentation, pool) else {
        continue
      }
      replacements.append((span, text))
    }
    guard !replacements.isEmpty else { return unchanged }
    guard let changed = exchange(replacements, of: sample, leaves: leaves, texts: texts) else { return unchanged }
    // Values that were seen are valid; an invented one need not be.
    return inventedShare == 0 || functions.violations(of: changed.call).isEmpty ? changed : unchanged
  }

  private func replacement(
    for leaf: CallLeaf, index: Int, _ sample: TrainingSample, _ presentation: UInt64, _ pool: ValuePool
  ) -> String? {
    let name = sample.digest.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let place = UInt64(index) * 4
    guard random.unit(name, presentation, place) < probability else { return nil }
    let text = pool.draw(
      leaf.slot, choice: random.unit(name, presentation, place + 1),
      position: random.bits(name, presentation, place + 2), uniformShare: uniformShare)
    let isInvented = random.unit(name, presentation, place + 3) < inventedShare * pool.unseenShare(leaf.slot)
    guard isInvented, let text else { return text == leaf.text ? nil : text }
    return pool.invent(like: text) { random.bits(name, presentation, UInt64(index + 1) << 32 | $0) }
  }

  private func exchange(
    _ replacements: [(span: Span, text: String)], of sample: TrainingSample, leaves: [CallLeaf], texts: [[UInt8]]
  ) -> (messages: [ChatMessage], call: Call)? {
    var messages = sample.messages
    var arguments = JSON.object(sample.call.arguments)
    var values = leaves.map(\.text)
    for index in messages.indices {
      var bytes: [UInt8] = []
      var end = 0
      for (span, text) in replacements where span.message == index {
        bytes += texts[index][end..<span.range.lowerBound]
        bytes += text.utf8
        end = span.range.upperBound
      }
      guard end > 0 else { continue }
      bytes += texts[index][end...]
      messages[index].content = String(decoding: bytes, as: UTF8.self)
    }
    for (span, text) in replacements {
      values[span.leaf] = text
      arguments = Self.setting(arguments, leaves[span.leaf].path[...], to: text)
    }
    guard Self.agrees(leaves, values, before: texts, after: messages) else { return nil }
    return (messages, Call(name: sample.call.name, arguments: arguments.objectValue ?? sample.call.arguments))
  }

  /// Whether every value that stood in the request before still does.
  private static func agrees(
    _ leaves: [CallLeaf], _ values: [String], before: [[UInt8]], after messages: [ChatMessage]
  ) -> Bool {
    let after = messages.map { $0.role == .user ? Array($0.content.utf8) : [] }
    return zip(leaves, values).allSatisfy { leaf, value in
      let old = Array(leaf.text.utf8)
      let new = Array(value.utf8)
      return !before.contains { find(old, in: $0, from: 0) != nil }
        || after.contains { find(new, in: $0, from: 0) != nil }
    }
  }

  private static func setting(_ value: JSON, _ path: ArraySlice<CallLeaf.Step>, to text: String) -> JSON {
    guard let step = path.first else { return .string(text) }
    switch (step, value) {
    case (.key(let key), .object(var object)):
      object[key] = object[key].map { setting($0, path.dropFirst(), to: text) }
      return .object(object)
    case (.index(let index), .array(var elements)) where elements.indices.contains(index):
      elements[index] = setting(elements[index], path.dropFirst(), to: text)
      return .array(elements)
    default: return value
    }
  }

  /// A place of its own for each string value that has one, in the order of the request; values earlier in the request
  /// choose first, of two that begin together the longer one.
  private static func align(_ leaves: [CallLeaf], _ texts: [[UInt8]]) -> [Span] {
    var candidates: [Span] = []
    for (index, leaf) in leaves.enumerated() where leaf.isString && !leaf.text.isEmpty {
      let value = Array(leaf.text.utf8)
      for (message, text) in texts.enumerated() {
        guard let start = findWord(value, in: text, from: 0) else { continue }
        candidates.append(Span(leaf: index, message: message, range: start..<start + value.count))
        break
      }
    }
    candidates.sort {
      ($0.message, $0.range.lowerBound, -$0.range.count, $0.leaf)
        < ($1.message, $1.range.lowerBound, -$1.range.count, $1.leaf)
    }
    var spans: [Span] = []
    for candidate in candidates {
      let text = texts[candidate.message]
      let value = Array(text[candidate.range])
      var start: Int? = candidate.range.lowerBound
      while let found = start {
        let range = found..<found + value.count
        guard spans.contains(where: { $0.message == candidate.message && $0.range.overlaps(range) }) else { break }
        start = findWord(value, in: text, from: found + 1)
      }
      guard let start else { continue }
      spans.append(Span(leaf: candidate.leaf, message: candidate.message, range: start..<start + value.count))
    }
    return spans.sorted { ($0.message, $0.range.lowerBound) < ($1.message, $1.range.lowerBound) }
  }

  /// The first place at or after `start` where `value` stands bounded by words.
  private static func findWord(_ value: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    var position = start
    while let found = find(value, in: text, from: position) {
      if isBoundary(text, found) && isBoundary(text, found + value.count) { return found }
      position = found + 1
    }
    return nil
  }

  private static func find(_ value: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard !value.isEmpty, text.count >= value.count else { return nil }
    var position = start
    while position + value.count <= text.count {
      if text[position] == value[0] && text[position..<position + value.count].elementsEqual(value) { return position }
      position += 1
    }
    return nil
  }

  /// Whether a word cannot run across this position: one of its sides is an end or no letter or digit.
  private static func isBoundary(_ text: [UInt8], _ position: Int) -> Bool {
    guard position > 0, position < text.count else { return true }
    var lead = position - 1
    while lead > 0 && text[lead] & 0xC0 == 0x80 { lead -= 1 }
    return !isWord(text[lead]) || !isWord(text[position])
  }

  /// Whether a character with this first byte is part of words that spaces separate.
  ///
  /// Three-byte characters and longer count as boundaries: scripts without spaces live there, and punctuation.
  private static func isWord(_ lead: UInt8) -> Bool {
    switch lead {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0xC3...0xDF: true
    default: false
    }
  }
}
