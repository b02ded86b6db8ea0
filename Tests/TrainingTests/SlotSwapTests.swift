import Testing
import Topics
import Training

@Suite("Exchanging values") struct SlotSwapTests {
  private func swap(
    _ probability: Double = 1, seed: Int = 1, invented: Double = 0, learned: Int = 1, functions: FunctionSet? = nil
  ) throws -> SlotSwap {
    SlotSwap(
      recipe: Fixture.recipe {
        $0.swapProbability = probability; $0.seed = seed; $0.swapInventedShare = invented
        $0.swapInventedUntil = 100
      }, functions: try functions ?? Fixture.functions(), domain: .swap, learned: learned)
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
  func consistent() throws {
    let values = pool([song("yellow moon", "ada"), song("blue river", "nina"), song("silver", "the crows")])
    let sample = Fixture.make(
      id: "1", text: "please play yellow moon by ada tonight", call: song("yellow moon", "ada"))
    var texts: Set<String> = []
    for presentation in 0..<60 {
      let (messages, call) = try swap().apply(sample, presentation: UInt64(presentation), pool: values)
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
  func deterministic() throws {
    let values = pool(Fixture.songs.map { song($0, "ada") } + Fixture.artists.map { song("silver", $0) })
    let sample = Fixture.make(id: "1", text: "play silver by ada", call: song("silver", "ada"))
    let one = try (0..<20).map { try swap().apply(sample, presentation: $0, pool: values).messages[0].content }
    let two = try (0..<20).map { try swap().apply(sample, presentation: $0, pool: values).messages[0].content }
    let other = try (0..<20).map { try swap(seed: 2).apply(sample, presentation: $0, pool: values).messages[0].content }
    #expect(one == two)
    #expect(one != other)
    #expect(Set(one).count > 5)
  }

  @Test("With probability 0, without a value in the request, or inside a word nothing changes")
  func unchanged() throws {
    let values = pool([song("yellow moon", "ada"), song("silver", "nina")])
    let sample = Fixture.make(id: "1", text: "play silver by ada", call: song("silver", "ada"))
    #expect(try swap(0).apply(sample, presentation: 1, pool: values).call == sample.call)
    let hidden = Fixture.make(id: "2", text: "play quicksilver by canada", call: song("silver", "ada"))
    let elsewhere = Fixture.make(id: "3", text: "play something", call: song("silver", "ada"))
    for presentation in 0..<20 {
      #expect(try swap().apply(hidden, presentation: UInt64(presentation), pool: values).messages == hidden.messages)
      #expect(try swap().apply(elsewhere, presentation: UInt64(presentation), pool: values).call == elsewhere.call)
    }
  }

  @Test("A value inside another value is never torn apart")
  func overlapping() throws {
    let call = Call(
      name: "set_light", arguments: ["room": "living room", "device": "living room lamp", "level": 5])
    let other = Call(name: "set_light", arguments: ["room": "attic", "device": "fan", "level": 7])
    let sample = Fixture.make(id: "1", text: "set the living room lamp to 5", call: call)
    for presentation in 0..<40 {
      let (messages, result) = try swap().apply(sample, presentation: UInt64(presentation), pool: pool([call, other]))
      for leaf in CallLeaf.leaves(of: result) { #expect(messages[0].content.contains(leaf.text)) }
      #expect(result.arguments["level"] == 5)
    }
  }

  @Test("Values in lists and nested objects are exchanged too, numbers never")
  func nested() throws {
    let call = Call(
      name: "f", arguments: ["list": ["red", "blue"], "inner": ["name": "zoë", "count": 3]])
    let other = Call(name: "f", arguments: ["list": ["green"], "inner": ["name": "jörg", "count": 9]])
    let sample = Fixture.make(id: "1", text: "red and blue for zoë, 3 times", call: call)
    var seen: Set<String> = []
    for presentation in 0..<40 {
      let (messages, result) = try swap().apply(sample, presentation: UInt64(presentation), pool: pool([call, other]))
      let list = result.arguments["list"]?.arrayValue?.compactMap(\.stringValue) ?? []
      let name = result.arguments["inner"]?["name"]?.stringValue ?? ""
      #expect(messages[0].content == "\(list[0]) and \(list[1]) for \(name), 3 times")
      #expect(result.arguments["inner"]?["count"] == 3)
      seen.insert(messages[0].content)
    }
    #expect(seen.count > 6)
  }

  @Test("Only what users say is rewritten")
  func roles() throws {
    let values = pool([song("yellow moon", "ada"), song("silver", "nina")])
    let record = SampleRecord(
      id: "1", messages: [.system("silver by ada"), .user("play silver by ada")], call: song("silver", "ada"),
      split: .train)
    let sample = TrainingSample(
      id: "1", digest: record.digest, messages: record.messages, call: song("silver", "ada"))
    for presentation in 0..<20 {
      let messages = try swap().apply(sample, presentation: UInt64(presentation), pool: values).messages
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

  @Test(
    "Values of open slots are invented in the likeness of seen ones, in request and call alike; of closed ones never")
  func invention() throws {
    let songs = (0..<20).map { song("moon\($0 % 10)x of river\($0)", "ada") }
    let values = pool(songs)
    #expect(values.unseenShare("play_song\u{0}song") == 1 && values.unseenShare("play_song\u{0}artist") == 0)
    let sample = Fixture.make(id: "1", text: "play \(songs[3].text("song")) by ada", call: songs[3])
    let seen = Set(songs.map { $0.text("song") })
    var texts: [String] = []
    for presentation in 0..<100 {
      let (messages, call) = try swap(invented: 1).apply(sample, presentation: UInt64(presentation), pool: values)
      #expect(messages[0].content == "play \(call.text("song")) by ada" && call.text("artist") == "ada")
      #expect(try Fixture.functions().violations(of: call).isEmpty)
      texts.append(call.text("song"))
    }
    #expect(Set(texts).subtracting(seen).count > 60)
    let again = try (0..<100).map {
      try swap(invented: 1).apply(sample, presentation: UInt64($0), pool: values).call.text("song")
    }
    #expect(again == texts)
    let none = try (0..<100).map {
      try swap(invented: 0).apply(sample, presentation: UInt64($0), pool: values).call.text("song")
    }
    #expect(Set(none).isSubset(of: seen))
  }

  @Test("With more samples than swap_invented_until values are invented less often, in proportion")
  func fewerInventions() throws {
    let songs = (0..<20).map { song("moon\($0 % 10)x of river\($0)", "ada") }
    let (values, seen) = (pool(songs), Set(songs.map { $0.text("song") }))
    let sample = Fixture.make(id: "1", text: "play \(songs[3].text("song")) by ada", call: songs[3])
    func inventions(_ learned: Int) throws -> Int {
      let swap = try swap(invented: 1, learned: learned)
      return (0..<2_000 as Range<UInt64>).count {
        !seen.contains(swap.apply(sample, presentation: $0, pool: values).call.text("song"))
      }
    }
    let (few, many) = (try inventions(100), try inventions(400))
    #expect(try inventions(1) == few && few > 1_000)
    #expect(abs(Double(many) / Double(few) - 0.25) < 0.05)
  }

  @Test("An invented value that the schema does not allow is not presented")
  func inventionWithinSchema() throws {
    let functions = try FunctionSet(
      json: [
        [
          "type": "function",
          "function": [
            "name": "paint",
            "parameters": [
              "type": "object", "properties": ["colour": ["type": "string", "enum": ["red", "green", "blue"]]],
            ],
          ],
        ]
      ])
    let calls = ["red", "green", "blue"].map { Call(name: "paint", arguments: ["colour": .string($0)]) }
    let sample = Fixture.make(id: "1", text: "make it red", call: calls[0])
    for presentation in 0..<60 {
      let call = try swap(invented: 1, functions: functions).apply(
        sample, presentation: UInt64(presentation), pool: pool(calls)
      ).call
      #expect(calls.contains(call))
    }
  }
}

extension Call {
  fileprivate func text(_ key: String) -> String { arguments[key]?.stringValue ?? "" }
}
