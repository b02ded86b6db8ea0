import ArgumentParser
import Compression
import ModelFiles
import Topics

/// `retort compress`: a Hugging Face folder in, a smaller GGUF file out.
struct CompressCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compress", abstract: "Prune and quantize a Hugging Face folder into a GGUF file.")

  @OptionGroup var global: GlobalOptions

  @Option(
    name: .customLong("in"), help: ArgumentHelp("A Hugging Face folder of the Qwen2 or Llama family.", valueName: "dir")
  )
  var input: String

  @Option(name: .long, help: ArgumentHelp("The GGUF file to write.", valueName: "file"))
  var out: String

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Share of feed-forward neurons to keep, as ffn=0.875; nothing is pruned by default.", valueName: "ffn=share"))
  var prune: String?

  @Option(name: .long, help: ArgumentHelp("q8_0, q6_k, q4_0, f16, bf16 or f32.", valueName: "format"))
  var quantize: String = "q8_0"

  @Option(
    name: .long,
    help: ArgumentHelp("OpenAI tool definitions to embed, with a grammar beside the file.", valueName: "file"))
  var functions: String?

  @Option(name: .long, help: ArgumentHelp("The model's name in the file.", valueName: "name"))
  var name: String?

  func run() async throws {
    _ = Wiring(try global.configuration())
    var policy = CompressionPolicy()
    policy.recoverySteps = 0
    policy.feedForwardKeep = try share()
    guard let format = CompressionPolicy.WeightType(rawValue: quantize) else {
      let known = CompressionPolicy.WeightType.allCases.map(\.rawValue).joined(separator: ", ")
      throw ConfigurationError("--quantize: expected one of \(known), found \(quantize)")
    }
    policy.quantize = format
    let report = try Compressor.compress(
      folder: input, functions: try functions.map(FunctionFile.read), policy: policy, output: out, name: name)
    if global.json {
      Output.print(report.json)
    } else {
      Output.print(
        "\(out): \(Figures.bytes(report.model.bytes)), \(report.parametersBefore) → \(report.parametersAfter) parameters, "
          + "largest relative error of a tensor \(Figures.percent(report.worstRelativeRMS))")
      Output.print("sha256 \(report.model.digest.hex)")
    }
  }

  private func share() throws -> Double {
    guard let prune else { return 1 }
    guard prune.hasPrefix("ffn="), let share = Double(prune.dropFirst(4)), share > 0, share <= 1 else {
      throw ConfigurationError(
        "--prune: expected ffn= and a share above 0 and at most 1, such as ffn=0.875, found \(prune)")
    }
    return share
  }
}
