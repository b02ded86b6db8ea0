import DemoWorld
import Evaluation
import Pipeline
import Topics

/// What the demo prints at its end.
struct DemoReport {
  let result: DemoRun.Result
  let folder: String?

  var json: JSON {
    let audit = result.labelled
    return [
      "requests": .integer(Int64(audit.requests)), "samples": .integer(Int64(audit.samples)),
      "skipped": .integer(Int64(audit.skipped)), "deadletters": .integer(Int64(audit.deadLetters)),
      "conservation": .bool(audit.holds), "releases": .integer(Int64(result.releases.count)),
      "promoted": .integer(Int64(result.releases.count { $0.isPromoted })),
      "adopted": .integer(Int64(result.adopted.count)), "exact_match": .number(result.unseen.exactMatch.estimate),
      "unseen": result.unseen.json, "prequential": .array(result.prequential.map { .number($0) }),
      "models": .array(result.releases.map(\.json)), "seconds": .number(result.seconds), "teacher": "stand-in",
    ]
  }

  var text: String {
    ([headline] + conservation + labels + learning + models + subscriber + examples + end).joined(separator: "\n")
  }

  private var headline: String {
    "\nThe whole loop ran in \(Figures.short(result.seconds)) s on \(result.threads) threads. The teacher is a stand-in: a program "
      + "that knows\nthe right answers and is wrong, malformed, slow or rate-limited at stated rates. No LLM was asked.\n"
  }

  private var conservation: [String] {
    let audit = result.labelled
    return [
      "Conservation  \(audit.requests) requests = \(audit.samples) samples + \(audit.skipped) skipped + \(audit.deadLetters) dead letters"
        + (audit.holds ? " (holds)" : " (DOES NOT HOLD)")
    ]
  }

  private var labels: [String] {
    let teacher = result.teacher
    let refused = result.refused.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    return [
      "Labels        \(result.labelled.samples) accepted; refused: \(refused.isEmpty ? "none" : refused)",
      "              the teacher had \(teacher.requests) calls, \(teacher.lookupTurns) of them asked to look something up; "
        + "\(teacher.wrong) were wrong,\n              \(teacher.malformed) malformed, \(teacher.slow) slow, \(teacher.rateLimited) rate-limited",
    ]
  }

  private var learning: [String] {
    let curve = result.prequential
    guard !curve.isEmpty else { return [] }
    let picks = [0, curve.count / 4, curve.count / 2, curve.count * 3 / 4, curve.count - 1]
    let points = picks.map { "\(Figures.percent(curve[$0])) (round \($0 + 1))" }
    return ["Prequential   " + points.joined(separator: ", ")]
  }

  private var models: [String] {
    var table = Table(["Releases      version", "verdict", "size", "exact match", "uncompressed", "latency"])
    for release in result.releases {
      table.add([
        "              \(release.version)", release.isPromoted ? "promoted" : "rejected", Figures.bytes(release.bytes),
        release.exactMatch.map { "\(Figures.percent($0)) of \(release.gateSamples)" } ?? "not measured",
        release.parentExactMatch.map(Figures.percent) ?? "",
        release.latencyP50.map { "\(Figures.short($0)) ms" } ?? "",
      ])
    }
    let rejected = result.releases.filter { !$0.isPromoted }.map {
      "              version \($0.version) was rejected: \($0.reasons.first ?? "")"
    }
    let unseen = result.unseen
    return [table.text] + rejected + [
      "Unseen        \(Figures.percent(unseen.exactMatch.estimate)) exact match of \(unseen.count) requests that were never in the log "
        + "(95 %: \(Figures.percent(unseen.exactMatch.lower)) to \(Figures.percent(unseen.exactMatch.upper)))"
    ]
  }

  private var subscriber: [String] {
    let versions = result.adopted.map(String.init).joined(separator: ", ")
    return ["Subscriber    verified, probed and switched to version \(versions.isEmpty ? "none" : versions)"]
  }

  private var examples: [String] {
    ["Examples"]
      + result.examples.flatMap {
        ["              \($0.text)", "              → \($0.answer)\($0.isRight ? "" : "   (wrong)")"]
      }
  }

  private var end: [String] {
    guard let folder else {
      return [
        "", "Nothing was kept. Next: look into a run with `retort demo --dir FOLDER`, or start one of your own with",
        "`retort init --functions FILE` and `retort requests import FILE`.",
      ]
    }
    return [
      "", "Everything is in \(folder): look around with",
      "  cd \(folder) && retort status && retort models list && retort deadletters list",
    ]
  }
}
