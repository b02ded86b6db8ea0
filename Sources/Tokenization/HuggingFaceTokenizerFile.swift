import Topics

/// The parts of a `tokenizer.json`, each checked as it is read.
struct HuggingFaceTokenizerFile {
  let json: JSON

  /// What the file says besides the vocabulary; refuses whatever would split or change text in a way that is not known here.
  ///
  /// - Parameter count: how many ids there are.
  func pipeline(count: Int) throws(TokenizationError) -> TokenizerPipeline {
    try checkModel()
    try require(json["decoder"]?["type"] == "ByteLevel", "decoder", "ByteLevel", json["decoder"])
    var pipeline = TokenizerPipeline()
    let normalizers = steps(json["normalizer"], "normalizers")
    for normalizer in normalizers { try require(normalizer["type"] == "NFC", "normalizer", "none or NFC", normalizer) }
    pipeline.normalizesToNFC = !normalizers.isEmpty
    pipeline.splits = try splits()
    pipeline.ignoresMerges = json["model"]?["ignore_merges"]?.boolValue ?? false
    for processor in steps(json["post_processor"], "processors") {
      if processor["type"] == "ByteLevel" { continue }
      try require(
        processor["type"] == "TemplateProcessing", "post_processor", "none, ByteLevel or TemplateProcessing", processor)
      let (prefix, suffix) = try template(processor, count: count)
      pipeline.prefix = prefix + pipeline.prefix
      pipeline.suffix += suffix
    }
    try require(
      pipeline.prefix.count + pipeline.suffix.count <= 64, "post_processor", "at most 64 special tokens around a text",
      json["post_processor"])
    return pipeline
  }

