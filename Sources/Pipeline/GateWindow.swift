import Evaluation
package import Topics

/// The newest gate samples with their places, who labelled them, and which of them were labelled anew.
///
/// The window moves with the log, so that no two verdicts far apart are on the same samples.
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
