internal import Foundation
internal import Logging
package import Topics

/// Reads the log-probabilities of an answer, of the tokens of its call's arguments alone.
///
/// An answer without usable ones is a label all the same: that is counted, and said once.
package struct LogprobReader: Sendable {
  /// The most tokens of an answer that are looked through for the call.
  package static let maximumTokens = 1 << 16
  /// The most alternatives that an endpoint may give for a token: some add the token itself to those asked for.
  package static let maximumAlternatives = 64
  /// What halves and an endpoint's own rounding may add to a probability of 1.
  private static let tolerance = 0.01

  private let vocabulary: TokenVocabulary
  private let top: Int
  private let counters: TeacherCounters
  private let logger: Logger

  /// Nil where the configuration does not ask for them.
  init?(_ configuration: TeacherConfiguration, counters: TeacherCounters, logger: Logger) {
    guard configuration.topLogprobs > 0, let vocabulary = configuration.vocabulary else { return nil }
    self.vocabulary = vocabulary
    top = configuration.topLogprobs
    self.counters = counters
    self.logger = logger
  }

  /// The vocabulary's digest: cached answers are of it too.
  var digest: Digest { vocabulary.digest }

  /// The log-probabilities of a call's arguments, from a choice's `logprobs`; nil where there are none to use.
  func read(_ logprobs: JSON?, of call: Call) -> TokenLogprobs? {
    do throws(Unusable) {
      let result = try Self.read(logprobs, of: call, vocabulary, top: top)
      counters.update { $0.logprobs += 1 }
      return result
    } catch {
      let missed = counters.updating { metrics -> Int in
        metrics.missedLogprobs += 1
        return metrics.missedLogprobs
      }
      if missed == 1 {
        logger.warning(
          "an answer has no usable log-probabilities; it is a label without them", metadata: ["found": "\(error.found)"]
        )
      }
      return nil
    }
  }

  /// Why log-probabilities cannot be used.
  package struct Unusable: Error, Sendable {
    package let found: String
  }

  /// The log-probabilities of a call's arguments.
  ///
  /// - Throws: ``Unusable``.
  package static func read(
    _ logprobs: JSON?, of call: Call, _ vocabulary: TokenVocabulary, top: Int
  ) throws(Unusable) -> TokenLogprobs {
    guard let content = logprobs?["content"]?.arrayValue, !content.isEmpty else {
      throw Unusable(found: "no logprobs.content")
    }
    guard content.count <= maximumTokens else { throw Unusable(found: "more than \(maximumTokens) tokens") }
    var text: [UInt8] = []
    var starts = [0]
    for (index, entry) in content.enumerated() {
      guard let bytes = bytes(of: entry) else { throw Unusable(found: "token \(index) without its text") }
      text += bytes
      starts.append(text.count)
    }
    guard let range = JSONText.range(of: call.arguments, in: text) else {
      throw Unusable(found: "the call's arguments nowhere in the tokens' text")
    }
    let places = content.indices.filter { starts[$0] < range.upperBound && starts[$0 + 1] > range.lowerBound }
    var (tokens, ids, logs): ([Int32], [Int32], [Float16]) = ([], [], [])
    for place in places {
      let known = try alternatives(of: content[place], place, vocabulary).prefix(top)
      tokens.append(id(of: Array(text[starts[place]..<starts[place + 1]]), vocabulary) ?? TokenLogprobs.none)
      ids += known.map(\.id) + [Int32](repeating: TokenLogprobs.none, count: top - known.count)
      logs += known.map(\.log) + [Float16](repeating: 0, count: top - known.count)
    }
    do {
      return try TokenLogprobs(
        tokenizer: vocabulary.digest, top: top, tokens: tokens, alternatives: ids, logprobs: logs)
    } catch {
      throw Unusable(found: error.description)
    }
  }

  /// The bytes of a token: those that the endpoint gives, else those of its text.
  private static func bytes(of entry: JSON) -> [UInt8]? {
    guard let list = entry["bytes"]?.arrayValue else {
      return entry["token"]?.stringValue.map { Array($0.utf8) }
    }
    let bytes = list.compactMap { $0.integerValue.flatMap { UInt8(exactly: $0) } }
    return bytes.count == list.count ? bytes : nil
  }

  /// A token's id. A replacement character stands for bytes that the endpoint could not print, and for no token.
  private static func id(of bytes: [UInt8], _ vocabulary: TokenVocabulary) -> Int32? {
    for start in bytes.indices.dropLast(2) where bytes[start...].starts(with: [0xEF, 0xBF, 0xBD]) { return nil }
    return vocabulary.id(of: bytes)
  }

  /// The alternatives for a token that the vocabulary has, the likeliest first; what it has not is left to the tail.
  private static func alternatives(
    of entry: JSON, _ place: Int, _ vocabulary: TokenVocabulary
  ) throws(Unusable) -> [(id: Int32, log: Float16)] {
    guard let list = entry["top_logprobs"]?.arrayValue, (1...maximumAlternatives).contains(list.count) else {
      throw Unusable(found: "token \(place) without 1 to \(maximumAlternatives) top_logprobs")
    }
    var (mass, seen): (Double, Set<Int32>) = (0, [])
    var result: [(id: Int32, log: Float16)] = []
    for alternative in list {
      guard let log = alternative["logprob"]?.doubleValue, log.isFinite, log <= 1e-3, let bytes = bytes(of: alternative)
      else { throw Unusable(found: "token \(place) with an alternative that has no text, or no logprob of at most 0") }
      mass += exp(log)
      guard let id = id(of: bytes, vocabulary), seen.insert(id).inserted else { continue }
      // What halves cannot hold is no probability worth speaking of; and there is one zero.
      let half = Float16(max(-10_000, min(0, log)))
      result.append((id, half == 0 ? 0 : half))
    }
    guard mass <= 1 + tolerance else {
      throw Unusable(found: "token \(place) with probabilities that add up to \(mass)")
    }
    return result.sorted { ($1.log, $0.id) < ($0.log, $1.id) }
  }
}
