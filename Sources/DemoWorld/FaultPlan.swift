internal import Topics

/// Decides, for each text, whether and how the stand-in misbehaves.
struct FaultPlan: Sendable {
  enum Fault: Sendable, Hashable {
    case wrong
    case malformed(Kind)
    case slow
    case rateLimited
  }

  enum Kind: Int, Sendable, Hashable, CaseIterable {
    case cutOff, words, brokenArguments, unknownFunction
  }

  let rates: FaultRates
  let seed: UInt64

  /// The fault of a text; nil for most.
  func fault(for text: String) -> Fault? {
    var random = SeededRandom(text: text, salt: "fault", seed: seed)
    var drawn = random.uniform()
    func hits(_ rate: Double) -> Bool {
      drawn -= rate
      return drawn < 0
    }
    if hits(rates.wrong) { return .wrong }
    if hits(rates.malformed) { return .malformed(Kind.allCases[random.below(Kind.allCases.count)]) }
    if hits(rates.slow) { return .slow }
    if hits(rates.rateLimited) { return .rateLimited }
    return nil
  }

  /// A call that is not the right one, of the kinds that real teachers give.
  func wrongCall(for text: String, truth: Call) -> Call {
    var random = SeededRandom(text: text, salt: "wrong", seed: seed)
    var call = truth
    switch random.below(4) {
    case 0: call.arguments["comment"] = "done"  // a key that the schema does not have
    case 1:  // another value that the function allows
      guard let key = random.pick(truth.arguments.keys.filter { !Vocabulary.pool(truth.name, $0).isEmpty }),
        let other = random.pick(Vocabulary.pool(truth.name, key).filter { $0.json != truth.arguments[key] })
      else { fallthrough }
      call.arguments[key] = other.json
    case 2:  // a number, a switch, or a word turned into something else
      call = twisted(truth)
    default:  // another function
      call = Call(
        name: truth.name == "activate_scene" ? "set_light" : "activate_scene",
        arguments: truth.name == "activate_scene" ? ["room": "kitchen", "state": "on"] : ["scene": "bedtime"])
    }
    return call
  }

  private func twisted(_ truth: Call) -> Call {
    var call = truth
    for (key, value) in truth.arguments {
      switch value {
      case .integer(let number):
        call.arguments[key] = .integer(number + 1)
        return call
      case .bool(let flag):
        call.arguments[key] = .bool(!flag)
        return call
      default: continue
      }
    }
    let opposites = [
      "on": "off", "off": "on", "open": "closed", "closed": "half", "half": "open", "start": "stop", "stop": "start",
    ]
    for (key, value) in truth.arguments {
      if let text = value.stringValue, let opposite = opposites[text] {
        call.arguments[key] = .string(opposite)
        return call
      }
    }
    for (key, value) in truth.arguments {
      if let text = value.stringValue {
        call.arguments[key] = .string(text + " please not")
        return call
      }
    }
    return call
  }
}
