import Evaluation
package import Topics

/// The newest gate samples with their places, who labelled them, and which of them were labelled anew.
///
/// The window moves with the log, so that no two verdicts far apart are on the same samples; for a student that starts over
/// it does not move back.
package struct GateWindow {
  /// A gate sample as it stands now.
  package struct Entry: Sendable {
    package let sample: MeasuredSample
    package let offset: Int64
    /// The producer and the beginning of the digest of its instructions: a new prompt is a new teacher.
    package let teacher: String
    /// Whether an earlier version in the log had another call.
    package let hasChanged: Bool

    package init(sample: MeasuredSample, offset: Int64, teacher: String, hasChanged: Bool) {
      self.sample = sample
      self.offset = offset
      self.teacher = teacher
      self.hasChanged = hasChanged
    }
  }

  private let entries: [Entry]

  /// The newest `limit` of the entries, which are in the order of the log.
  package init(_ entries: [Entry], limit: Int) { self.entries = entries.suffix(max(0, limit)) }

  /// Up to where a candidate is measured: as far as its student has come, or any release before it. So an early release
  /// point of a student that starts over must answer what the live release answers, of later traffic and functions too.
  ///
  /// Not up to the log's end: how many labels there are by then depends on the clock, and a verdict must not.
  ///
  /// - Parameters:
  ///   - position: the offset of `samples` after the last one that the candidate's student has consumed.
  ///   - releases: those of its name so far.
  package static func end(of position: Int64, after releases: [Manifest]) -> Int64 {
    // Offsets of a topic of relabelled samples are others.
    releases.filter { $0.lineage.topic == nil }.reduce(position) { max($0, $1.lineage.toOffset) }
  }

  /// The samples, oldest first.
  package var samples: [MeasuredSample] { entries.map(\.sample) }

  /// The share of the samples at or behind an offset, 0 to 1; 0 of none.
  package func share(from offset: Int64) -> Double {
    entries.isEmpty ? 0 : Double(entries.count { $0.offset >= offset }) / Double(entries.count)
  }

  /// How many labels each version of the teacher gave, and the share of them that replaced another call.
  package var labelEvidence: [Evidence] {
    Dictionary(grouping: entries, by: \.teacher).sorted { $0.key < $1.key }.prefix(100).map { teacher, own in
      var entry = Evidence(
        metric: "label_changes", value: Double(own.count(where: \.hasChanged)) / Double(own.count), n: own.count,
        subject: .candidate)
      entry.extra["teacher"] = .string(teacher)
      return entry
    }
  }

  /// How a sample names its teacher.
  static func teacher(of sample: SampleRecord) -> String {
    (sample.producer ?? "unknown") + (sample.promptDigest.map { "/" + $0.hex.prefix(8) } ?? "")
  }
}
