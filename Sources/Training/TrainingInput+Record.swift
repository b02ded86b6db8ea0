public import Topics

extension TrainingInput {
  /// A record of the sample topic.
  public init(_ record: SampleRecord) {
    guard record.kind == .sample, let sample = TrainingSample(record) else {
      self = .cut(record.digest)
      return
    }
    self = .sample(sample)
  }
}

extension TrainingSample {
  /// What training needs of a sample record; `nil` for a cut.
  public init?(_ record: SampleRecord) {
    guard let call = record.call, let split = record.split else { return nil }
    self.init(
      id: record.id, digest: record.digest, messages: record.messages, call: call, split: split,
      weight: record.weight, audited: record.audited, drifting: record.drifting, judged: record.judged,
      topLogprobs: record.topLogprobs)
  }
}
