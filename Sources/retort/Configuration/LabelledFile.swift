import Pipeline
import Topics

/// Labelled requests in a file: JSONL of `{"id", "text" or "messages", "call"}`.
enum LabelledFile {
  /// - Throws: ``ConfigurationError`` for a line that is no labelled request, or where there is none at all.
  static func read(_ path: String) throws -> [MeasuredSample] {
    var samples: [MeasuredSample] = []
    let lines = try LineReader(path: path)
    for (index, line) in lines.enumerated() where !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) {
      do {
        let request = try RequestRecord(imported: JSON.parse(line))
        guard let call = try request.response?.answeredCall() else {
          throw ConfigurationError("expected a call, found none")
        }
        samples.append(MeasuredSample(id: request.id, messages: request.messages, call: call))
      } catch {
        throw ConfigurationError("\(path), line \(index + 1): \(error)")
      }
    }
    if let failure = lines.failure { throw ConfigurationError(failure) }
    guard !samples.isEmpty else {
      throw ConfigurationError("\(path): expected at least one labelled request, found none")
    }
    return samples
  }
}
