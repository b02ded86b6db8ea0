public import ModelFiles

/// What pruning is asked for, as text: parts separated by commas, or `none`.
///
/// - An axis and how much of it stays: `ffn=0.875`, `layers=20`, `hidden=-25%`, `kv=1`. A number with a point or a percent
///   sign is a share of what there is, `-12.5%` what goes; a whole number is a count. Shares are rounded to what is possible.
/// - `vocabulary=used`: tokens that the samples never use go.
/// - One target for the whole model: `parameters=-20%`, `bytes=1.5MB` (of the file as it will be stored) or `latency=-30%`
///   (multiply-adds of one decoded token). What of the axes reaches it with the least harm is measured, see ``ShapeSearch``.
public struct PruningPlan: Sendable, Hashable {
  /// An axis with sizes.
  public enum Axis: String, Sendable, Hashable, CaseIterable {
    /// F, the feed-forward width of every block.
    case feedForward = "ffn"
    /// Whole blocks.
    case layers
    /// C, the residual channels, with as many query heads.
    case hidden
    /// Key/value groups with their query heads.
    case keyValueGroups = "kv"
  }

  /// What a target is measured in.
  public enum Measure: String, Sendable, Hashable, CaseIterable {
    /// The number of parameters.
    case parameters
    /// The bytes of the file.
    case bytes
    /// The multiply-adds of one decoded token after 64 others: an estimate that no clock enters.
    case latency
  }

  /// How much stays.
  public enum Amount: Sendable, Hashable {
    /// So many.
    case count(Int)
    /// This share, above 0 and at most 1.
    case share(Double)
  }

  /// A limit of the whole model.
  public struct Target: Sendable, Hashable {
    /// In what.
    public var measure: Measure
    /// At most this.
    public var amount: Amount

    /// A limit.
    public init(measure: Measure, amount: Amount) {
      self.measure = measure
      self.amount = amount
    }
  }

  /// The axes that are given.
  public var axes: [Axis: Amount] = [:]
  /// Whether tokens that no sample uses go.
  public var dropsUnusedTokens = false
  /// The limit, if there is one.
  public var target: Target?

  /// A plan that takes nothing out.
  public init() {}

  /// A plan that keeps a share of the feed-forward neurons.
  public init(feedForwardKeep share: Double) { if share < 1 { axes[.feedForward] = .share(share) } }

  /// Whether nothing is taken out.
  public var isEmpty: Bool { axes.isEmpty && !dropsUnusedTokens && target == nil }

