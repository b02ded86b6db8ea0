import DemoWorld
import Tokenization

/// How fast text becomes tokens.
enum TokenizerBenchmark {
  struct Result {
    let megabytesPerSecond: Double
    let tokensPerSecond: Double
  }

  /// About a megabyte of made-up requests.
  static var sample: [UInt8] {
    let grammar = RequestGrammar(seed: 1)
    var bytes: [UInt8] = []
    var index = 0
    while bytes.count < 1 << 20 {
      bytes += Array(grammar.request(at: index).text.utf8) + [0x0A]
      index += 1
    }
    return bytes
  }

  static func run(text: [UInt8], tokenizerJSON: [UInt8]?) throws -> Result {
    let lines = text.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
    let tokenizer =
      try tokenizerJSON.map { try Tokenizer(huggingFace: $0) }
      ?? Tokenizer.train(lines.prefix(5_000), vocabularySize: 2_000, spaceFused: 300, structure: [])
    var best = Double.infinity
    var tokens = 0
    for _ in 0..<4 {
      tokens = 0
      let elapsed = ContinuousClock().measure {
        for line in lines { tokens += tokenizer.encode(line).count }
      }
      best = min(best, Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18)
    }
    return Result(megabytesPerSecond: Double(text.count) / best / 1e6, tokensPerSecond: Double(tokens) / best)
  }
}
