package import Topics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A model in a Hugging Face folder: `config.json`, `model.safetensors` (or shards with an index), `tokenizer.json`,
/// `tokenizer_config.json`, `generation_config.json`; of a student of ours also `retort.json`.
///
/// What it deliberately does not do: read pickled weights (`pytorch_model.bin`), or architectures other than Qwen2 and Llama.
public struct HuggingFaceFolder: Sendable {
  /// The path of the folder.
  public let path: String
  /// The decoder, checked against the shapes of all tensors.
  public let configuration: DecoderConfiguration
  /// The ids that end an answer, from `generation_config.json` or `config.json`; may be empty.
  public let endOfTextIDs: [Int]
  /// The texts of the tokens that begin and end a text, from `tokenizer_config.json`; nil where it names none.
  public let beginningText, endOfTextText: String?
  /// The bytes of `tokenizer.json`, or nil where there is none.
  public let tokenizerJSON: [UInt8]?
  /// The chat template, from `chat_template.jinja` or `tokenizer_config.json`.
  public let chatTemplate: String?
  private let tensors: [String: TensorView]

  /// The name of the file that says what weights, tokenizer and template do not: how a student of ours answers.
  package static let settingsName = "retort.json"
  /// The largest JSON file that is read, in bytes.
  public static let maximumJSONBytes = 64 << 20

  /// Opens and checks the model in the folder `path`; weights are mapped, not read.
  ///
  /// - Throws: ``ModelFileError`` of every kind, naming the file, the key or the tensor.
  public static func read(_ path: String) throws(ModelFileError) -> HuggingFaceFolder {
    let json = try Self.json("\(path)/config.json")
    let configuration = try DecoderConfiguration(huggingFace: json, context: "\(path)/config.json")
    let tensors = try Self.tensors(path)
    for (name, shape) in configuration.parameters {
      guard let tensor = tensors[name] else {
        throw ModelFileError(
          .missing, context: path, expected: "a tensor \(name)", found: "\(tensors.count) others",
          advice: "check that weights and config.json belong together")
      }
      guard tensor.shape == shape else {
        throw ModelFileError(
          .shapeMismatch, context: "\(path), \(name)", expected: "\(shape)", found: "\(tensor.shape)",
          advice: "check that weights and config.json belong together")
      }
    }
    try checkHead(tensors, configuration, path)
    let tokenizer = try tokenizer(in: path)
    let words = try optional { () throws(ModelFileError) in try Self.json("\(path)/tokenizer_config.json") }
    return HuggingFaceFolder(
      path: path, configuration: configuration, endOfTextIDs: try Self.endOfText(path, json),
      beginningText: text(words?["bos_token"]), endOfTextText: text(words?["eos_token"]), tokenizerJSON: tokenizer,
      chatTemplate: try Self.template(path) ?? words?["chat_template"]?.stringValue, tensors: tensors)
  }

  /// The bytes of `tokenizer.json` in the folder `path`, or nil where there is none.
  ///
  /// - Throws: ``ModelFileError`` where it cannot be read.
  package static func tokenizer(in path: String) throws(ModelFileError) -> [UInt8]? {
    try optional { () throws(ModelFileError) in try contents("\(path)/tokenizer.json") }
  }

  /// The text of a token, which files write by itself or as an object that says how it is found, too.
  private static func text(_ token: JSON?) -> String? { token?.stringValue ?? token?["content"]?.stringValue }

  /// A tied model may have its embedding twice; another head beside it is one that some programs use and others do not.
  private static func checkHead(
    _ tensors: [String: TensorView], _ configuration: DecoderConfiguration, _ path: String
  ) throws(ModelFileError) {
    guard configuration.tiesEmbeddings, let head = tensors["lm_head.weight"],
      let embedding = tensors["model.embed_tokens.weight"]
    else { return }
    guard head.type == embedding.type, head.bytes.elementsEqual(embedding.bytes) else {
      throw ModelFileError(
        .malformed, context: "\(path), lm_head.weight",
        expected: "the embedding, as tie_word_embeddings is true in config.json",
        found: "other values", advice: "set it to false, or remove the tensor")
    }
  }

