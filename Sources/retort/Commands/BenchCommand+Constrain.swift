import ArgumentParser
import DemoWorld
import Inference
import Pipeline
import Tokenization
import Topics

extension BenchCommand {
  /// `retort bench constrain`.
  struct Constrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Microseconds a token of holding answers to the functions' schemas, without a model.")
    @OptionGroup var global: GlobalOptions
    @Option(name: .long, help: ArgumentHelp("A GGUF file: its tokenizer and functions.", valueName: "file"))
    var file: String?
    @Option(
      name: .long,
      help: ArgumentHelp("OpenAI tool definitions; those of the file or of the demo by default.", valueName: "file"))
    var functions: String?
    @Option(
      name: .long, help: ArgumentHelp("JSONL of labelled requests; 500 of the demo's by default.", valueName: "file"))
    var data: String?

    func run() async throws {
      let texts =
        try data.map { try LabelledFile.read($0).map { $0.messages.map(\.content).joined(separator: "\n") } }
        ?? (0..<500).map { RequestGrammar(seed: 1).request(at: $0).text }
      let given = try functions.map(FunctionFile.read)
      let (tokenizer, set) = try vocabulary(given, texts)
      let report = try ConstraintBenchmark.run(functions: set, tokenizer: tokenizer, requests: texts)
      if global.json {
        Output.print([
          "us_per_token": .number(report.microsecondsPerToken),
          "us_per_token_p99": .number(report.microsecondsPerTokenP99),
          "us_per_request": .number(report.microsecondsPerRequest), "compile_ms": .number(report.compileMilliseconds),
          "tokens": .integer(Int64(report.tokens)), "answers": .integer(Int64(report.answers)),
          "invalid": .integer(Int64(report.invalid)), "vocabulary": .integer(Int64(report.vocabulary)),
        ])
      } else {
        Output.print(
          "\(Figures.short(report.microsecondsPerToken)) µs a token (99 % within \(Figures.short(report.microsecondsPerTokenP99))), "
            + "\(Figures.short(report.microsecondsPerRequest)) µs a request before its first, functions compiled in "
            + "\(Figures.short(report.compileMilliseconds)) ms; \(report.answers) answers over \(report.vocabulary) tokens, "
            + "\(report.invalid) invalid")
      }
    }

    private func vocabulary(_ given: FunctionSet?, _ texts: [String]) throws -> (Tokenizer, FunctionSet) {
      if let file {
        try ConfigurationError.checkIsThere(file, "--file", "a GGUF file")
        let model = try ServingModel(gguf: file, functions: given)
        return (model.tokenizer, model.functions)
      }
      let set = try given ?? StarterFunctions.set()
      let tokenizer = try Tokenizer.train(
        texts.prefix(5_000), vocabularySize: 2_000, spaceFused: 300, structure: CallCodec.structureTokens(for: set))
      return (tokenizer, set)
    }
  }
}
