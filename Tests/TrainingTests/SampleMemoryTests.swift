import Testing
import Topics
import Training

@Suite("The memory of samples") struct SampleMemoryTests {
  private func stored(_ memory: SampleMemory) -> SampleMemory? {
    SampleMemory(
      segments: (0..<memory.segmentCount).map { memory.segment($0) }, learnedThrough: memory.learnedThrough,
      nextSequence: memory.nextSequence, presentations: memory.learned.map(\.presentations))
  }

  private func same(_ a: SampleMemory, _ b: SampleMemory) -> Bool {
    a.learned.map(\.sample) == b.learned.map(\.sample)
      && a.learned.map(\.presentations) == b.learned.map(\.presentations)
      && a.pending(.max).map(\.sample) == b.pending(.max).map(\.sample) && a.pendingCount == b.pendingCount
      && a.entries.map(\.sequence) == b.entries.map(\.sequence) && a.entries.map(\.kind) == b.entries.map(\.kind)
      && a.nextSequence == b.nextSequence
  }

  @Test("The same version again changes nothing, another version takes a place at the end")
  func versions() {
    var memory = SampleMemory()
    #expect(memory.accept(Fixture.sample(0)) == .accepted)
    #expect(memory.accept(Fixture.sample(1)) == .accepted)
    #expect(memory.accept(Fixture.sample(0)) == .repeated)
    #expect(memory.pendingCount == 2)
    #expect(memory.accept(Fixture.sample(2, id: "r0")) == .accepted)
    #expect(memory.pending(9).map(\.id) == ["r1", "r0"])
    #expect(memory.pending(9).last?.sample?.messages == Fixture.sample(2).messages)
  }

  @Test("Ids that are one text in two spellings are two samples, to erasures too")
  func spellings() throws {
    let (one, two) = ("caf\u{E9}", "cafe\u{301}")
    var memory = SampleMemory()
    #expect(memory.accept(Fixture.sample(0, id: one)) == .accepted)
    #expect(memory.accept(Fixture.sample(1, id: two)) == .accepted)
    #expect(memory.pendingCount == 2)
    #expect(try #require(stored(memory)).pendingCount == 2)
    let isErased = memory.remove(id: two)
    #expect(isErased && memory.pending(9).map { Array($0.id.utf8) } == [Array(one.utf8)])
  }

  @Test("Samples of dev and gate leave only their names")
  func heldOut() {
    var memory = SampleMemory()
    _ = memory.accept(Fixture.sample(0, split: .dev))
    _ = memory.accept(Fixture.sample(1, split: .gate))
    _ = memory.accept(Fixture.sample(2))
    #expect(memory.pendingCount == 1)
    #expect(memory.entries.map { $0.sample == nil } == [true, true, false])
    #expect(!String(decoding: memory.segment(0), as: UTF8.self).contains("kitchen"))
    #expect(memory.accept(Fixture.sample(0, split: .dev)) == .repeated)
  }

  @Test("An erased sample is nowhere any more, before and after its round")
  func erased() {
    var memory = SampleMemory()
    for index in 0..<6 { _ = memory.accept(Fixture.sample(index)) }
    memory.learn(memory.pending(3), skipping: [])
    let (early, late) = (memory.remove(id: "r1"), memory.remove(id: "r4"))
    #expect(early && late)
    let again = memory.remove(id: "r1")
    #expect(!again)
    #expect(memory.learned.map(\.sample.id) == ["r0", "r2"])
    #expect(memory.pending(9).map(\.id) == ["r3", "r5"])
    let pool = memory.pool
    #expect(pool.draw("play_song\u{0}artist", choice: 0, position: 0, uniformShare: 1) == nil)
    #expect(!String(decoding: memory.segment(0), as: UTF8.self).contains("\"r1\""))
  }

  @Test(
    "Values are those of the learned samples in order, after erasures and new versions before, between and after rounds"
  )
  func values() throws {
    var memory = SampleMemory()
    for index in 0..<60 {
      _ = memory.accept(Fixture.sample(index))
      if index % 7 == 6 { memory.learn(memory.pending(6), skipping: []) }
      if index % 9 == 8 { _ = memory.remove(id: "r\(index / 2)") }
      if index % 11 == 10 { _ = memory.accept(Fixture.sample(index + 100, id: "r\(index / 3)")) }
      var read = try #require(stored(memory))
      let (values, again) = (memory.pool, read.pool)
      #expect(values.words == again.words)
      for slot in ["play_song\u{0}artist", "play_song\u{0}song", "set_light\u{0}room", "set_light\u{0}state"] {
        #expect(values.unseenShare(slot) == again.unseenShare(slot))
        for (step, choice) in [0.0, 0.25, 0.75, 1].enumerated() {
          let position = UInt64.max / 5 * UInt64(step + 1)
          let draw = values.draw(slot, choice: choice, position: position, uniformShare: 0.5)
          #expect(draw == again.draw(slot, choice: choice, position: position, uniformShare: 0.5))
        }
      }
    }
  }

