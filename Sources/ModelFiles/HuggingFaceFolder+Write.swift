public import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension HuggingFaceFolder {
  /// What a folder says about its tokenizer.
  public struct TokenizerFiles: Sendable {
    /// The bytes of `tokenizer.json`.
    public var json: [UInt8]
    /// The chat template, in Jinja; `nil` for a tokenizer without one.
    public var chatTemplate: String?
    /// The id and the text of the token that ends an answer.
    public var endOfText: (id: Int, text: String)
    /// The id and the text of the token that pads.
    public var padding: (id: Int, text: String)
    /// More ids that end an answer; none by default.
    public var otherEnds: [Int] = []
    /// The id and the text of the token that begins a text; nil, the default, for none.
    public var beginning: (id: Int, text: String)?
    /// Whether `tokenizer.json` puts that token before every text; default false.
    public var addsBeginning = false

    /// Makes the description; padding defaults to the end's token.
    public init(
      json: [UInt8], chatTemplate: String?, endOfText: (id: Int, text: String), padding: (id: Int, text: String)? = nil
    ) {
      self.json = json
      self.chatTemplate = chatTemplate
      self.endOfText = endOfText
      self.padding = padding ?? endOfText
    }
  }

  /// Writes a whole model as a new folder that `transformers` loads; weights are F32.
  ///
  /// The folder is written beside `path` under a hidden name, made durable, and renamed, so that `path` is either complete
  /// or not there. The same arguments give the same bytes.
  ///
  /// - Parameters:
  ///   - path: must not exist.
  ///   - parameters: in canonical order, as `configuration.parameters` lists them.
  ///   - settings: what `retort.json` says; nil for a folder without.
  /// - Returns: the weights' file; the other files are small and follow from the arguments.
  /// - Throws: ``ModelFileError`` `invalid_argument`, `invalid_configuration`, `shape_mismatch`, `io`.
  @discardableResult
  public static func write(
    _ path: String, configuration: DecoderConfiguration,
    parameters: [(name: String, shape: [Int], values: UnsafeBufferPointer<Float>)], tokenizer: TokenizerFiles,
    settings: JSON? = nil
  ) throws(ModelFileError) -> WrittenFile {
    try configuration.validate()
    try check(parameters, configuration)
    // With a slash at its end a folder has no name to rename to.
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    guard access(path, F_OK) != 0 else {
      throw ModelFileError(
        .invalidArgument, context: path, expected: "a path that does not exist", found: "something there",
        advice: "choose another path, or remove what is there")
    }
    let (parent, name) = splitPath(path)
    let hidden = "\(parent)/.\(name).\(getpid())-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    guard mkdir(hidden + ".partial", 0o755) == 0 else { throw systemError("create it", path) }
    do throws(ModelFileError) {
      let weights = try fill(hidden + ".partial", configuration, parameters, tokenizer, settings)
      guard rename(hidden + ".partial", path) == 0 else { throw systemError("put it in its place", path) }
      try syncFolder(parent)
      return WrittenFile(path: "\(path)/model.safetensors", bytes: weights.bytes, digest: weights.digest)
    } catch {
      removeFolder(hidden + ".partial")
      throw error
    }
  }

  private static func check(
    _ parameters: [(name: String, shape: [Int], values: UnsafeBufferPointer<Float>)],
    _ configuration: DecoderConfiguration
  ) throws(ModelFileError) {
    let expected = configuration.parameters
    guard parameters.count == expected.count else {
      throw ModelFileError(
        .shapeMismatch, context: "parameters", expected: "\(expected.count) tensors", found: "\(parameters.count)",
        advice: "pass all parameters in canonical order")
    }
    for (given, wanted) in zip(parameters, expected) where given.name != wanted.name || given.shape != wanted.shape {
      throw ModelFileError(
        .shapeMismatch, context: "parameters", expected: "\(wanted.name) \(wanted.shape)",
        found: "\(given.name) \(given.shape)", advice: "pass all parameters in canonical order")
    }
  }

  private static func fill(
    _ folder: String, _ configuration: DecoderConfiguration,
    _ parameters: [(name: String, shape: [Int], values: UnsafeBufferPointer<Float>)], _ tokenizer: TokenizerFiles,
    _ settings: JSON?
  ) throws(ModelFileError) -> WrittenFile {
    var writer = SafetensorsWriter()
    writer.metadata["format"] = "pt"
    for parameter in parameters { try writer.add(parameter.name, shape: parameter.shape, parameter.values) }
    let weights = try writer.write(to: "\(folder)/model.safetensors")
    let (end, padding) = (tokenizer.endOfText, tokenizer.padding)
    let configurationJSON = try configuration.huggingFace(
      endOfText: end.id, padding: padding.id, beginning: tokenizer.beginning?.id)
    var tokenizerConfiguration: JSONObject = [
      "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": .integer(Int64(configuration.maximumPositions)),
      "add_bos_token": .bool(tokenizer.addsBeginning), "add_prefix_space": false, "clean_up_tokenization_spaces": false,
      "bos_token": tokenizer.beginning.map { .string($0.text) } ?? .null, "eos_token": .string(end.text),
      "pad_token": .string(padding.text), "unk_token": nil,
    ]
    tokenizerConfiguration["chat_template"] = tokenizer.chatTemplate.map { .string($0) }
    let ends = ([end.id] + tokenizer.otherEnds).map { JSON.integer(Int64($0)) }
    var generation: JSONObject = [
      "do_sample": false, "eos_token_id": ends.count == 1 ? ends[0] : .array(ends),
      "pad_token_id": .integer(Int64(padding.id)),
    ]
    if let beginning = tokenizer.beginning { generation["bos_token_id"] = .integer(Int64(beginning.id)) }
    var files: [(String, [UInt8])] = [
      ("tokenizer.json", tokenizer.json), ("tokenizer_config.json", JSON.object(tokenizerConfiguration).bytes),
      ("generation_config.json", JSON.object(generation).bytes), ("config.json", configurationJSON.bytes),
    ]
    if let settings { files.append((settingsName, settings.bytes)) }
    for (name, bytes) in files { _ = try AtomicFile.write(bytes, to: "\(folder)/\(name)") }
    return weights
  }
}

/// Removes a folder of plain files; what cannot be removed stays.
private func removeFolder(_ path: String) {
  for name in namesInFolder(path) where name != "." && name != ".." { unlink("\(path)/\(name)") }
  rmdir(path)
}