  private func checkModel() throws(TokenizationError) {
    let model = json["model"] ?? .null
    try require(model["type"]?.stringValue ?? "BPE" == "BPE", "model.type", "\"BPE\"", model["type"])
    let dropout = model["dropout"] ?? .null
    try require(dropout.isNull || dropout.doubleValue == 0, "model.dropout", "null", dropout)
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      try require((model[key]?.stringValue ?? "").isEmpty, "model.\(key)", "none", model[key])
    }
    try require(
      model["byte_fallback"]?.boolValue != true, "model.byte_fallback", "false, as every byte has a token of its own",
      model["byte_fallback"])
  }

  private func splits() throws(TokenizationError) -> [WordSplit] {
    let steps = steps(json["pre_tokenizer"], "pretokenizers")
    guard let last = steps.last, last["type"] == "ByteLevel" else {
      throw unsupported("pre_tokenizer", "ByteLevel, alone or at the end of a Sequence", json["pre_tokenizer"])
    }
    try require(steps.count <= 8, "pre_tokenizer", "at most 8 steps", json["pre_tokenizer"])
    try require(last["add_prefix_space"]?.boolValue != true, "pre_tokenizer.add_prefix_space", "false", last)
    var splits: [WordSplit] = []
    for step in steps.dropLast() {
      if step["type"] == "Digits" {
        splits.append(.digits(individual: step["individual_digits"]?.boolValue ?? false))
        continue
      }
      let known = [WordSplit.qwen2, .llama3, .gpt2].first { $0.pattern == step["pattern"]?["Regex"]?.stringValue }
      guard step["type"] == "Split", step["behavior"] == "Isolated", step["invert"]?.boolValue != true, let known
      else {
        throw unsupported(
          "pre_tokenizer", "Digits, or an isolating Split by the regular expression of GPT-2, Llama 3 or Qwen2", step)
      }
      splits.append(known)
    }
    if last["use_regex"]?.boolValue ?? true { splits.append(.gpt2) }
    return splits
  }

  /// The ids before and after the text in a TemplateProcessing's template for one text.
  private func template(
    _ processor: JSON, count: Int
  ) throws(TokenizationError) -> (prefix: [Int32], suffix: [Int32]) {
    var (prefix, suffix): ([Int32], [Int32]) = ([], [])
    var isAfterText = false
    for part in processor["single"]?.arrayValue ?? [] {
      if part["Sequence"]?["id"] == "A", !isAfterText {
        isAfterText = true
        continue
      }
      guard let name = part["SpecialToken"]?["id"]?.stringValue,
        let ids = processor["special_tokens"]?[name]?["ids"]?.arrayValue
      else {
        throw unsupported("post_processor.single", "special tokens with their ids around the sequence A", part)
      }
      for id in ids {
        guard let id = id.integerValue, (0..<Int64(count)).contains(id) else {
          throw TokenizationError.malformed("post_processor, \(name)", "ids in 0…\(count - 1)", id.text)
        }
        if isAfterText { suffix.append(Int32(id)) } else { prefix.append(Int32(id)) }
      }
    }
    try require(isAfterText, "post_processor.single", "the sequence A", processor)
    return (prefix, suffix)
  }

  /// The members of a Sequence, those of Sequences in it too; the step itself where it is one; none where it is null.
  private func steps(_ step: JSON?, _ members: String, depth: Int = 0) -> [JSON] {
    guard let step, !step.isNull else { return [] }
    guard step["type"] == "Sequence", depth < 8 else { return [step] }
    return (step[members]?.arrayValue ?? []).flatMap { steps($0, members, depth: depth + 1) }
  }

  private func require(_ holds: Bool, _ key: String, _ expected: String, _ found: JSON?) throws(TokenizationError) {
    guard holds else { throw unsupported(key, expected, found) }
  }

  private func unsupported(_ key: String, _ expected: String, _ found: JSON?) -> TokenizationError {
    TokenizationError(
      .unsupported, context: "tokenizer.json, \(key)", expected: expected, found: found?.text ?? "nothing",
      advice: "use a tokenizer of the GPT-2, Llama 3 or Qwen2 kind")
  }

  /// The pieces by id, and the ids by bytes.
  func vocabulary() throws(TokenizationError) -> (pieces: [[UInt8]?], ids: [[UInt8]: Int32]) {
    guard let entries = json["model"]?["vocab"]?.objectValue, !entries.isEmpty, entries.count <= Tokenizer.maximumTokens
    else {
      throw TokenizationError.malformed(
        "tokenizer.json, model.vocab", "1…\(Tokenizer.maximumTokens) tokens", "something else")
    }
    var pieces = [[UInt8]?](repeating: nil, count: entries.count)
    var ids: [[UInt8]: Int32] = [:]
    ids.reserveCapacity(entries.count)
    for (text, value) in entries {
      guard let id = value.integerValue, id >= 0, id < entries.count, pieces[Int(id)] == nil else {
        throw TokenizationError.malformed("token \(text)", "an id of its own in 0…\(entries.count - 1)", value.text)
      }
      guard let bytes = ByteAlphabet.bytes(text), !bytes.isEmpty else {
        throw TokenizationError.malformed("token \(id)", "text in GPT-2's byte alphabet", text)
      }
      pieces[Int(id)] = bytes
      ids[bytes] = Int32(id)
    }
    return (pieces, ids)
  }

  func merges(_ ids: [[UInt8]: Int32]) throws(TokenizationError) -> [BytePairModel.Merge] {
    guard let entries = json["model"]?["merges"]?.arrayValue, entries.count <= CompactTable.maximumCount else {
      throw TokenizationError.malformed(
        "tokenizer.json, model.merges", "an array of at most \(CompactTable.maximumCount)", "something else")
    }
    var reader = MergeReader(ids: ids)
    for entry in entries {
      if let pair = entry.arrayValue, pair.count == 2, let left = pair[0].stringValue, let right = pair[1].stringValue {
        try reader.read(left, right)
      } else {
        try reader.read(entry.stringValue ?? "")
      }
    }
    return reader.merges
  }

  func added(_ pieces: [[UInt8]?]) throws(TokenizationError) -> [Tokenizer.Added] {
    guard let entries = json["added_tokens"]?.arrayValue, entries.count <= Tokenizer.maximumTokens else {
      throw TokenizationError.malformed("tokenizer.json, added_tokens", "an array", "something else")
    }
    var added: [Tokenizer.Added] = []
    var seen: Set<[UInt8]> = []
    var next = pieces.count
    for entry in entries {
      guard let id = entry["id"]?.integerValue, let text = entry["content"]?.stringValue, !text.isEmpty,
        seen.insert(Array(text.utf8)).inserted
      else { throw TokenizationError.malformed("added token", "an id and a text of its own", entry.text) }
      let isPiece = id >= 0 && id < pieces.count && pieces[Int(id)] == Array(text.utf8)
      guard isPiece || id == next else {
        throw TokenizationError.malformed("added token \(text)", "the id \(next), without gaps", "\(id)")
      }
      if !isPiece { next += 1 }
      func flag(_ key: String) -> Bool { entry[key]?.boolValue ?? false }
      added.append(
        Tokenizer.Added(
          id: Int32(id), text: text, kind: flag("special") ? .control : .structure, isPiece: isPiece,
          options: .init(
            isSingleWord: flag("single_word"), stripsLeft: flag("lstrip"), stripsRight: flag("rstrip"),
            isNormalized: flag("normalized"))))
    }
    return added.sorted { $0.id < $1.id }
  }
}

/// Reads merges as texts, checking that both sides and the result are tokens.
struct MergeReader {
  let ids: [[UInt8]: Int32]
  private(set) var merges: [BytePairModel.Merge] = []
  private var seen: Set<Int64> = []

  init(ids: [[UInt8]: Int32]) { self.ids = ids }

  /// A pair with one space between its two tokens.
  mutating func read(_ text: String) throws(TokenizationError) {
    let sides = text.split(separator: " ", omittingEmptySubsequences: false)
    guard sides.count == 2 else { throw TokenizationError.malformed("merge \(merges.count)", "two tokens", text) }
    try read(String(sides[0]), String(sides[1]))
  }

  mutating func read(_ left: String, _ right: String) throws(TokenizationError) {
    guard let first = ByteAlphabet.bytes(left), let second = ByteAlphabet.bytes(right), let leftID = ids[first],
      let rightID = ids[second], let result = ids[first + second],
      seen.insert(Int64(leftID) << 32 | Int64(rightID)).inserted
    else {
      throw TokenizationError.malformed(
        "merge \(merges.count)", "a new pair of tokens whose union is one", "\(left) \(right)")
    }
    merges.append(BytePairModel.Merge(left: leftID, right: rightID, result: result))
  }
}
