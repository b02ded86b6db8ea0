import ArgumentParser
import Foundation
import Inference
import ModelFiles
import StudentModel
import Tokenization
import Topics
import Training

/// `retort bench`: speed of this build on this machine.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Speed of this build on this machine.",
    subcommands: [
      Train.self, Prefill.self, Decode.self, Constrain.self, Tokenize.self, Log.self, Label.self, Serve.self,
    ])

  /// The options of the benchmarks that run a model.
  struct Options: ParsableArguments {
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("A Hugging Face folder; training takes its sizes only.", valueName: "dir"))
    var model: String?
    @Option(
      name: .long,
      help: ArgumentHelp("Sizes by name, random weights: qwen2.5-0.5b, or 5m (5.28 M parameters).", valueName: "name"))
    var shape: String?
    @Option(name: .long, help: ArgumentHelp("A GGUF file.", valueName: "file"))
    var file: String?
    @Option(
      name: .long,
      help: ArgumentHelp("Map the file's packed weights from this folder, as servers do.", valueName: "dir"))
    var shared: String?
    @Option(name: .long, help: "Sequences at once.")
    var batch: Int?
    @Option(name: .long, help: "Tokens of a sequence.")
    var sequence: Int?
    @Option(name: .long, help: "Tokens to generate or read.")
    var tokens: Int?
    @Option(name: .long, help: "Threads; 0 is one a core.")
    var threads: Int?

    func wire() throws {
      for (name, value, range) in [
        ("--batch", batch, 1...4_096), ("--sequence", sequence, 2...32_768), ("--tokens", tokens, 1...1_000_000),
        ("--threads", threads, 0...64),
      ] {
        if let value, !range.contains(value) {
          throw ConfigurationError("\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
        }
      }
      try ConfigurationError.checkIsThere(file, "--file", "a GGUF file")
      try ConfigurationError.checkIsThere(model, "--model", "a Hugging Face folder")
      _ = Wiring(try global.configuration(threads.map { ["threads": String($0)] } ?? [:]))
    }

    /// The sizes that are trained: those of a folder or a name, or the default student's.
    func configuration() throws -> DecoderConfiguration {
      if let shape { return try BenchCommand.configuration(named: shape) }
      if let model { return try HuggingFaceFolder.read(model).configuration }
      let recipe = TrainingRecipe()
      return recipe.configuration(vocabularySize: (recipe.vocabularySize + 96) / 32 * 32)
    }

    /// The model that is run: a file, a folder, or a random one of the default student's sizes.
    func decoder() throws -> DecoderModel {
      if let file { return try DecoderModel(gguf: file, shared: shared.map { SharedWeights(folder: $0) }) }
      if let model { return try DecoderModel(folder: model) }
      let configuration = try configuration()
      let student = try Student(configuration: configuration, seed: 1)
      return try withExtendedLifetime(student) {
        try DecoderModel(
          configuration: configuration, parameters: UnsafeBufferPointer(student.parameters), tokenizer: nil)
      }
    }
  }

  /// The sizes of a model that is known by name.
  private static func configuration(named name: String) throws -> DecoderConfiguration {
    switch name {
    case "qwen2.5-0.5b":
      return DecoderConfiguration(
        vocabularySize: 151_936, hiddenSize: 896, layerCount: 24, headCount: 14, keyValueHeadCount: 2,
        feedForwardSize: 4_864, maximumPositions: 32_768, ropeTheta: 1_000_000)
    case "5m":
      return DecoderConfiguration(
        vocabularySize: 4_096, hiddenSize: 256, layerCount: 6, headCount: 8, keyValueHeadCount: 2, feedForwardSize: 704)
    default: throw ConfigurationError("--shape: expected qwen2.5-0.5b or 5m, found \(name.prefix(64))")
    }
  }

  /// `retort bench train`.
  struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Tokens a second of full fine-tuning: forward, backward, AdamW.")
    @OptionGroup var options: Options
    @Option(
      name: .long,
      help: ArgumentHelp("JSON of a recipe, for precision, adapters and memory options.", valueName: "json"))
    var recipe: String?
    @Option(name: .long, help: "Steps to take the best of, after one that warms up.")
    var steps = 20
    @Option(
      name: .long,
      help: ArgumentHelp(
        "Tokens of the shortest sequence; the others lie evenly up to --sequence, as long as it by default.",
        valueName: "tokens"))
    var shortest: Int?
    @Option(
      name: .long,
      help: ArgumentHelp(
        "Tokens with which all sequences begin alike; computed once with \"share_prefixes\": 1.", valueName: "tokens"))
    var prefix = 0

    func run() async throws {
      try options.wire()
      guard (1...100_000).contains(steps) else {
        throw ConfigurationError("--steps: expected 1 to 100000, found \(steps)")
      }
      let longest = options.sequence ?? 32
      let batch = TrainingBenchmark.Batch(
        sequences: options.batch ?? 16, longest: longest, shortest: shortest, prefix: prefix)
      guard (2...longest).contains(batch.shortest) else {
        throw ConfigurationError("--shortest: expected 2 to \(longest), found \(batch.shortest)")
      }
      guard (0..<batch.shortest).contains(prefix) else {
        throw ConfigurationError("--prefix: expected 0 to \(batch.shortest - 1), found \(prefix)")
      }
      let recipe = try recipe.map { try TrainingRecipe(json: JSON.parse($0)) } ?? TrainingRecipe()
      let report = try TrainingBenchmark.run(
        configuration: options.configuration(), recipe: recipe, batch: batch, steps: steps)
      let precision = recipe.adapters == nil ? recipe.precision : .bf16
      let limit = MachineLimits.productRate(bfloat: precision == .bf16) / 1e9
      let result: JSON = [
        "tokens_per_second": .number(report.tokensPerSecond), "peak_rss_bytes": .integer(Int64(PeakMemory.bytes)),
        "step_ms": .number(report.stepMilliseconds), "gflops": .number(report.gigaflops),
        "precision": .string(precision.rawValue), "limit_gflops": .number(limit),
        "share_of_limit": .number(report.gigaflops / limit),
        "parameters": .integer(Int64(report.parameters)), "threads": .integer(Int64(KernelPool.threads)),
        "losses": .array(report.losses.map { .number($0) }),
      ]
      if options.global.json {
        Output.print(result)
      } else {
        Output.print(
          "\(Figures.short(report.tokensPerSecond)) tokens/s, \(Figures.short(report.stepMilliseconds)) ms a step, "
            + "\(Figures.short(report.gigaflops)) GFLOP/s in products, \(Figures.percent(report.gigaflops / limit)) of the "
            + "peak in \(precision.rawValue), peak memory \(Figures.bytes(PeakMemory.bytes))")
      }
    }
  }

  /// `retort bench prefill`.
  struct Prefill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tokens a second of reading prompts.")
    @OptionGroup var options: Options

    func run() async throws {
      try options.wire()
      let report = try InferenceBenchmark.prefill(
        options.decoder(), batch: options.batch ?? 1, tokens: options.sequence ?? options.tokens ?? 128)
      BenchCommand.print(report, json: options.global.json)
    }
  }

  /// `retort bench decode`.
  struct Decode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tokens a second of generating.")
    @OptionGroup var options: Options

    func run() async throws {
      try options.wire()
      let report = try InferenceBenchmark.decode(
        options.decoder(), batch: options.batch ?? 1, tokens: options.tokens ?? 128, prompt: options.sequence ?? 16)
      BenchCommand.print(report, json: options.global.json)
    }
  }

  private static func print(_ report: InferenceBenchmark.Report, json: Bool) {
    if json {
      Output.print([
        "tokens_per_second": .number(report.tokensPerSecond), "batch": .integer(Int64(report.batch)),
        "tokens": .integer(Int64(report.tokens)), "threads": .integer(Int64(report.threads)),
        "limit": .string(report.limit.rawValue), "limit_tokens_per_second": .number(report.limitTokensPerSecond),
        "share_of_limit": .number(report.shareOfLimit),
      ])
    } else {
      Output.print(
        "\(Figures.short(report.tokensPerSecond)) tokens/s (batch \(report.batch), \(report.threads) threads), "
          + "\(Figures.percent(report.shareOfLimit)) of the \(Figures.short(report.limitTokensPerSecond)) that the "
          + "\(report.limit == .readBandwidth ? "read bandwidth" : "multiplication peak") allows")
    }
  }

  /// `retort bench tokenize`.
  struct Tokenize: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Megabytes a second of encoding text, one thread.")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("A text file; made-up requests by default.", valueName: "file"))
    var data: String?
    @Option(
      name: [.long, .customLong("model")],
      help: ArgumentHelp(
        "A tokenizer.json, or a folder that has one; one trained on the text by default.", valueName: "path"))
    var tokenizer: String?

    func run() async throws {
      let result = try TokenizerBenchmark.run(
        text: data.map(Self.read) ?? TokenizerBenchmark.sample,
        tokenizerJSON: tokenizer.map { try Self.read(Self.tokenizerFile($0)) })
      if global.json {
        Output.print([
          "megabytes_per_second": .number(result.megabytesPerSecond),
          "tokens_per_second": .number(result.tokensPerSecond), "tokens": .integer(Int64(result.tokens)),
          "ids_sha256": .string(result.digest.hex), "load_ms": result.loadMilliseconds.map(JSON.number) ?? .null,
        ])
      } else {
        Output.print(
          "\(Figures.short(result.megabytesPerSecond)) MB/s, \(Figures.short(result.tokensPerSecond)) tokens/s"
            + (result.loadMilliseconds.map { ", loaded in \(Figures.short($0)) ms" } ?? ""))
      }
    }

    private static func tokenizerFile(_ path: String) -> String {
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      return isFolder.boolValue ? path + "/tokenizer.json" : path
    }

    private static func read(_ path: String) throws -> [UInt8] { try InputFile.bytes(path, limit: 1 << 32) }
  }
}
