public import Topics

/// A curated question with the call that the released file gave: a subscriber asks it again before it serves.
public struct Probe: Sendable, Hashable {
  /// The question; never live text.
  public let messages: [ChatMessage]
  /// The answer as a call; `nil` where the release gave none.
  public let call: Call?

  /// A question with its answer.
  public init(messages: [ChatMessage], call: Call?) {
    self.messages = messages
    self.call = call
  }

  /// Reads a file of probes: one `{"text" | "messages", "call"?}` a line.
  ///
  /// - Throws: ``ReleaseError`` with `probe_file`.
  public static func read(_ bytes: [UInt8], name: String) throws(ReleaseError) -> [Probe] {
    guard bytes.count <= 8 << 20 else {
      throw ReleaseError(
        .probeFile, name, expected: "at most 8 MB of probes", found: "\(bytes.count) bytes", advice: "use fewer probes")
    }
    var probes: [Probe] = []
    for (number, line) in bytes.split(separator: 0x0A).enumerated() where !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D })
    {
      do {
        let json = try JSON.parse(Array(line))
        let messages: [ChatMessage]
        if let text = json["text"]?.stringValue {
          messages = [.user(text)]
        } else {
          messages = try (json["messages"]?.arrayValue ?? []).map { (json) throws(TopicError) in
            try ChatMessage(json: json)
          }
        }
        guard !messages.isEmpty else {
          throw ReleaseError(
            .probeFile, "\(name), line \(number + 1)", expected: "text or messages", found: "neither",
            advice: "correct the line")
        }
        // `nil` alone would be the JSON value null here.
        let call = json["call"].flatMap { $0.isNull ? JSON?.none : $0 }
        probes.append(
          Probe(messages: messages, call: try call.map { (json) throws(TopicError) in try Call(json: json) }))
      } catch let error as ReleaseError {
        throw error
      } catch {
        throw ReleaseError(
          .probeFile, "\(name), line \(number + 1)", expected: "a probe", found: "\(error)",
          advice: "correct the line")
      }
    }
    return probes
  }

  /// A file of probes.
  public static func write(_ probes: [Probe]) -> [UInt8] {
    probes.flatMap { probe in
      JSON.object([
        "messages": .array(probe.messages.map(\.json)), "call": probe.call?.json ?? .null,
      ]).bytes + [0x0A]
    }
  }
}
