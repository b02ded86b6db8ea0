/// Which part of the data a sample belongs to.
public enum Split: String, Sendable, Hashable, CaseIterable {
  /// Trained on.
  case train
  /// For the confidence's calibration and threshold; never trained on.
  case dev
  /// For the release gate alone; never trained on.
  case gate

  /// The split of a conversation: a pure function of its normalised text and the salt.
  ///
  /// The first eight bytes of SHA-256(salt, a zero byte, normalised text) are read as a fraction of 2^64: below
  /// `gateShare` it is gate, below `gateShare + devShare` dev, else train.
  ///
  /// - Parameters:
  ///   - salt: The deployment's salt; another salt is another split.
  ///   - devShare: The share of dev, 0 to 1.
  ///   - gateShare: The share of gate, 0 to 1; the sum of both at most 1.
  public static func assign(messages: [ChatMessage], salt: String, devShare: Double, gateShare: Double) -> Split {
    assign(normalisedText: NormalisedText.of(messages), salt: salt, devShare: devShare, gateShare: gateShare)
  }

  /// The split of a text that is already normalised.
  public static func assign(normalisedText: String, salt: String, devShare: Double, gateShare: Double) -> Split {
    let digest = Digest.sha256(Array(salt.utf8) + [0] + Array(normalisedText.utf8))
    let head = digest.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    // The top 53 bits, so that the fraction is exact.
    let fraction = Double(head >> 11) / Double(UInt64(1) << 53)
    if fraction < gateShare { return .gate }
    if fraction < gateShare + devShare { return .dev }
    return .train
  }
}
