import Foundation
import Inference
import MessageLog
import Topics

/// A model as a person names it: `NAME` (what is deployed or, where nothing is, the newest), `NAME@VERSION`, or a file.
enum ModelReference {
  /// A model with the name that results show.
  struct Loaded {
    let title: String
    let model: ServingModel
    /// The release; `nil` for a file.
    let manifest: Manifest?

    /// A released model.
    init(_ manifest: Manifest, _ model: ServingModel) {
      title = "\(manifest.model)@\(manifest.version)"
      self.model = model
      self.manifest = manifest
    }

    /// A file.
    init(file: String) throws {
      title = file
      model = try ServingModel(gguf: file)
      manifest = nil
    }

    /// Name, version and digest as JSON.
    var json: JSONObject {
      guard let manifest else { return ["file": .string(title)] }
      return [
        "name": .string(manifest.model), "version": .integer(Int64(manifest.version)),
        "sha256": .string(manifest.weights?.sha256.hex ?? ""),
      ]
    }
  }

  case file(String)
  case release(name: String, version: Int?)

  /// - Throws: ``ConfigurationError`` where the text after `@` is no version, or the file is not there.
  init(_ text: String) throws {
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: text, isDirectory: &isFolder)
    // A folder is no file: subscribers may have one of the model's name.
    if text.hasSuffix(".gguf") || isThere && !isFolder.boolValue {
      try ConfigurationError.checkIsThere(text, "the model", "a GGUF file")
      self = .file(text)
    } else if let at = text.lastIndex(of: "@") {
      guard let version = Int(text[text.index(after: at)...]), version > 0, at > text.startIndex else {
        throw ConfigurationError("\(text): expected NAME, NAME@VERSION such as assistant@3, or a GGUF file")
      }
      self = .release(name: String(text[..<at]), version: version)
    } else {
      self = .release(name: text, version: nil)
    }
  }

  /// Whether a log is needed to find it.
  var isRelease: Bool {
    if case .release = self { return true }
    return false
  }

  /// The model; a released one is fetched and its signature and digests are checked.
  func load(_ wiring: Wiring, log: (any MessageLog)?) async throws -> Loaded {
    switch self {
    case .file(let path): return try Loaded(file: path)
    case .release(let name, let version):
      guard let log else { throw ConfigurationError("\(name): a released model needs a log") }
      let lookup = ReleaseLookup(wiring: wiring, log: log)
      let manifest = try await version == nil ? lookup.newest(name) : lookup.manifest(name, version: version)
      return Loaded(manifest, try await lookup.load(manifest))
    }
  }
}