  /// The size of all tensors in bytes.
  public var byteCount: Int { tensors.values.reduce(0) { $0 + $1.bytes.count } }

  /// The tensor of a parameter, by its canonical name.
  ///
  /// - Throws: ``ModelFileError`` `missing`.
  public func tensor(_ name: String) throws(ModelFileError) -> TensorView {
    guard let tensor = tensors[name] else {
      throw ModelFileError(
        .missing, context: path, expected: "a tensor \(name)", found: "\(tensors.count) others",
        advice: "ask for a canonical parameter name")
    }
    return tensor
  }

  private static func tensors(_ path: String) throws(ModelFileError) -> [String: TensorView] {
    var tensors: [String: TensorView] = [:]
    let whole = "\(path)/model.safetensors"
    if access(whole, F_OK) == 0 {
      for tensor in try SafetensorsFile(path: whole).tensors { tensors[tensor.name] = tensor }
      return tensors
    }
    let index = try optional { () throws(ModelFileError) in try json("\(whole).index.json") }
    guard let index else {
      throw ModelFileError(
        .notFound, context: path, expected: "model.safetensors, or its index", found: "neither",
        advice: "save the model with safe_serialization")
    }
    guard let map = index["weight_map"]?.objectValue else {
      throw ModelFileError(
        .malformed, context: "\(whole).index.json, weight_map", expected: "an object of tensors and their files",
        found: index["weight_map"]?.typeName ?? "none", advice: "fetch the folder again")
    }
    let files = Set(map.compactMap(\.value.stringValue)).sorted()
    for file in files {
      guard !file.contains("/"), !file.hasPrefix("."), files.count <= 1024 else {
        throw ModelFileError(
          .malformed, context: "\(whole).index.json", expected: "names of files in the same folder",
          found: String(file.prefix(80)), advice: "fetch the folder again")
      }
      for tensor in try SafetensorsFile(path: "\(path)/\(file)").tensors { tensors[tensor.name] = tensor }
    }
    return tensors
  }

  /// What `retort.json` says, which only this project reads; nil where there is none.
  ///
  /// - Throws: ``ModelFileError`` where it cannot be read as JSON.
  package func settings() throws(ModelFileError) -> JSON? {
    try Self.optional { () throws(ModelFileError) in try Self.json("\(path)/\(Self.settingsName)") }
  }

  private static func endOfText(_ path: String, _ configuration: JSON) throws(ModelFileError) -> [Int] {
    let generation = try optional { () throws(ModelFileError) in try json("\(path)/generation_config.json") }
    for value in [generation?["eos_token_id"], configuration["eos_token_id"]] {
      guard let value else { continue }
      let ids = (value.arrayValue ?? [value]).compactMap { $0.integerValue.flatMap { Int(exactly: $0) } }
      if !ids.isEmpty { return ids }
    }
    return []
  }

  private static func template(_ path: String) throws(ModelFileError) -> String? {
    let file = try optional { () throws(ModelFileError) in try contents("\(path)/chat_template.jinja") }
    return file.map { String(decoding: $0, as: UTF8.self) }
  }

  private static func json(_ path: String) throws(ModelFileError) -> JSON {
    let bytes = try contents(path)
    do throws(JSONError) {
      return try JSON.parse(bytes, maximumBytes: maximumJSONBytes)
    } catch {
      throw ModelFileError(
        .malformed, context: path, expected: "valid JSON", found: error.description, advice: "fetch the file again")
    }
  }

  private static func contents(_ path: String) throws(ModelFileError) -> [UInt8] {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= maximumJSONBytes else {
      throw ModelFileError(
        .tooLarge, context: path, expected: "at most \(maximumJSONBytes) bytes", found: "\(file.bytes.count)",
        advice: "check that this is a model folder")
    }
    return withExtendedLifetime(file) { Array(file.bytes) }
  }

  /// The result, or nil where the file does not exist.
  private static func optional<T>(_ read: () throws(ModelFileError) -> T) throws(ModelFileError) -> T? {
    do throws(ModelFileError) {
      return try read()
    } catch {
      if error.code == .notFound { return nil }
      throw error
    }
  }
}
