import Inference
import ModelFiles
import StudentModel
import Topics

/// What a folder's `retort.json` says: what a GGUF file has under `retort.*` and the other files of a folder do not show.
struct FolderSettings {
  /// The functions; `nil` without.
  private(set) var functions: FunctionSet?
  /// The operands of products with which the weights were made.
  private(set) var precision = Precision.fp32
  private var wholeWords: Bool?
  private var alternatives: Int?
  private var answerTokens: Int?

  /// How the student answers, as metadata of a GGUF file.
  var metadata: [(key: String, value: GGUFValue)] {
    var metadata: [(key: String, value: GGUFValue)] = []
    if let wholeWords { metadata.append((ServingModel.wholeWordsKey, .bool(wholeWords))) }
    if let alternatives { metadata.append((ServingModel.alternativesKey, .uint32(UInt32(alternatives)))) }
    if let answerTokens { metadata.append((ServingModel.answerTokensKey, .uint32(UInt32(answerTokens)))) }
    return metadata
  }

  /// The file's contents; `nil` where there is nothing to say.
  var json: JSON? {
    var object: JSONObject = [:]
    object["whole_words"] = wholeWords.map { .bool($0) }
    object["alternatives"] = alternatives.map { .integer(Int64($0)) }
    object["answer_tokens"] = answerTokens.map { .integer(Int64($0)) }
    if precision != .fp32 { object["precision"] = .string(precision.rawValue) }
    object["functions"] = functions?.json
    return object.isEmpty ? nil : .object(object)
  }

  /// What is known of a student; other metadata stays out.
  init(functions: FunctionSet?, precision: Precision, metadata: [(key: String, value: GGUFValue)]) {
    self.functions = functions
    self.precision = precision
    for (key, value) in metadata {
      switch key {
      case ServingModel.wholeWordsKey: wholeWords = value.boolean
      case ServingModel.alternativesKey:
        alternatives = value.integer.flatMap { DecodeOptions.alternativesRange.contains($0) ? $0 : nil }
      case ServingModel.answerTokensKey:
        answerTokens = value.integer.flatMap { DecodeOptions.answerTokensRange.contains($0) ? $0 : nil }
      default: break
      }
    }
  }

  /// Reads a folder's file; nothing is said where there is none.
  ///
  /// - Throws: `ModelFileError`; ``CompressionError`` `mismatch` for an unknown key or a value outside its range.
  init(of folder: HuggingFaceFolder) throws {
    guard let json = try folder.settings() else { return }
    let file = "\(folder.path)/\(HuggingFaceFolder.settingsName)"
    guard let object = json.objectValue else { throw Self.wrong(file, "an object", json.typeName) }
    for (key, value) in object {
      let place = "\(file), \(key.prefix(64))"
      switch key {
      case "whole_words":
        guard let found = value.boolValue else { throw Self.wrong(place, "true or false", Self.text(value)) }
        wholeWords = found
      case "alternatives": alternatives = try Self.number(value, DecodeOptions.alternativesRange, place)
      case "answer_tokens": answerTokens = try Self.number(value, DecodeOptions.answerTokensRange, place)
      case "precision":
        guard let found = value.stringValue.flatMap(Precision.init(rawValue:)) else {
          throw Self.wrong(place, Precision.allCases.map(\.rawValue).joined(separator: " or "), Self.text(value))
        }
        precision = found
      case "functions":
        do {
          let set = try FunctionSet(json: value)
          _ = try AnswerGrammar(set)
          functions = set
        } catch {
          throw Self.wrong(place, "tool definitions", "\(error)")
        }
      default:
        throw Self.wrong(place, "whole_words, alternatives, answer_tokens, precision or functions", "an unknown key")
      }
    }
  }

  private static func number(
    _ value: JSON, _ range: ClosedRange<Int>, _ place: String
  ) throws(CompressionError) -> Int {
    guard let found = value.integerValue.flatMap({ Int(exactly: $0) }), range.contains(found) else {
      throw wrong(place, "a whole number from \(range.lowerBound) to \(range.upperBound)", text(value))
    }
    return found
  }

  private static func text(_ value: JSON) -> String { String(value.text.prefix(80)) }

  private static func wrong(_ place: String, _ expected: String, _ found: String) -> CompressionError {
    CompressionError(
      .mismatch, context: place, expected: expected, found: found,
      advice: "correct or remove the file, or write the folder again with `retort compress --in checkpoint`")
  }
}