  @Test("Skipped samples count as seen and are not kept")
  func skipped() {
    var memory = SampleMemory()
    for index in 0..<4 { _ = memory.accept(Fixture.sample(index)) }
    let round = memory.pending(4)
    memory.learn(round, skipping: [round[2].sequence])
    #expect(memory.learned.map(\.sample.id) == ["r0", "r1", "r3"])
    #expect(memory.pendingCount == 0)
    #expect(memory.entries[2].kind == .skipped && memory.entries[2].sample == nil)
  }

  @Test("A memory that was written and read back is the same, over several segments")
  func roundTrip() throws {
    var memory = SampleMemory()
    for index in 0..<4_500 {
      _ = memory.accept(Fixture.sample(index, split: index % 9 == 4 ? .gate : .train))
      if index % 500 == 499 { memory.learn(memory.pending(400), skipping: []) }
      if index % 700 == 300 { _ = memory.remove(id: "r\(index / 2)") }
    }
    _ = memory.present(3)
    _ = memory.present(3)
    #expect(memory.segmentCount == 3)
    let copy = try #require(stored(memory))
    #expect(same(memory, copy))
    var (one, two) = (memory, copy)
    _ = one.accept(Fixture.sample(9_000, id: "r7"))
    _ = two.accept(Fixture.sample(9_000, id: "r7"))
    #expect(same(one, two))
  }

  @Test("What a record of the log may hold is read back: calls nested as deep as that, and texts of many megabytes")
  func large() throws {
    /// Arguments of so many levels.
    func arguments(_ levels: Int) -> JSONObject {
      (1..<levels).reduce(["a": 1]) { inner, _ in ["a": .object(inner)] }
    }
    // A record nests 64 levels deep at most; its call's arguments are the third, those of what was judged the fifth.
    let deep = Call(name: "f", arguments: arguments(62))
    let judged = JudgedCall(call: Call(name: "f", arguments: arguments(60)), score: 1, producer: "p")
    var record = SampleRecord(id: "1", messages: [.user("x")], call: deep, split: .train, judged: [judged])
    record = try SampleRecord(json: JSON.parse(record.json.text))
    let text = String(repeating: "x", count: 17 << 20)
    var memory = SampleMemory()
    _ = memory.accept(
      TrainingSample(
        id: record.id, digest: record.digest, messages: record.messages, call: deep, judged: record.judged))
    _ = memory.accept(Fixture.make(id: "2", text: text, call: Call(name: "f", arguments: ["b": 2])))
    let copy = try #require(stored(memory))
    #expect(same(memory, copy))
  }

  @Test("Segments that contradict each other are refused")
  func contradictions() {
    var memory = SampleMemory()
    for index in 0..<5 { _ = memory.accept(Fixture.sample(index)) }
    memory.learn(memory.pending(3), skipping: [])
    let segment = memory.segment(0)
    func read(_ segments: [[UInt8]], through: Int = 3, next: Int = 5, counts: [Int] = [1, 1, 1]) -> SampleMemory? {
      SampleMemory(segments: segments, learnedThrough: through, nextSequence: next, presentations: counts)
    }
    #expect(read([segment]) != nil)
    #expect(read([segment], counts: [1, 1]) == nil)
    #expect(read([segment], counts: [1, 1, 1, 1]) == nil)
    #expect(read([segment], next: 4) == nil)
    #expect(read([segment, segment]) == nil)
    #expect(read([]) == nil)
    #expect(read([Array(segment.dropLast(30))]) == nil)
    #expect(read([segment + segment]) == nil)
  }

  @Test("Samples with the same content are equal in whatever order their keys came")
  func keyOrder() {
    let one = Fixture.make(id: "1", text: "x", call: Call(name: "f", arguments: ["a": 1, "b": ["d": 2.0, "c": 3]]))
    let two = Fixture.make(id: "1", text: "x", call: Call(name: "f", arguments: ["b": ["c": 3.0, "d": 2], "a": 1.0]))
    #expect(one == two)
    #expect(one.json.text == two.json.text)
    #expect(TrainingSample(json: one.json) == one)
    #expect(TrainingSample(json: ["id": "1"]) == nil)
  }
}
