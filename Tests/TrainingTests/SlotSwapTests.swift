import Testing
import Topics
import Training

@Suite("Exchanging values") struct SlotSwapTests {
  private func swap(_ probability: Double = 1, seed: Int = 1) -> SlotSwap {
    SlotSwap(
      recipe: Fixture.recipe {
        $0.swapProbability = probability; $0.seed = seed
      }, domain: .swap)
  }

  private func pool(_ calls: [Call]) -> ValuePool {
    var pool = ValuePool()
    for call in calls { pool.add(call) }
    return pool
  }

  private func song(_ song: String, _ artist: String) -> Call {
    Call(name: "play_song", arguments: ["song": .string(song), "artist": .string(artist)])
  }

  @Test("The request and the call change together, by values of the same key")
  func consistent() {
    let values = pool([song("yellow moon", "ada"), song("blue river", "nina"), song("silver", "the crows")])
    let sample = Fixture.make(
      id: "1", text: "please play yellow moon by ada tonight", call: song("yellow moon", "ada"))
    var texts: Set<String> = []
    for presentation in 0..<60 {
      let (messages, call) = swap().apply(sample, presentation: UInt64(presentation), pool: values)
      let song = call.arguments["song"]?.stringValue ?? ""
      let artist = call.arguments["artist"]?.stringValue ?? ""
      #expect(messages[0].content == "please play \(song) by \(artist) tonight")
      #expect(["yellow moon", "blue river", "silver"].contains(song))
      #expect(["ada", "nina", "the crows"].contains(artist))
      texts.insert(messages[0].content)
    }
    #expect(texts.count == 9)
  }

  @Test("The same presentation gives the same exchange, another one or another seed may give another")
  func deterministic() {
    let values = pool(Fixture.songs.map { song($0, "ada") } + Fixture.artists.map { song("silver", $0) })
    let sample = Fixture.make(id: "1", text: "play silver by ada", call: song("silver", "ada"))
    let one = (0..<20).map { swap().apply(sample, presentation: $0, pool: values).messages[0].content }
    let two = (0..<20).map { swap().apply(sample, presentation: $0, pool: values).messages[0].content }
    let other = (0..<20).map { swap(seed: 2).apply(sample, presentation: $0, pool: values).messages[0].content }
    #expect(one == two)
    #expect(one != other)
    #expect(Set(one).count > 5)
  }

  @Test("With probability 0, without a value in the request, or inside a word nothing changes")
  func unchanged() {
    let values = pool([song("yellow moon", "ada"), song("silver", "nina")])
    let sample = Fixture.make(id: "1", text: "play silver by ada", call: song("silver", "ada"))
    #expect(swap(0).apply(sample, presentation: 1, pool: values).call == sample.call)
    let hidden = Fixture.make(id: "2", text: "play quicksilver by canada", call: song("silver", "ada"))
    let elsewhere = Fixture.make(id: "3", text: "play something", call: song("silver", "ada"))
    for presentation in 0..<20 {
      #expect(swap().apply(hidden, presentation: UInt64(presentation), pool: values).messages == hidden.messages)
      #expect(swap().apply(elsewhere, presentation: UInt64(presentation), pool: values).call == elsewhere.call)
    }
  }

  @Test("A value inside another value is never torn apart")
  func overlapping() {
    let call = Call(
      name: "set_light", arguments: ["room": "living room", "device": "living room lamp", "level": 5])
    let other = Call(name: "set_light", arguments: ["room": "attic", "device": "fan", "level": 7])
    let sample = Fixture.make(id: "1", text: "set the living room lamp to 5", call: call)
    for presentation in 0..<40 {
      let (messages, result) = swap().apply(sample, presentation: UInt64(presentation), pool: pool([call, other]))
      for leaf in CallLeaf.leaves(of: result) { #expect(messages[0].content.contains(leaf.text)) }
      #expect(result.arguments["level"] == 5)
    }
  }

  @Test("Values in lists and nested objects are exchanged too, numbers never")
  func nested() {
    let call = Call(
      name: "f", arguments: ["list": ["red", "blue"], "inner": ["name": "zoë", "count": 3]])
    let other = Call(name: "f", arguments: ["list": ["green"], "inner": ["name": "jörg", "count": 9]])
    let sample = Fixture.make(id: "1", text: "red and blue for zoë, 3 times", call: call)
    var seen: Set<String> = []
    for presentation in 0..<40 {
      let (messages, result) = swap().apply(sample, presentation: UInt64(presentation), pool: pool([call, other]))
      let list = result.arguments["list"]?.arrayValue?.compactMap(\.stringValue) ?? []
      let name = result.arguments["inner"]?["name"]?.stringValue ?? ""
      #expect(messages[0].content == "\(list[0]) and \(list[1]) for \(name), 3 times")
      #expect(result.arguments["inner"]?["count"] == 3)
      seen.insert(messages[0].content)
    }
    #expect(seen.count > 6)
  }

  @Test("Only what users say is rewritten")
  func roles() {
    let values = pool([song("yellow moon", "ada"), song("silver", "nina")])
    let record = SampleRecord(
      id: "1", messages: [.system("silver by ada"), .user("play silver by ada")], call: song("silver", "ada"),
      split: .train)
    let sample = TrainingSample(
      id: "1", digest: record.digest, messages: record.messages, call: song("silver", "ada"))
    for presentation in 0..<20 {
      let messages = swap().apply(sample, presentation: UInt64(presentation), pool: values).messages
      #expect(messages[0].content == "silver by ada")
    }
  }

  @Test("Half of the draws follow the frequency of values, half are uniform over distinct ones")
  func distribution() {
    let calls = (0..<90).map { _ in song("silver", "ada") } + (0..<9).map { song("silver", "artist\($0)") }
    let values = pool(calls)
    var frequent = 0
    for draw in 0..<4_000 {
      let value = values.draw(
        "play_song\u{0}artist", choice: Double(draw % 2), position: UInt64(draw) &* 0x9E37_79B9_7F4A_7C15,
        uniformShare: 0.5)
      if value == "ada" { frequent += 1 }
    }
    // (90/99 + 1/10) / 2 of the draws.
    #expect(abs(Double(frequent) / 4_000 - 0.5045) < 0.03)
    #expect(values.draw("play_song\u{0}genre", choice: 0, position: 0, uniformShare: 1) == nil)
  }
}
