import Topics

/// What a replay made, and how it compares with the live model.
struct ReplayReport {
  let manifest: Manifest
  /// What relabelling came to; nil where there was none.
  let labels: [RequestOutcome: Int]?
  /// Versions of the live model that were trained on the same samples.
  var sameSamples: [Int] = []
  /// Versions of the live model whose weights file is the same.
  var sameFile: [Int] = []
  /// By the live labels, and by those of the relabelling; nil where there is nothing to compare with or by.
  var comparison: ComparisonReport?
  var comparisonRelabelled: ComparisonReport?

  init(manifest: Manifest, labels: [RequestOutcome: Int]?) {
    self.manifest = manifest
    self.labels = labels
  }

  var json: JSON {
    func numbers(_ list: [Int]) -> JSON { .array(list.map { .integer(Int64($0)) }) }
    var object: JSONObject = [
      "name": .string(manifest.model), "version": .integer(Int64(manifest.version)),
      "sha256": .string(manifest.weights?.sha256.hex ?? ""), "bytes": .integer(manifest.weights?.bytes ?? 0),
      "manifest_digest": .string(manifest.digest.hex), "lineage": manifest.lineage.json,
      "same_samples_as": numbers(sameSamples), "same_file_as": numbers(sameFile),
      "comparison": comparison?.json ?? .null,
    ]
    if let labels {
      func count(_ outcome: RequestOutcome) -> JSON { .integer(Int64(labels[outcome] ?? 0)) }
      object["labels"] = [
        "requests": .integer(Int64(labels.values.reduce(0, +))), "samples": count(.sampled),
        "skipped": count(.skipped), "deadletters": count(.dead),
      ]
      object["comparison_relabelled"] = comparisonRelabelled?.json ?? .null
    }
    return .object(object)
  }

  var text: String {
    let lineage = manifest.lineage
    var lines = [
      "\(manifest.model) version \(manifest.version): \(Figures.bytes(Int(manifest.weights?.bytes ?? 0))), "
        + "SHA-256 \(manifest.weights?.sha256.hex ?? "")",
      "read \(lineage.samples) samples, held-out ones too, of \(lineage.topic ?? "samples") from offset \(lineage.fromOffset) to "
        + "\(lineage.toOffset), \(lineage.erased) erased; chain \(lineage.chain.hex)",
    ]
    func versions(_ list: [Int]) -> String { list.map(String.init).joined(separator: ", ") }
    if !sameFile.isEmpty {
      lines.append("the same file as the live version \(versions(sameFile))")
    } else if !sameSamples.isEmpty {
      lines.append("the same samples as the live version \(versions(sameSamples))")
    }
    let comparisons = [comparison, comparisonRelabelled].compactMap(\.self)
    if comparisons.isEmpty { lines.append("nothing to compare with: no live release, or no held-out sample") }
    for comparison in comparisons { lines += ["", comparison.text] }
    lines += [
      "",
      "Nothing was deployed. To serve it under its own name: "
        + "retort models promote --model \(manifest.model) \(manifest.version)",
    ]
    return lines.joined(separator: "\n")
  }
}
