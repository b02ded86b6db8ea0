import ArgumentParser
import Compression
import ModelFiles
import Pipeline
import Topics
import Training

/// `retort compress`: a Hugging Face folder or a GGUF file in, a smaller GGUF file out.
struct CompressCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compress", abstract: "Prune and quantize a model into a GGUF file.",
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
      """)

  @OptionGroup var global: GlobalOptions

  @Option(
    name: .customLong("in"),
    help: ArgumentHelp("A Hugging Face folder of the Qwen2 or Llama family, or a .gguf file.", valueName: "dir"))
  var input: String

  @Option(name: .long, help: ArgumentHelp("The GGUF file to write.", valueName: "file"))
  var out: String

  @Option(name: .long, help: ArgumentHelp("What to take out, as above.", valueName: "plan"))
  var prune: String = "none"

  @Option(
    name: .long,
    help: ArgumentHelp(
      "q8_0, q6_k, q4_k, q4_0, f16, bf16 or f32; or bytes=1.6MB: a mix of these blocks, tensor by tensor.",
      valueName: "format"))
  var quantize: String = "q8_0"

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
    guard data == nil else { return }
    for (option, isGiven) in [
      ("--calibrate \(calibrate)", calibrate != "nearest"), ("--importance \(importance)", importance != "activations"),
      ("--recover", recover ?? 0 > 0), ("--quantization-aware", quantizationAware > 0),
    ] where isGiven {
      throw ValidationError(
        "\(option): expected --data with it, found none; without requests there is nothing to fit to")
    }
  }

  func run() async throws {
    _ = Wiring(try global.configuration())
    let policy = try policy()
    let functions = try functions.map(FunctionFile.read)
    let samples = try data.map(LabelledFile.read)?.map { row in
      let record = SampleRecord(id: row.id, messages: row.messages, call: row.call, split: .train)
      return TrainingSample(
        id: row.id, digest: record.digest, messages: row.messages, call: row.call, split: .train)
    }
    let line = ProgressLine("recover")
    let report = try Compressor.compress(
      path: input, functions: functions, samples: samples ?? [], policy: policy, output: out, name: name
    ) { step in
      line.show("step \(step.step) of \(step.steps), loss \(Figures.fixed(step.meanLoss, 3))")
    }
    line.end()
    if global.json { Output.print(report.json) } else { show(report) }
  }

  private func policy() throws -> CompressionPolicy {
    var object: JSONObject = [
      "prune": .string(prune), "quantize": .string(quantize), "calibrate": .string(calibrate),
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
    Output.print("largest relative error of a tensor \(Figures.percent(report.worstRelativeRMS))")
    Output.print("sha256 \(report.model.digest.hex)")
  }
}
