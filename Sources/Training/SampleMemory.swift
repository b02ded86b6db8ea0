package import Topics

/// The samples that a trainer has consumed: those that wait, those it has learned from, and the names of the others.
///
/// Entries keep the order of their arrival. A relabelled sample leaves its place and joins at the end; an erased one is
/// gone. Everything derived (pool, draws) is a function of the entries in their order, so a memory that was written and
/// read back behaves as the one that was never away.
package struct SampleMemory: Sendable {
  /// What a sample is to training.
  package enum Kind: String, Sendable {
    /// Of the train split: it waits or has been learned.
    case train
    /// Of the dev or gate split: only its name is kept.
    case held
    /// Of the train split but not learnable, too long for instance: only its name is kept.
    case skipped
  }

  /// One consumed sample.
  package struct Entry: Sendable {
    /// Counts the accepted samples; also the order.
    package let sequence: Int
    package let id: String
    package let digest: Digest
    package var kind: Kind
    /// The sample itself, of train entries only.
    package var sample: TrainingSample?
  }

  /// A sample that is trained on, and how often it has been presented.
  package struct Learned: Sendable {
    package let sequence: Int
    package let sample: TrainingSample
    package var presentations: Int
  }

  /// What accepting a sample did.
  package enum Change: Sendable, Hashable {
    /// The same version was there already.
    case repeated
    /// The sample is new, or a new version.
    case accepted
  }

  package private(set) var entries: [Entry] = []
  package private(set) var learned: [Learned] = []
  /// The values of what has been learned, in order; after a removal made again when it is asked for, since a thousand new
  /// versions may come before that.
  package var pool: ValuePool {
    mutating get {
      if let knownPool { return knownPool }
      let pool = learned.reduce(into: ValuePool()) { $0.add($1.sample.call) }
      knownPool = pool
      return pool
    }
  }
  /// The sequence of the next accepted sample.
  package private(set) var nextSequence = 0
  /// By the bytes of the ids, as the log tells them apart: two spellings of one text are two ids.
  private var versions: [[UInt8]: (digest: Digest, sequence: Int)] = [:]
  private var knownPool: ValuePool? = ValuePool()
  private var waiting = 0
  private var waitingStart = 0
  private var touched: Set<Int> = []

  /// How many sequences one segment of the stored form spans.
  package static let segmentSpan = 2_048

  package init() {}

  /// The number of train samples that wait for their round.
  package var pendingCount: Int { waiting }

  /// The train samples that wait, in order, at most `limit`.
  package func pending(_ limit: Int) -> [Entry] {
    var result: [Entry] = []
    var index = Self.firstIndex(atOrAfter: waitingStart, in: entries, \.sequence)
    while index < entries.count && result.count < limit {
      if entries[index].kind == .train { result.append(entries[index]) }
      index += 1
    }
    return result
  }

  /// Takes a sample in. The same version again changes nothing; another version replaces the one before.
  package mutating func accept(_ sample: TrainingSample) -> Change {
    if let known = versions[Array(sample.id.utf8)] {
      if known.digest == sample.digest { return .repeated }
      remove(id: sample.id)
    }
    let isTrain = sample.split == .train
    versions[Array(sample.id.utf8)] = (sample.digest, nextSequence)
    entries.append(
      Entry(
        sequence: nextSequence, id: sample.id, digest: sample.digest, kind: isTrain ? .train : .held,
        sample: isTrain ? sample : nil))
    if isTrain { waiting += 1 }
    touch(nextSequence)
    nextSequence += 1
    return .accepted
  }

  /// Erases a sample; whether there was one.
  @discardableResult
  package mutating func remove(id: String) -> Bool {
    guard let version = versions.removeValue(forKey: Array(id.utf8)) else { return false }
    let index = Self.firstIndex(atOrAfter: version.sequence, in: entries, \.sequence)
    guard index < entries.count, entries[index].sequence == version.sequence else { return false }
    let entry = entries.remove(at: index)
    touch(entry.sequence)
    guard entry.kind == .train else { return true }
    if entry.sequence >= waitingStart {
      waiting -= 1
    } else {
      learned.remove(at: Self.firstIndex(atOrAfter: entry.sequence, in: learned, \.sequence))
      knownPool = nil
    }
    return true
  }

  /// Moves waiting samples to the learned ones, or marks them skipped; they must be the first that wait.
  package mutating func learn(_ samples: [Entry], skipping skipped: Set<Int>) {
    for entry in samples {
      waiting -= 1
      waitingStart = entry.sequence + 1
      if skipped.contains(entry.sequence) {
        skip(entry.sequence)
      } else if let sample = entry.sample {
        learned.append(Learned(sequence: entry.sequence, sample: sample, presentations: 0))
        knownPool?.add(sample.call)
      }
    }
  }

  /// The indices of learned samples by function, the functions in the order of their names.
  package var learnedByFunction: [[Int]] {
    Dictionary(grouping: learned.indices) { learned[$0].sample.call.name }
      .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map(\.value)
  }

  /// Counts one more presentation of a learned sample and returns how many there were before.
  package mutating func present(_ index: Int) -> Int {
    learned[index].presentations += 1
    return learned[index].presentations - 1
  }

  private mutating func skip(_ sequence: Int) {
    let index = Self.firstIndex(atOrAfter: sequence, in: entries, \.sequence)
    guard index < entries.count, entries[index].sequence == sequence else { return }
    entries[index].kind = .skipped
    entries[index].sample = nil
    touch(sequence)
  }

  private mutating func touch(_ sequence: Int) { touched.insert(sequence / Self.segmentSpan) }

  private static func firstIndex<Item>(
    atOrAfter sequence: Int, in items: [Item], _ sequenceOf: (Item) -> Int
  ) -> Int {
    var low = 0
    var high = items.count
    while low < high {
      let middle = (low + high) / 2
      if sequenceOf(items[middle]) < sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

// The stored form: entries in segments of `segmentSpan` sequences, one JSON object a line.
extension SampleMemory {
  /// The number of segments, the last one perhaps not yet full.
  package var segmentCount: Int { (nextSequence + Self.segmentSpan - 1) / Self.segmentSpan }

  /// The sequence below which every train sample has been learned or skipped.
  package var learnedThrough: Int { waitingStart }

  /// The segments changed since the last call.
  package mutating func takeTouchedSegments() -> Set<Int> {
    defer { touched = [] }
    return touched
  }

  /// The lines of one segment.
  package func segment(_ number: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    var index = Self.firstIndex(atOrAfter: number * Self.segmentSpan, in: entries, \.sequence)
    while index < entries.count, entries[index].sequence < (number + 1) * Self.segmentSpan {
      bytes += entries[index].json.bytes
      bytes.append(0x0A)
      index += 1
    }
    return bytes
  }

  /// A memory from its stored form.
  ///
  /// - Parameters:
  ///   - segments: The lines of every segment in order.
  ///   - learnedThrough: As ``learnedThrough`` was.
  ///   - nextSequence: As ``nextSequence`` was.
  ///   - presentations: One count for each learned sample in order.
  /// - Returns: `nil` where the parts contradict each other or a line is not an entry.
  package init?(segments: [[UInt8]], learnedThrough: Int, nextSequence: Int, presentations: [Int]) {
    self.init()
    for (number, bytes) in segments.enumerated() {
      for line in bytes.split(separator: 0x0A) {
        // A line nests deeper than the record that its sample is of, and may be longer than what is read by default.
        guard let json = try? JSON.parse(line, maximumDepth: 512, maximumBytes: .max), let entry = Entry(json: json),
          entry.sequence / Self.segmentSpan == number, entry.sequence >= 0, entry.sequence < nextSequence,
          entry.sequence > entries.last?.sequence ?? -1,
          versions.updateValue((entry.digest, entry.sequence), forKey: Array(entry.id.utf8)) == nil
        else { return nil }
        entries.append(entry)
      }
    }
    var counts = presentations.makeIterator()
    for entry in entries where entry.kind == .train {
      guard let sample = entry.sample else { return nil }
      if entry.sequence >= learnedThrough {
        waiting += 1
      } else {
        guard let count = counts.next() else { return nil }
        learned.append(Learned(sequence: entry.sequence, sample: sample, presentations: count))
        knownPool?.add(sample.call)
      }
    }
    guard counts.next() == nil, segments.count == (nextSequence + Self.segmentSpan - 1) / Self.segmentSpan else {
      return nil
    }
    self.nextSequence = nextSequence
    waitingStart = learnedThrough
  }
}

extension SampleMemory.Entry {
  fileprivate var json: JSON {
    var object = JSONObject()
    object["sequence"] = .integer(Int64(sequence))
    object["kind"] = .string(kind.rawValue)
    if let sample {
      object["sample"] = sample.json
    } else {
      object["id"] = .string(id)
      object["digest"] = .string(digest.hex)
    }
    return .object(object)
  }

  fileprivate init?(json: JSON) {
    guard let sequence = json["sequence"]?.integerValue.flatMap({ Int(exactly: $0) }),
      let kind = json["kind"]?.stringValue.flatMap({ SampleMemory.Kind(rawValue: $0) })
    else { return nil }
    if kind == .train {
      guard let sample = json["sample"].flatMap({ TrainingSample(json: $0) }) else { return nil }
      self.init(sequence: sequence, id: sample.id, digest: sample.digest, kind: kind, sample: sample)
    } else {
      guard let id = json["id"]?.stringValue,
        let digest = json["digest"]?.stringValue.flatMap({ Digest(hex: $0) })
      else { return nil }
      self.init(sequence: sequence, id: id, digest: digest, kind: kind, sample: nil)
    }
  }
}
