public import Inference
public import Releases
import Tokenization
public import Topics

/// The checks on a loaded file: that it is what the manifest says, and that it answers as it did at its release.
public enum ReleaseCheck {
  /// Loads a weights file and compares it with its manifest.
  ///
  /// - Parameter shared: where packed weights are shared with other processes; nil: they are this process's own.
  /// - Throws: `ReleaseError` with `unloadable`.
  public static func load(
    _ path: String, manifest: Manifest, shared: SharedWeights? = nil
  ) throws(ReleaseError) -> ServingModel {
    let model: ServingModel
    do {
      model = try ServingModel(gguf: path, shared: shared)
    } catch {
      throw ReleaseError(
        .unloadable, path, expected: "a model that loads", found: "\(error)", advice: "release the model again")
    }
    guard model.functions.digest == manifest.functionsDigest, model.tokenizer.digest == manifest.tokenizerDigest else {
      throw ReleaseError(
        .unloadable, path,
        expected: "functions \(manifest.functionsDigest.hex) and tokenizer \(manifest.tokenizerDigest.hex)",
        found: "\(model.functions.digest.hex) and \(model.tokenizer.digest.hex)", advice: "release the model again")
    }
    return model
  }

  /// Asks the probes and compares the answers as calls.
  ///
  /// - Throws: `ReleaseError` with `probe_failed`.
  public static func ask(_ probes: [Probe], of model: ServingModel) throws(ReleaseError) {
    let answers: [Call?]
    do {
      answers = try answer(probes.map(\.messages), model: model)
    } catch {
      throw ReleaseError(
        .probeFailed, "the probes", expected: "an answer to each", found: "\(error)", advice: "release the model again")
    }
    for (probe, found) in zip(probes, answers) where found != probe.call {
      let question = probe.messages.last?.content.prefix(100) ?? ""
      throw ReleaseError(
        .probeFailed, "probe \(String(question).debugDescription)", expected: text(probe.call), found: text(found),
        advice: "use a runtime that runs the model as it was released")
    }
  }

  /// The calls that a model gives to conversations.
  public static func answer(_ requests: [[ChatMessage]], model: ServingModel) throws -> [Call?] {
    let decoder = try Decoder(model: model, maximumBatch: 1)
    return try requests.map { try decoder.answer([$0]).first?.call }
  }

  private static func text(_ call: Call?) -> String { call?.json.text ?? "no call" }
}
