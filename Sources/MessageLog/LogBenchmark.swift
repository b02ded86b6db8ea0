/// Measures how fast a log appends and reads, for `retort bench log`.
public enum LogBenchmark {
  /// What was measured.
  public struct Result: Sendable, Hashable {
    /// Records appended and acknowledged per second.
    public var appendPerSecond: Double
    /// Records read per second.
    public var readPerSecond: Double
    /// How many records were appended, and read back.
    public var records: Int
  }

  /// Appends records of random, incompressible bytes, a few batches at a time as a busy producer does, then reads them
  /// all back and checks that none is missing or altered in size.
  ///
  /// - Parameters:
  ///   - log: an open log; a topic of one partition is created in it and filled.
  ///   - topic: the topic's name; it must not exist yet or be empty.
  ///   - records: how many, at least 1.
  ///   - valueBytes: the size of each value.
  ///   - batch: how many records each append and each read carries.
  ///   - inFlight: how many appends are under way at once.
  /// - Throws: ``MessageLogError``; `.corrupt` when what was read is not what was appended.
  public static func run(
    log: any MessageLog, topic: String = "bench", records: Int = 200_000, valueBytes: Int = 1024, batch: Int = 1000,
    inFlight: Int = 8
  ) async throws -> Result {
    guard records > 0, valueBytes >= 0, batch > 0, inFlight > 0 else {
      throw MessageLogError(
        .invalid, "nothing to measure", expected: "records and batch above 0",
        found: "\(records) records in batches of \(batch)", advice: "correct the arguments")
    }
    try await log.create([
      TopicConfiguration(name: topic, maximumMessageBytes: max(1_048_576, valueBytes + 1024))
    ])
    let batches = payload(topic: topic, count: min(batch, records), valueBytes: valueBytes)
    let partition = TopicPartition(topic: topic, partition: 0)
    // The first append connects, which is not what is measured.
    _ = try await log.append([batches[0][0]])
    let start = try await log.watermarks(of: partition).high
    let clock = ContinuousClock()
    let began = clock.now
    try await append(batches, to: log, records: records, inFlight: inFlight)
    let appended = seconds(clock.now - began)
    let reader = try await log.reader(
      of: [partition: .offset(start)],
      options: ReaderOptions(maximumPrefetch: 100_000, maximumPrefetchBytes: 64 << 20))
    let readBegan = clock.now
    do {
      try await readBack(reader, records: records, valueBytes: valueBytes, batch: batch)
    } catch {
      await reader.close()
      throw error
    }
    let read = seconds(clock.now - readBegan)
    await reader.close()
    return Result(
      appendPerSecond: Double(records) / appended, readPerSecond: Double(records) / read, records: records)
  }

  /// A few distinct batches, made before the clock starts: the log is measured, not the generator.
  private static func payload(topic: String, count: Int, valueBytes: Int) -> [[NewRecord]] {
    var generator = SplitMix64(state: 0x9E37_79B9_7F4A_7C15)
    return (0..<8).map { _ in
      (0..<count).map { _ in
        var value = [UInt8](repeating: 0, count: valueBytes)
        value.withUnsafeMutableBytes { bytes in
          var at = 0
          while at < bytes.count {
            withUnsafeBytes(of: generator.next().littleEndian) { word in
              for byte in word where at < bytes.count {
                bytes[at] = byte
                at += 1
              }
            }
          }
        }
        return NewRecord(topic: topic, partition: 0, key: nil, value: value)
      }
    }
  }

  private static func append(
    _ batches: [[NewRecord]], to log: any MessageLog, records: Int, inFlight: Int
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      var left = records
      var turn = 0
      while left > 0 {
        if turn >= inFlight { try await tasks.next() }
        let whole = batches[turn % batches.count]
        let next = whole.count <= left ? whole : Array(whole.prefix(left))
        tasks.addTask { _ = try await log.append(next) }
        left -= next.count
        turn += 1
      }
      try await tasks.waitForAll()
    }
  }

  private static func readBack(
    _ reader: any RecordReader, records: Int, valueBytes: Int, batch: Int
  ) async throws {
    var count = 0
    while count < records {
      let found = try await reader.next(maximum: batch, timeout: .seconds(30))
      guard !found.isEmpty, found.allSatisfy({ $0.value?.count == valueBytes }) else {
        throw MessageLogError(
          .corrupt, "the benchmark did not read what it appended",
          expected: "\(records) records of \(valueBytes) bytes",
          found: "\(count) of them", advice: "check the log")
      }
      count += found.count
    }
  }

  private static func seconds(_ duration: Duration) -> Double {
    let parts = duration.components
    return max(1e-9, Double(parts.seconds) + Double(parts.attoseconds) * 1e-18)
  }

  /// Reference: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
  private struct SplitMix64 {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }
}
