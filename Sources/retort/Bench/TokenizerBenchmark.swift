import DemoWorld
import Tokenization
import Topics

/// How fast text becomes tokens.
enum TokenizerBenchmark {
  struct Result {
    let megabytesPerSecond: Double
    let tokensPerSecond: Double
    let tokens: Int
    /// SHA-256 of all ids in order, 32 bits each, little-endian: what another implementation should give too.
    let digest: Digest
    /// What reading the tokenizer took; nil where it was trained.
    let loadMilliseconds: Double?
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

  /// Encodes the lines of a text one after the other, added tokens found, on one thread; the best of some rounds.
  static func run(text: [UInt8], tokenizerJSON: [UInt8]?) throws -> Result {
    let lines = text.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
    let clock = ContinuousClock()
    let start = clock.now
    let tokenizer =
      try tokenizerJSON.map { try Tokenizer(huggingFace: $0) }
      ?? Tokenizer.train(lines.prefix(5_000), vocabularySize: 2_000, spaceFused: 300, structure: [])
    let load = seconds(clock.now - start)
    var best = Double.infinity
    var (tokens, digest) = (0, Digest.Stream())
    for round in 0..<5 {
      tokens = 0
      let elapsed = clock.measure {
        for line in lines { tokens += tokenizer.encodeWithAddedTokens(line, addingSpecialTokens: false).count }
      }
      best = min(best, seconds(elapsed))
      if round == 0 {
        for line in lines {
          let ids = tokenizer.encodeWithAddedTokens(line, addingSpecialTokens: false).map(\.littleEndian)
          ids.withUnsafeBytes { digest.update($0) }
        }
      }
    }
    return Result(
      megabytesPerSecond: Double(text.count) / best / 1e6, tokensPerSecond: Double(tokens) / best, tokens: tokens,
      digest: digest.digest, loadMilliseconds: tokenizerJSON == nil ? nil : load * 1e3)
  }

  private static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
  }
}
