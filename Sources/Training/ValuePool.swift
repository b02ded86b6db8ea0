package import Topics

/// The string values seen so far for each function and key, in the order in which they came.
package struct ValuePool: Sendable {
  private struct Slot: Sendable {
    var all: [String] = []
    var distinct: [String] = []
    var counts: [String: Int] = [:]
    var onceCount = 0

    mutating func add(_ text: String) {
      all.append(text)
      let count = counts[text, default: 0]
      counts[text] = count + 1
      if count == 0 {
        distinct.append(text)
        onceCount += 1
      } else if count == 1 {
        onceCount -= 1
      }
    }
  }

  private var slots: [String: Slot] = [:]
  /// The distinct words of all values, in the order in which they came.
  package private(set) var words: [String] = []
  private var knownWords: Set<String> = []

  package init() {}

  /// Adds every string of the call, at any depth.
  package mutating func add(_ call: Call) {
    for leaf in CallLeaf.strings(of: call) {
      slots[leaf.slot, default: Slot()].add(leaf.text)
      for word in leaf.text.split(separator: " ").map(String.init) where knownWords.insert(word).inserted {
        words.append(word)
      }
    }
  }

  /// How likely the slot's next value is one that was never seen: the share of values seen once; 0 of an unseen slot.
  ///
  /// Reference: Good 1953, "The population frequencies of species and the estimation of population parameters", equation 9.
  package func unseenShare(_ slot: String) -> Double {
    guard let slot = slots[slot], !slot.all.isEmpty else { return 0 }
    return Double(slot.onceCount) / Double(slot.all.count)
  }

  /// A value of the slot: with `uniformShare` uniformly over distinct values, else by frequency; `nil` of an unseen slot.
  package func draw(_ slot: String, choice: Double, position: UInt64, uniformShare: Double) -> String? {
    guard let slot = slots[slot] else { return nil }
    let list = choice < uniformShare ? slot.distinct : slot.all
    guard !list.isEmpty else { return nil }
    return list[Int(position.multipliedFullWidth(by: UInt64(list.count)).high)]
  }
}

/// One scalar inside a call's arguments.
package struct CallLeaf: Sendable {
  /// One step from an object or array to what it holds.
  package enum Step: Sendable, Hashable {
    case key(String)
    case index(Int)
  }

  /// The way from the arguments to the scalar.
  package let path: [Step]
  /// Function and path with list positions left out: values of one slot may stand for each other.
  package let slot: String
  /// The string itself, or a number as it is printed.
  package let text: String
  /// Whether the scalar is a string.
  package let isString: Bool

  /// All strings of the call, depth first in the order of its keys.
  package static func strings(of call: Call) -> [CallLeaf] { leaves(of: call).filter(\.isString) }

  /// All strings and numbers of the call, depth first in the order of its keys.
  package static func leaves(of call: Call) -> [CallLeaf] {
    var result: [CallLeaf] = []
    collect(.object(call.arguments), path: [], slot: call.name, into: &result)
    return result
  }

  private static func collect(_ value: JSON, path: [Step], slot: String, into result: inout [CallLeaf]) {
    switch value {
    case .object(let object):
      for (key, value) in object {
        collect(value, path: path + [.key(key)], slot: slot + "\u{0}" + key, into: &result)
      }
    case .array(let elements):
      for (index, value) in elements.enumerated() {
        collect(value, path: path + [.index(index)], slot: slot + "\u{0}[]", into: &result)
      }
    case .string(let text): result.append(CallLeaf(path: path, slot: slot, text: text, isString: true))
    case .integer, .number: result.append(CallLeaf(path: path, slot: slot, text: value.text, isString: false))
    case .null, .bool: break
    }
  }
}
