import Topics

/// The parts of a `tokenizer.json`, each checked as it is read.
struct HuggingFaceTokenizerFile {
  let json: JSON

  /// Refuses whatever would split or change text otherwise than this module does.
  ///
  /// - Returns: whether the file declares NFC normalization.
  func checkPipeline() throws(TokenizationError) -> Bool {
    let model = json["model"] ?? .null
    try require(model["type"]?.stringValue ?? "BPE" == "BPE", "model.type", "\"BPE\"", model["type"])
    for key in ["dropout", "unk_token"] { try require(model[key]?.isNull ?? true, "model.\(key)", "null", model[key]) }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      try require((model[key]?.stringValue ?? "").isEmpty, "model.\(key)", "none", model[key])
    }
    for key in ["byte_fallback", "ignore_merges", "fuse_unk"] {
      try require(model[key]?.boolValue != true, "model.\(key)", "false", model[key])
    }
    try checkSplitting()
    let decoder = json["decoder"]
    try require(decoder?["type"] == "ByteLevel", "decoder", "ByteLevel", decoder)
    if let processor = json["post_processor"], !processor.isNull {
      try require(processor["type"] == "ByteLevel", "post_processor", "none or ByteLevel", processor)
    }
    let normalizers = steps(json["normalizer"], "normalizers")
    for normalizer in normalizers { try require(normalizer["type"] == "NFC", "normalizer", "none or NFC", normalizer) }
    return !normalizers.isEmpty
  }

  private func checkSplitting() throws(TokenizationError) {
    let steps = steps(json["pre_tokenizer"], "pretokenizers")
    try require(steps.count == 2, "pre_tokenizer", "Split, then ByteLevel", json["pre_tokenizer"])
    let (split, bytes) = (steps[0], steps[1])
    try require(
      split["type"] == "Split" && split["pattern"]?["Regex"]?.stringValue == PreTokenizer.pattern
        && split["behavior"] == "Isolated" && split["invert"]?.boolValue != true,
      "pre_tokenizer", "Split by Qwen2's regular expression", split)
    try require(
      bytes["type"] == "ByteLevel" && bytes["use_regex"] == false && bytes["add_prefix_space"]?.boolValue != true,
      "pre_tokenizer", "ByteLevel without a regular expression and prefix", bytes)
  }

  /// The members of a Sequence, the step itself where it is one, none where it is null.
  private func steps(_ step: JSON?, _ members: String) -> [JSON] {
    guard let step, !step.isNull else { return [] }
    return step["type"] == "Sequence" ? step[members]?.arrayValue ?? [] : [step]
  }

  private func require(_ holds: Bool, _ key: String, _ expected: String, _ found: JSON?) throws(TokenizationError) {
    guard holds else {
      throw TokenizationError(
        .unsupported, context: "tokenizer.json, \(key)", expected: expected, found: found?.text ?? "nothing",
        advice: "use a tokenizer of the Qwen2 family")
    }
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

  func merges(_ ids: [[UInt8]: Int32]) throws(TokenizationError) -> [PairTable.Merge] {
    guard let entries = json["model"]?["merges"]?.arrayValue else {
      throw TokenizationError.malformed("tokenizer.json, model.merges", "an array", "something else")
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
      for key in ["lstrip", "rstrip", "single_word"] {
        try require(entry[key]?.boolValue != true, "added_tokens.\(key)", "false", entry)
      }
      let kind: Tokenizer.TokenKind = entry["special"]?.boolValue == true ? .control : .structure
      added.append(Tokenizer.Added(id: Int32(id), text: text, kind: kind, isPiece: isPiece))
    }
    return added.sorted { $0.id < $1.id }
  }
}

/// Reads merges as texts, checking that both sides and the result are tokens.
struct MergeReader {
  let ids: [[UInt8]: Int32]
  private(set) var merges: [PairTable.Merge] = []
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
    merges.append(PairTable.Merge(left: leftID, right: rightID, result: result))
  }
}
