import MessageLog
import SQLiteLog
import Testing

@Suite("Batches, checksums and assignments")
struct CodecTests {
  private func checksum(_ text: String, seed: UInt64 = 0) -> UInt64 {
    Array(text.utf8).withUnsafeBytes { Checksum.xxh64($0, seed: seed) }
  }

  // Golden: python3 -c "import xxhash; print(hex(xxhash.xxh64_intdigest(b'...', 0)))"
  @Test("the checksum is XXH64")
  func checksums() {
    #expect(checksum("") == 0xEF46_DB37_51D8_E999)
    #expect(checksum("a") == 0xD24E_C4F1_A98C_6E5B)
    #expect(checksum("abc") == 0x44BC_2CF5_AD77_0999)
    #expect(checksum("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
    #expect(checksum("", seed: 1) != checksum(""))
  }

  private func sample(_ count: Int) -> [PendingRecord] {
    (0..<count).map { index in
      PendingRecord(
        offsetDelta: Int64(index * 3), timestamp: index % 2 == 0 ? Int64(index) * 1000 : -5,
        key: index % 3 == 0 ? nil : [UInt8](repeating: 1, count: index % 7), value: index % 5 == 0 ? nil : [1, 2, 3],
        headers: index % 4 == 0 ? [Header("h", "v"), Header("", bytes: [])] : [])
    }
  }

  private func stored(_ batch: EncodedBatch, data: [UInt8]? = nil, resealed: Bool = false) -> StoredBatch {
    let bytes = data ?? batch.data
    let hash = resealed ? bytes.withUnsafeBytes { Checksum.xxh64($0, seed: 0) } : batch.dataHash
    let next = 100 + Int64(batch.count * 3)
    let sum = BatchCodec.rowChecksum(
      dataHash: hash, partition: 1, base: 100, next: next, count: Int64(batch.count),
      maximumTime: batch.maximumTime)
    return StoredBatch(
      topicPartition: TopicPartition(topic: "t", partition: 0), partitionID: 1, base: 100, next: next,
      count: Int64(batch.count), maximumTime: batch.maximumTime, checksum: sum, data: bytes)
  }

  @Test("a batch comes back as it was, at any length", arguments: [1, 2, 7, 33, 1023])
  func roundTrip(_ count: Int) throws {
    let input = sample(count)
    let batch = BatchCodec.encode(input)
    let records = try StoredBatch.records(of: stored(batch))
    #expect(records.map(\.offset) == input.map { 100 + $0.offsetDelta })
    #expect(records.map(\.timestamp) == input.map(\.timestamp))
    #expect(records.map(\.key) == input.map(\.key))
    #expect(records.map(\.value) == input.map(\.value))
    #expect(records.map(\.headers) == input.map(\.headers))
    #expect(batch.maximumTime == input.map(\.timestamp).max())
    #expect(batch.tombstones == input.filter { $0.value == nil }.count)
    #expect(try StoredBatch.records(of: stored(batch), from: 103).count == count - 1)
  }

  @Test("any flipped bit fails the checksum")
  func flips() {
    let batch = BatchCodec.encode(sample(5))
    for bit in 0..<(batch.data.count * 8) {
      var data = batch.data
      data[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: MessageLogError.self) { try StoredBatch.records(of: stored(batch, data: data)) }
    }
  }

  @Test("bytes that pass the checksum but make no sense are an error, not a crash")
  func fuzz() {
    let batch = BatchCodec.encode(sample(9))
    var state: UInt64 = 7
    for _ in 0..<20_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      var data = batch.data
      let place = Int(state >> 33) % data.count
      if state & 3 == 0 { data.removeSubrange(place...) } else { data[place] = UInt8(truncatingIfNeeded: state >> 20) }
      _ = try? StoredBatch.records(of: stored(batch, data: data, resealed: true))
    }
  }

  @Test("partitions are shared evenly and moved as little as possible")
  func assignment() {
    let places = (0..<10).map { TopicPartition(topic: "t", partition: $0) }
    func members(_ names: String) -> [Assignor.Member] { names.map { .init(id: String($0), topics: ["t"]) } }
    func loads(_ owners: [TopicPartition: String]) -> [Int] {
      Dictionary(grouping: owners.values, by: \.self).values.map(\.count).sorted()
    }
    let one = Assignor.assign(members: members("a"), partitions: places, owners: [:])
    #expect(loads(one) == [10])
    let two = Assignor.assign(members: members("ab"), partitions: places, owners: one)
    #expect(loads(two) == [5, 5])
    let three = Assignor.assign(members: members("abc"), partitions: places, owners: two)
    #expect(loads(three) == [3, 3, 4])
    #expect(places.filter { two[$0] != three[$0] }.count == 3)
    let again = Assignor.assign(members: members("abc"), partitions: places.reversed(), owners: three)
    #expect(again == three)
    let left = Assignor.assign(members: members("bc"), partitions: places, owners: three)
    #expect(loads(left) == [5, 5])
    #expect(places.allSatisfy { three[$0] == "a" || three[$0] == left[$0] })
    #expect(Assignor.assign(members: [], partitions: places, owners: one).isEmpty)
    let apart = [Assignor.Member(id: "a", topics: ["t"]), Assignor.Member(id: "b", topics: ["u"])]
    #expect(Set(Assignor.assign(members: apart, partitions: places, owners: [:]).values) == ["a"])
  }
}
