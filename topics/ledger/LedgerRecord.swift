/// The account of one label transaction: which requests it took, and what became of each. Or of a deletion request: what
/// it erased; such an account takes no requests.
///
/// The first account of samples with a new set of functions has its definitions: samples name them by digest alone.
public struct LedgerRecord: TopicValue, Hashable {
  /// The `schema` header of the records.
  public static let schemaName = "ledger/1.0"

  /// The topic's settings.
  public static let topic = TopicSpecification(
    name: "ledger", key: "label transaction id", cleanup: [.compact], maximumMessageBytes: 4 << 20,
    schemaName: schemaName, schema: PackageResources.ledger_schema_json)

  /// The transaction's name, which is also the key, 1 to 65,536 bytes; of a deletion request `forget/<digest of the id>`, of definitions alone
  /// `functions/<their digest>`.
  public var transaction: String
  /// The requests it took: of each partition one range of offsets.
  public var ranges: [OffsetRange]
  /// How many requests that were; offsets may have gaps.
  public var requests: Int
  /// How many had each outcome, by reason. The counts add up to `requests`.
  public var outcomes: [OutcomeCount]
  /// The skipped requests one by one; sampled and dead ones are found by their own records.
  public var skipped: [SkippedRequest]
  /// About how many of them the teacher was asked, by day and by the partition from whose part of the budget they were taken.
  public var asked: [AskedCount]
  /// What a deletion request erased.
  public var erasure: Erasure?
  /// Tool definitions, as ``FunctionSet`` reads and writes them, that no account before has.
  public var functions: JSON?
  /// When, RFC 3339.
  public var time: String?
  /// Fields that this version does not know.
  public var extra: JSONObject

  /// The account of a transaction; outcomes are what `ledger` readers add up.
  public init(
    transaction: String, ranges: [OffsetRange], requests: Int, outcomes: [OutcomeCount], skipped: [SkippedRequest],
    asked: [AskedCount] = [], time: String? = nil, extra: JSONObject = [:]
  ) {
    self.transaction = transaction
    self.ranges = ranges
    self.requests = requests
    self.outcomes = outcomes
    self.skipped = skipped
    self.asked = asked
    erasure = nil
    functions = nil
    self.time = time
    self.extra = extra
  }

  /// The account of a deletion request.
  public init(erasure: Erasure, time: String? = nil) {
    self.init(
      transaction: "forget/\(erasure.idDigest.hex)", ranges: [], requests: 0, outcomes: [], skipped: [], time: time)
    self.erasure = erasure
  }

  /// The account of definitions alone.
  public init(functions: FunctionSet) {
    self.init(
      transaction: "functions/\(functions.digest.hex)", ranges: [], requests: 0, outcomes: [], skipped: [])
    self.functions = functions.json
  }

  /// How many requests had `outcome`, all reasons together.
  public func count(of outcome: RequestOutcome) -> Int {
    outcomes.reduce(0) { $1.outcome == outcome ? $0 + $1.count : $0 }
  }

  /// Reads an account and checks that it adds up.
  ///
  /// - Throws: `TopicError` when a field is wrong or the sums are.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "ledger")
    // As long as the ranges of a thousand partitions, by which transactions were once named.
    transaction = try fields.string("transaction", 1...65_536)
    erasure = try fields.optionalNested("erasure") { (json) throws(TopicError) -> Erasure in try Erasure(json: json) }
    functions = fields.take("functions")
    if let functions { _ = try FunctionSet(json: functions) }
    let fewest = erasure == nil && functions == nil ? 1 : 0
    ranges = try fields.array("ranges", fewest...10_000) { (json) throws(TopicError) -> OffsetRange in
      try OffsetRange(json: json)
    }
    requests = try fields.int("requests", 0...1_000_000)
    outcomes = try fields.array("outcomes", 0...1_000) { (json) throws(TopicError) -> OutcomeCount in
      try OutcomeCount(json: json)
    }
    skipped =
      try fields.optionalArray("skipped", 0...100_000) { (json) throws(TopicError) -> SkippedRequest in
        try SkippedRequest(json: json)
      } ?? []
    asked =
      try fields.optionalArray("asked", 0...10_000) { (json) throws(TopicError) -> AskedCount in
        try AskedCount(json: json)
      } ?? []
    time = try fields.optionalTime("time")
    extra = fields.rest
    let sum = outcomes.reduce(0) { $0 + $1.count }
    guard sum == requests else {
      throw fields.invalid("outcomes", "counts that add up to the \(requests) requests", "\(sum)")
    }
    guard skipped.count == count(of: .skipped) else {
      throw fields.invalid("skipped", "the \(count(of: .skipped)) skipped requests", "\(skipped.count)")
    }
  }

  /// The record's value.
  public var json: JSON {
    var object: JSONObject = ["transaction": .string(transaction)]
    object["ranges"] = .array(ranges.map(\.json))
    object["requests"] = .integer(Int64(requests))
    object["outcomes"] = .array(outcomes.map(\.json))
    if !skipped.isEmpty { object["skipped"] = .array(skipped.map(\.json)) }
    if !asked.isEmpty { object["asked"] = .array(asked.map(\.json)) }
    object["erasure"] = erasure?.json
    object["functions"] = functions
    object["time"] = time.map { .string($0) }
    object.merge(extra)
    return .object(object)
  }
}
