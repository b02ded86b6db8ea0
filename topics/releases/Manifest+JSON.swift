extension Manifest {
  /// Reads a manifest of major version 1.
  ///
  /// - Throws: `TopicError` that says which field is wrong; `unknown_schema` for another major version.
  public init(json: JSON) throws(TopicError) {
    var fields = try Fields(json, in: "manifest")
    let schema = try fields.string("schema_version", 1...16)
    guard schema.hasPrefix("1."), Int(schema.dropFirst(2)) != nil else {
      throw TopicError(
        .schema, in: "manifest", at: "schema_version", expected: "version 1 with any minor", found: "\"\(schema)\"")
    }
    let model = try fields.string("model", 1...128)
    let version = try fields.int("version", 1...(1 << 53))
    let files = try fields.array("files", 1...16) { (json) throws(TopicError) -> ManifestFile in
      try ManifestFile(json: json)
    }
    guard files.filter({ $0.role == .weights }).count == 1 else {
      throw fields.invalid("files", "one file with the role weights", "\(files.map(\.role.rawValue))")
    }
    let architecture = try fields.nested("architecture") { (json) throws(TopicError) -> Architecture in
      try Architecture(json: json)
    }
    let pruning = try fields.optionalNested("pruning") { (json) throws(TopicError) -> Pruning in
      try Pruning(json: json)
    }
    let lineage = try fields.nested("lineage") { (json) throws(TopicError) -> Lineage in try Lineage(json: json) }
    let evidence = try fields.array("evidence", 0...1_000) { (json) throws(TopicError) -> Evidence in
      try Evidence(json: json)
    }
    self.init(
      model: model, version: version, files: files, architecture: architecture,
      parameters: try fields.integer("parameters", 1...(1 << 53)), precision: try fields.string("precision", 1...32),
      quantization: try fields.string("quantization", 1...32), pruning: pruning,
      tokenizerDigest: try fields.digest("tokenizer_digest"), template: try fields.string("template", 1...64),
      functionsDigest: try fields.digest("functions_digest"),
      minimumRuntime: try fields.string("minimum_runtime", 1...32), parent: try fields.optionalDigest("parent"),
      lineage: lineage, evidence: evidence,
      latency: try fields.optionalNested("latency") { (json) throws(TopicError) -> Latency in
        try Latency(json: json)
      },
      confidenceThreshold: try fields.optionalNumber("confidence_threshold", 0...1),
      confidenceCalibration: try fields.optionalNested("confidence_calibration") {
        (json) throws(TopicError) -> ConfidenceCalibration in try ConfidenceCalibration(json: json)
      },
      reasons: try fields.optionalStrings("reasons", 0...64, each: 1...4_096) ?? [],
      licence: try fields.string("licence", 1...512), created: try fields.time("created"))
    signature = try fields.optionalNested("signature") { (json) throws(TopicError) -> Signature in
      try Signature(json: json)
    }
    extra = fields.rest
    // The format's own minor version is part of the signed body, so one that is newer than ours is kept.
    if schema != Self.schemaVersion { extra["schema_version"] = .string(schema) }
  }

  /// The manifest with its signature, if it has one.
  public var json: JSON {
    guard case .object(var object) = body, let signature else { return body }
    object["signature"] = signature.json
    return .object(object)
  }

  /// The manifest without its signature.
  var body: JSON {
    var object: JSONObject = [
      "schema_version": .string(Self.schemaVersion), "model": .string(model), "version": .integer(Int64(version)),
      "files": .array(files.map(\.json)), "architecture": architecture.json, "parameters": .integer(parameters),
      "precision": .string(precision), "quantization": .string(quantization),
    ]
    object["pruning"] = pruning?.json
    object["tokenizer_digest"] = .string(tokenizerDigest.hex)
    object["template"] = .string(template)
    object["functions_digest"] = .string(functionsDigest.hex)
    object["minimum_runtime"] = .string(minimumRuntime)
    object["parent"] = parent.map { .string($0.hex) }
    object["lineage"] = lineage.json
    object["evidence"] = .array(evidence.map(\.json))
    object["latency"] = latency?.json
    object["confidence_threshold"] = confidenceThreshold.map { .number($0) }
    object["confidence_calibration"] = confidenceCalibration?.json
    if !reasons.isEmpty { object["reasons"] = .array(reasons.map { .string($0) }) }
    object["licence"] = .string(licence)
    object["created"] = .string(created)
    object.merge(extra)
    return .object(object)
  }
}
