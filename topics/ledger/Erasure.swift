/// What a deletion request erased: enough to account for it, and nothing of what it said.
public struct Erasure: Sendable, Hashable {
  /// The SHA-256 of the request's id.
  public var idDigest: Digest
  /// Where its requests lay that had an outcome. Of this and the following at most 100,000 ranges each, and
  /// as many in all as a record of the ledger has room for: some 80,000.
  public var requests: [OffsetRange]
  /// Where its samples of the train split lay in `samples`, older versions too.
  public var samples: [OffsetRange]
  /// Where its held-out samples lay, which no training saw.
  public var heldOut: [OffsetRange]
  /// Where its dead letters lay.
  public var deadLetters: [OffsetRange]
  /// Fields that this version does not know.
  public var extra: JSONObject = [:]

  /// An erasure of nothing yet.
  public init(
    idDigest: Digest, requests: [OffsetRange] = [], samples: [OffsetRange] = [], heldOut: [OffsetRange] = [],
    deadLetters: [OffsetRange] = []
  ) {
    self.idDigest = idDigest
    self.requests = requests
    self.samples = samples
    self.heldOut = heldOut
    self.deadLetters = deadLetters
  }

  /// Reads `{"id_digest", "requests", "samples", "held_out", "deadletters"}`.
  ///
  /// - Throws: `TopicError` when a field is missing or wrong.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "erasure")
    idDigest = try fields.digest("id_digest")
    func ranges(_ name: String) throws(TopicError) -> [OffsetRange] {
      try fields.optionalArray(name, 0...100_000) { (json) throws(TopicError) -> OffsetRange in
        try OffsetRange(json: json)
      } ?? []
    }
    requests = try ranges("requests")
    samples = try ranges("samples")
    heldOut = try ranges("held_out")
    deadLetters = try ranges("deadletters")
    extra = fields.rest
  }

  /// The erasure as JSON.
  public var json: JSON {
    var object: JSONObject = ["id_digest": .string(idDigest.hex)]
    for (name, ranges) in [
      ("requests", requests), ("samples", samples), ("held_out", heldOut), ("deadletters", deadLetters),
    ] where !ranges.isEmpty {
      object[name] = .array(ranges.map(\.json))
    }
    object.merge(extra)
    return .object(object)
  }
}