  /// Reads a plan.
  ///
  /// - Throws: ``CompressionError`` `invalid_policy`, naming the part.
  public init(_ text: String) throws(CompressionError) {
    if text == "none" || text.isEmpty { return }
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard sides.count == 2 else { throw Self.invalid(String(part), "NAME=AMOUNT") }
      let (name, value) = (sides[0], sides[1])
      if name == "vocabulary" {
        guard value == "used" else { throw Self.invalid(String(part), "vocabulary=used") }
        dropsUnusedTokens = true
      } else if let axis = Axis(rawValue: name) {
        guard axes.updateValue(try Self.amount(value, of: name), forKey: axis) == nil else {
          throw Self.invalid(String(part), "each axis once")
        }
      } else if let measure = Measure(rawValue: name) {
        guard target == nil else { throw Self.invalid(String(part), "one target") }
        target = Target(measure: measure, amount: try Self.amount(value, of: name))
      } else {
        let names = Axis.allCases.map(\.rawValue) + ["vocabulary"] + Measure.allCases.map(\.rawValue)
        throw Self.invalid(name, "one of " + names.joined(separator: ", "))
      }
    }
  }

  /// The plan as text that reads back as the same.
  public var text: String {
    var parts = Axis.allCases.compactMap { axis in axes[axis].map { "\(axis.rawValue)=\($0.text)" } }
    if dropsUnusedTokens { parts.append("vocabulary=used") }
    if let target { parts.append("\(target.measure.rawValue)=\(target.amount.text)") }
    return parts.isEmpty ? "none" : parts.joined(separator: ",")
  }

  /// The shape that the axes give, before any target.
  ///
  /// - Throws: ``CompressionError`` `mismatch` where it is not possible.
  public func shape(of parent: DecoderConfiguration) throws(CompressionError) -> PruningShape {
    var shape = PruningShape(parent)
    func size(_ axis: Axis, _ before: Int, unit: Int) -> Int {
      switch axes[axis] {
      case nil: before
      case .count(let count): count
      case .share(1): before
      case .share(let share):
        min(before, max(unit, Int((Double(before) * share / Double(unit)).rounded()) * unit))
      }
    }
    shape.feedForwardSize = size(.feedForward, shape.feedForwardSize, unit: 32)
    shape.layerCount = size(.layers, shape.layerCount, unit: 1)
    shape.keyValueHeadCount = size(.keyValueGroups, shape.keyValueHeadCount, unit: 1)
    shape.hiddenSize = size(.hidden, shape.hiddenSize, unit: Self.hiddenUnit(parent, groups: shape.keyValueHeadCount))
    if axes[.hidden] == nil, shape.keyValueHeadCount > 0 {
      // Query heads go with their group, and the residual stream is as wide as the query heads.
      shape.hiddenSize =
        parent.hiddenSize / parent.keyValueHeadCount * min(shape.keyValueHeadCount, parent.keyValueHeadCount)
    }
    _ = try shape.configuration(prunedFrom: parent)
    return shape
  }

  /// Checks that a share of an axis takes something out: the sizes that an axis can have may lie too far apart.
  ///
  /// - Throws: ``CompressionError`` `mismatch`, naming the sizes that are possible.
  package func checkSteps(of parent: DecoderConfiguration) throws(CompressionError) {
    let (before, after) = (PruningShape(parent), try shape(of: parent))
    let sizes: [(Axis, WritableKeyPath<PruningShape, Int>, unit: Int)] = [
      (.feedForward, \.feedForwardSize, 32), (.layers, \.layerCount, 1), (.keyValueGroups, \.keyValueHeadCount, 1),
      (.hidden, \.hiddenSize, Self.hiddenUnit(parent, groups: after.keyValueHeadCount)),
    ]
    for (axis, path, unit) in sizes {
      guard case .share(let share)? = axes[axis], share < 1, after[keyPath: path] == before[keyPath: path] else {
        continue
      }
      let whole = before[keyPath: path]
      let possible = stride(from: (whole - 1) / unit * unit, to: 0, by: -unit).prefix(4).map(String.init)
      throw CompressionError(
        .mismatch, context: "prune, \(axis.rawValue)",
        expected: possible.isEmpty
          ? "nothing, since \(whole) is the least that there can be"
          : "one of the sizes below \(whole) that are possible, \(possible.joined(separator: ", "))"
            + (whole - 1 >= 5 * unit ? " and so on" : ""),
        found: "\(axis.rawValue)=\(PruningPlan.Amount.share(share).text), which is nearest to \(whole) itself",
        advice: possible.first.map { "ask for \(axis.rawValue)=\($0), or prune another axis" } ?? "prune another axis")
    }
  }

  /// The steps in which the residual stream can become narrower: one query head from each group, and 32 channels.
  static func hiddenUnit(_ parent: DecoderConfiguration, groups: Int) -> Int {
    let heads = max(1, groups) * parent.headSize
    var unit = heads
    while unit % 32 != 0 { unit += heads }
    return unit
  }

  private static func amount(_ text: String, of name: String) throws(CompressionError) -> Amount {
    let expected = "\(name)= and a count, a share such as 0.875 or 80%, or what goes, such as -20%"
    guard !text.hasPrefix("+") else { throw invalid("\(name)=\(text)", expected) }
    if text.hasSuffix("%"), let percent = Double(text.dropLast()) {
      let share = text.hasPrefix("-") ? 1 + percent / 100 : percent / 100
      guard share > 0, share <= 1 else { throw invalid("\(name)=\(text)", expected) }
      return .share(share)
    }
    if name == Measure.bytes.rawValue, let last = text.last, last == "B" {
      guard let bytes = QuantizationPlan.bytes(text) else {
        throw invalid("\(name)=\(text)", "bytes= and a size such as 1.5MB")
      }
      return .count(bytes)
    }
    if !text.contains("."), let count = Int(text) {
      guard count > 0 else { throw invalid("\(name)=\(text)", expected) }
      return .count(count)
    }
    guard let share = Double(text), share > 0, share <= 1 else { throw invalid("\(name)=\(text)", expected) }
    return .share(share)
  }

  private static func invalid(_ found: String, _ expected: String) -> CompressionError {
    CompressionError(
      .invalidPolicy, context: "prune", expected: expected, found: "\"\(found.prefix(64))\"",
      advice: "see retort compress --help")
  }
}

extension PruningPlan.Amount {
  /// As a plan writes it.
  var text: String {
    switch self {
    case .count(let count): "\(count)"
    case .share(let share): share == 1 ? "1.0" : "\(share)"
    }
  }
}
