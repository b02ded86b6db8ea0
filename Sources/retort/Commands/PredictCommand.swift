import ArgumentParser
import Inference
import Topics

/// `retort predict`: one answer on standard output.
struct PredictCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "Answer one request: the call as JSON on standard output.")

  @OptionGroup var global: GlobalOptions
  @OptionGroup var which: ModelOptions
  @OptionGroup var search: SearchOptions

  @Flag(name: .long, help: "Plain greedy decoding, not held to the functions' schemas.")
  var unconstrained = false

  @Argument(help: "The request.")
  var text: String

  func run() async throws {
    guard text.utf8.count <= 1 << 20 else {
      throw ConfigurationError("the request: expected at most 1 MB, found \(text.utf8.count) bytes")
    }
    let wiring = Wiring(try global.configuration(search.settings))
    let (model, manifest) = try await which.loadWithManifest(wiring)
    let decoder = try Decoder(model: model, maximumBatch: 1)
    let options = wiring.decoding(constrained: !unconstrained)
    guard let answer = try decoder.answer([[.user(text)]], options: options).first else { throw ExitStatus.failed }
    if global.json {
      let threshold = wiring.configuration.optionalNumber("serve.threshold") ?? manifest?.confidenceThreshold
      Output.print([
        "call": answer.call?.json ?? .null, "text": .string(answer.text), "confidence": .number(answer.confidence),
        "version": manifest.map { .integer(Int64($0.version)) } ?? .null,
        "threshold": threshold.map { .number($0) } ?? .null,
        "escalate": .bool(answer.call == nil || !(threshold.map { answer.confidence >= $0 } ?? false)),
        "tokens": .integer(Int64(answer.tokens)), "prompt_tokens": .integer(Int64(answer.promptTokens)),
        "invalid": answer.invalidReason.map { .string($0) } ?? .null,
      ])
    } else {
      Output.print(answer.text)
    }
    if answer.call == nil {
      Output.complain(answer.invalidReason ?? "the answer is no call")
      throw ExitStatus.failed
    }
  }
}
