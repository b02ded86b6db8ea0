import DemoWorld
import Teacher
import Testing
import Topics

@Suite("The demo's requests and home")
struct GrammarTests {
  private static let count = 8_000
  private static let requests = RequestGrammar(seed: 1).requests(0..<count)

  @Test("The same seed gives the same requests, another seed gives others")
  func deterministic() {
    #expect(RequestGrammar(seed: 1).requests(0..<200) == Array(Self.requests.prefix(200)))
    let others = RequestGrammar(seed: 2).requests(0..<200)
    #expect(zip(others, Self.requests).filter { $0.text == $1.text }.count < 20)
    #expect(RequestGrammar(seed: 1).request(at: 17) == Self.requests[17])
    #expect(
      Digest.sha256(Self.requests.map { $0.text + JSON.object($0.call.arguments).text }.joined(separator: "\n"))
        == Digest.sha256(
          RequestGrammar(seed: 1).requests(0..<Self.count).map { $0.text + JSON.object($0.call.arguments).text }
            .joined(separator: "\n")))
  }

  @Test("Requests are varied: hardly any text comes twice, and every function comes often")
  func varied() throws {
    let texts = Set(Self.requests.map(\.text))
    #expect(Double(texts.count) > 0.8 * Double(Self.count))
    let functions = Dictionary(grouping: Self.requests, by: \.call.name).mapValues(\.count)
    let names = try HomeFunctions.functions().names
    #expect(Set(functions.keys) == Set(names))
    #expect(functions.values.allSatisfy { $0 > Self.count / 24 })
  }

  @Test("Every true call fits its schema, is grounded, and can be done by the home")
  func truths() throws {
    let functions = try HomeFunctions.functions()
    for request in Self.requests {
      #expect(functions.violations(of: request.call).isEmpty, "\(request.text): \(request.call.json.text)")
      let grounding = Grounding(policy: .required, messages: request.record.messages)
      if let function = functions[request.call.name] {
        #expect(grounding.violation(in: request.call, of: function) == nil, "\(request.text)")
      }
      #expect(Home.standard.objection(to: request.call, for: request.text) == nil, "\(request.text)")
    }
  }

  @Test("Every text reads back as exactly its own call")
  func readBack() {
    for request in Self.requests {
      #expect(RequestGrammar.calls(for: request.text) == [request.call], "\(request.text)")
    }
    for text in ["", "Hello.", "turn on the light in the swimming pool", "turn on the light in the kitchen and go"] {
      #expect(RequestGrammar.call(for: text) == nil)
    }
  }

  @Test("The home refuses what it cannot do and what was not asked for")
  func refusals() throws {
    var home = Home.standard
    for (name, arguments) in [
      ("set_light", ["room": "swimming pool", "state": "on"]), ("set_light", ["room": "kitchen"]),
      ("set_light", ["room": "kitchen", "brightness": 101]), ("set_temperature", ["room": "garage", "degrees": 20]),
      ("set_temperature", ["room": "kitchen", "degrees": 45]), ("set_alarm", ["time": "25:00"]),
      ("lock_door", ["door": "front door", "locked": "yes"]), ("fly", [:]),
    ] as [(String, JSONObject)] {
      #expect(throws: HomeError.self) { try home.execute(Call(name: name, arguments: arguments)) }
    }
    #expect(home == .standard)
    let off = Call(name: "set_light", arguments: ["room": "kitchen", "state": "off"])
    #expect(home.objection(to: off, for: "turn on the light in the kitchen") == "the effect is not what was asked for")
    #expect(home.objection(to: off, for: "I do not speak the grammar") == nil)
    try home.execute(off)
    #expect(home.state["kitchen/light"] == ["state": "off"])
  }
}
