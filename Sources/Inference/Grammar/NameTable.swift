/// Names of undeclared members and lists of them, interned, so that states stay small.
struct NameTable {
  private struct Step: Hashable {
    var parent: Int32
    var value: Int32
  }

  private var nameSteps: [Step] = [Step(parent: -1, value: 0)]
  private var nameNumbers: [Step: Int32] = [:]
  private var listSteps: [Step] = [Step(parent: -1, value: 0)]
  private var listNumbers: [Step: Int32] = [:]

  /// How many names there are, beginnings of others and the empty one included.
  var count: Int { nameSteps.count }

  /// Forgets the names that came after the first `count`. A list of them means nothing until their numbers are given again.
  mutating func forget(beyond count: Int) {
    for step in nameSteps[count...] { nameNumbers[step] = nil }
    nameSteps.removeSubrange(count...)
  }

  /// Whether such names hold `byte`: printable ASCII that JSON does not escape.
  static func isNameByte(_ byte: UInt8) -> Bool {
    (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  /// The name that is `name` and one byte more; 0 is the empty name.
  mutating func extend(_ name: Int32, _ byte: UInt8) -> Int32 {
    Self.intern(Step(parent: name, value: Int32(byte)), &nameSteps, &nameNumbers)
  }

  /// The list that is `list` and one name more; 0 is the empty list.
  mutating func list(_ list: Int32, adding name: Int32) -> Int32 {
    Self.intern(Step(parent: list, value: name), &listSteps, &listNumbers)
  }

  /// Whether `list` holds `name`.
  func list(_ list: Int32, contains name: Int32) -> Bool {
    var place = list
    while place > 0 {
      if listSteps[Int(place)].value == name { return true }
      place = listSteps[Int(place)].parent
    }
    return false
  }

  /// Whether the interned `name` reads `text`.
  func isName(_ name: Int32, _ text: String) -> Bool {
    var place = name
    for byte in text.utf8.reversed() {
      guard place > 0, nameSteps[Int(place)].value == Int32(byte) else { return false }
      place = nameSteps[Int(place)].parent
    }
    return place == 0
  }

  private static func intern(_ step: Step, _ steps: inout [Step], _ numbers: inout [Step: Int32]) -> Int32 {
    if let known = numbers[step] { return known }
    steps.append(step)
    let number = Int32(steps.count - 1)
    numbers[step] = number
    return number
  }
}
