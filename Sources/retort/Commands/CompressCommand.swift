import ArgumentParser
import Compression
import Foundation
import Inference
import MessageLog
import ModelFiles
import Pipeline
import Topics
import Training

/// `retort compress`: a Hugging Face folder, a GGUF file or a checkpoint in, a smaller GGUF file or a folder out.
struct CompressCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compress",
    abstract: "Prune and quantize a model into a GGUF file, or write it as a Hugging Face folder.",
    discussion: """
      --prune takes parts separated by commas; nothing is pruned by default.
        ffn=0.875 layers=20 hidden=-25% kv=1     what stays of an axis: a share, a count, or what goes
        vocabulary=used                          tokens that the data never use go (needs --data)
        parameters=-20% bytes=1.5MB latency=-30% a target for the whole model: the axes that reach it with the least
                                                 harm are found by measuring on the data, and depths
                                                 compared after a tenth of the recovery; without data the
                                                 feed-forward width goes, then hidden width, then layers
      Feed-forward width is a multiple of 32. Query heads are as wide together as the hidden size, so both go together.
      Example, half a billion parameters to 0.4 billion:
        retort compress --in DIR --out FILE.gguf --prune parameters=-20% --quantize q4_0
      With --data, pruning is followed by recovery: training towards the unpruned model.

      A folder is written where --out does not end in .gguf: weights in single precision, for transformers
      and what reads the same folders.
      The newest trained student, its learning rate brought down as for a release:
        retort compress --in checkpoint --out DIR
      """)

  @OptionGroup var global: GlobalOptions

  @Option(
    name: .customLong("in"),
    help: ArgumentHelp(
      "A Hugging Face folder of the Qwen2 or Llama family, a .gguf file, the word checkpoint for this model's newest, or a checkpoint's file.",
      valueName: "dir"))
  var input: String

  @Option(
    name: .long, help: ArgumentHelp("The .gguf file to write, or a folder that is not there yet.", valueName: "file"))
  var out: String

  @Option(name: .long, help: ArgumentHelp("What to take out, as above.", valueName: "plan"))
  var prune: String = "none"

  @Option(
    name: .long,
    help: ArgumentHelp(
      "q8_0, q6_k, q4_k, q4_0, f16, bf16 or f32; or bytes=1.6MB: a mix of these blocks, tensor by tensor; default q8_0, f32 for a folder.",
      valueName: "format"))
  var quantize: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "How rounding is fitted to the data: nearest, awq, gptq or awq+gptq; default nearest.", valueName: "how"))
  var calibrate: String = "nearest"

  @Option(
    name: .long,
    help: ArgumentHelp(
      "JSONL of {\"id\", \"text\" or \"messages\", \"call\"} to measure and recover on.", valueName: "file"))
  var data: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "What tells important parts, with --data: activations or gradients; default activations.", valueName: "what"))
  var importance: String = "activations"

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Steps of recovery after pruning, with --data; default 300, or more where much goes: 5,000 for a fifth of the parameters.",
      valueName: "steps"))
  var recover: Int?

  @Option(
    name: .long,
    help: ArgumentHelp("Steps at the end with rounded weights, with --data; default 0.", valueName: "steps"))
  var quantizationAware: Int = 0

  @Option(
    name: .long,
    help: ArgumentHelp("OpenAI tool definitions to embed, with a grammar beside the file.", valueName: "file"))
  var functions: String?

  @Option(name: .long, help: ArgumentHelp("The model's name in the file.", valueName: "name"))
  var name: String?

  func validate() throws {
    for (option, isGiven) in [
      ("--calibrate \(calibrate)", calibrate != "nearest"), ("--importance \(importance)", importance != "activations"),
      ("--recover", recover ?? 0 > 0), ("--quantization-aware", quantizationAware > 0),
    ] where isGiven && data == nil {
      throw ValidationError(
        "\(option): expected --data with it, found none; without requests there is nothing to fit to")
    }
    guard Compressor.writesFolder(out) else { return }
    for (option, isGiven) in [
      ("--quantize \(quantize ?? "")", quantize ?? "f32" != "f32"),
      ("--calibrate \(calibrate)", calibrate != "nearest"),
      ("--quantization-aware", quantizationAware > 0),
    ] where isGiven {
      throw ValidationError(
        "\(option): expected --out to end in .gguf, found \(out), a folder, whose weights stay in single precision; name a file, "
          + "or leave the option out")
    }
    // Said before the work, which may take hours.
    guard !FileManager.default.fileExists(atPath: out) else {
      throw ValidationError(
        "--out \(out): expected a folder that is not there yet, found something; name another, or remove it")
    }
  }

  /// What `--in` says for the newest checkpoint.
  private static let newest = "checkpoint"

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    if input != Self.newest {
      try ConfigurationError.checkIsThere(
        input, "--in", "a Hugging Face folder, a GGUF file, a checkpoint's file, or the word \(Self.newest)")
    }
    let policy = try policy()
    let functions = try functions.map(FunctionFile.read)
    let samples = try data.map(LabelledFile.read)?.map { row in
      let record = SampleRecord(id: row.id, messages: row.messages, call: row.call, split: .train)
      return TrainingSample(
        id: row.id, digest: record.digest, messages: row.messages, call: row.call, split: .train)
    }
    // Whether there can be such a file is said before the work, which may take hours; this one is gone at once.
    var place = out
    while place.count > 1, place.hasSuffix("/") { place.removeLast() }
    _ = try AtomicFile(path: place)
    let model = try await model(wiring)
    let line = ProgressLine("recover")
    let report = try Compressor.compress(
      model, functions: functions, samples: samples ?? [], policy: policy, output: out, name: name
    ) { step in
      line.show("step \(step.step) of \(step.steps), loss \(Figures.fixed(step.meanLoss, 3))")
    }
    line.end()
    if global.json { Output.print(report.json) } else { show(report) }
  }

  /// What `--in` names.
  private func model(_ wiring: Wiring) async throws -> UncompressedModel {
    let path = input == Self.newest ? try await newestCheckpoint(wiring) : input
    let line = ProgressLine("checkpoint")
    defer { line.end() }
    return try UncompressedModel(
      path: path, alternatives: wiring.decoding().alternatives ?? DecodeOptions.standardAlternatives,
      teacher: wiring.distillationTeacher
    ) { step in
      line.show("step \(step.step) of \(step.steps), loss \(Figures.fixed(step.meanLoss, 3))")
    }
  }

  /// The file of the newest checkpoint that training announced.
  private func newestCheckpoint(_ wiring: Wiring) async throws -> String {
    let log = try await wiring.openExistingLog()
    let announced = try await TrainStage.announced(log: log, names: wiring.names, model: wiring.model)
    try await log.close()
    guard let newest = announced.progress else {
      throw ConfigurationError(
        "--in checkpoint: expected a checkpoint of \(wiring.model), found none; make one with `retort train`, or name "
          + "./checkpoint where that is a folder")
    }
    return wiring.checkpoints(of: wiring.model).path(of: newest.digest)
  }

  private func policy() throws -> CompressionPolicy {
    var object: JSONObject = [
      "prune": .string(prune), "quantize": .string(quantize ?? (Compressor.writesFolder(out) ? "f32" : "q8_0")),
      "calibrate": .string(calibrate),
      "importance": .string(importance),
    ]
    object["recovery_steps"] = recover.map { .integer(Int64($0)) }
    object["quantization_aware_steps"] = .integer(Int64(quantizationAware))
    do {
      return try CompressionPolicy(json: .object(object))
    } catch {
      throw ConfigurationError("compress, \(error)")
    }
  }

  private func show(_ report: CompressionReport) {
    let (before, after) = (report.before, PruningShape(report.configuration))
    Output.print(
      "\(out): \(Figures.bytes(report.model.bytes)), \(report.parametersBefore) → \(report.parametersAfter) parameters")
    let axes = [
      ("layers", before.layerCount, after.layerCount), ("hidden", before.hiddenSize, after.hiddenSize),
      ("kv", before.keyValueHeadCount, after.keyValueHeadCount), ("ffn", before.feedForwardSize, after.feedForwardSize),
      ("vocabulary", before.vocabularySize, after.vocabularySize),
    ]
    Output.print(axes.map { $1 == $2 ? "\($0) \($1)" : "\($0) \($1) → \($2)" }.joined(separator: ", "))
    if let recovery = report.recovery {
      Output.print(
        "recovery: \(recovery.steps) steps, loss \(Figures.fixed(recovery.firstLoss, 3)) → \(Figures.fixed(recovery.finalLoss, 3)), "
          + "divergence from the parent \(Figures.fixed(recovery.finalDivergence, 4)) nats")
    }
    if data == nil, before != after {
      Output.note(
        "without --data nothing recovers what pruning took: measure the file (`retort eval --file`) before it serves")
    }
    if !report.tensors.isEmpty {
      Output.print("largest relative error of a tensor \(Figures.percent(report.worstRelativeRMS))")
    }
    Output.print("sha256 \(report.model.digest.hex)")
  }
}
