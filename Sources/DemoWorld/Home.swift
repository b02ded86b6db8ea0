public import Topics

/// The demo's home: rooms with devices, doors, appliances, lists. A value: executing a call changes this copy.
public struct Home: Sendable, Hashable {
  /// A kind of device that a room may have.
  public enum Device: String, Sendable, Hashable, CaseIterable {
    /// Lamps, which can be switched, dimmed, and coloured.
    case light
    /// A heating valve.
    case thermostat
    /// Blinds with a motor.
    case blinds
    /// A loudspeaker.
    case speaker
  }

  /// The devices of each room.
  public let rooms: [String: Set<Device>]
  /// The doors with a lock.
  public let doors: Set<String>
  /// The appliances that can be switched.
  public let appliances: Set<String>
  /// What every device, list, and outbox holds now, by its name such as `kitchen/light`.
  public private(set) var state: [String: JSON] = [:]

  /// The home that the grammar talks about.
  public static let standard: Home = {
    var rooms: [String: Set<Device>] = [:]
    for room in Vocabulary.rooms { rooms[room, default: []].insert(.light) }
    for room in Vocabulary.heatedRooms { rooms[room, default: []].insert(.thermostat) }
    for room in Vocabulary.blindRooms { rooms[room, default: []].insert(.blinds) }
    for room in Vocabulary.musicRooms { rooms[room, default: []].insert(.speaker) }
    return Home(rooms: rooms, doors: Set(Vocabulary.doors), appliances: Set(Vocabulary.appliances))
  }()

  /// A home.
  public init(rooms: [String: Set<Device>], doors: Set<String>, appliances: Set<String>) {
    self.rooms = rooms
    self.doors = doors
    self.appliances = appliances
  }

  /// The devices of a room as the lookup function gives them, or an empty list for a room that is not there.
  public func devices(in room: String) -> JSON {
    let devices = (rooms[room.lowercased()] ?? []).map(\.rawValue).sorted()
    return ["room": .string(room), "devices": .array(devices.map { .string($0) })]
  }

  /// Does what a call says.
  ///
  /// - Throws: `HomeError` when the home cannot: no such device, a value out of range, nothing to do.
  public mutating func execute(_ call: Call) throws(HomeError) {
    let arguments = Arguments(call)
    switch call.name {
    case "set_light": try setLight(arguments)
    case "set_temperature":
      let room = try device(.thermostat, arguments)
      state["\(room)/thermostat"] = .integer(try arguments.integer("degrees", 10...30))
    case "set_blinds":
      let room = try device(.blinds, arguments)
      state["\(room)/blinds"] = .string(try arguments.string("position", among: ["open", "closed", "half"]))
    case "play_music": try playMusic(arguments)
    case "set_timer":
      let minutes = try arguments.integer("minutes", 1...600)
      append("timers", ["minutes": .integer(minutes), "label": arguments["label"] ?? .null])
    case "set_alarm":
      append("alarms", ["time": .string(try arguments.time("time")), "day": arguments["day"] ?? .null])
    case "add_to_list":
      append("list/" + (try arguments.string("list", among: Vocabulary.lists)), .string(try arguments.string("item")))
    case "lock_door":
      let door = try arguments.string("door", among: doors.sorted())
      guard let locked = call.arguments["locked"]?.boolValue else { throw arguments.wrong("locked", "true or false") }
      state["door/\(door)"] = .bool(locked)
    case "get_weather":
      append("questions", ["city": .string(try arguments.string("city")), "day": arguments["day"] ?? .null])
    case "send_message":
      append("outbox/" + (try arguments.string("contact")), .string(try arguments.string("text")))
    case "activate_scene": state["scene"] = .string(try arguments.string("scene", among: Vocabulary.scenes))
    case "control_appliance":
      let appliance = try arguments.string("appliance", among: appliances.sorted())
      state["appliance/\(appliance)"] = .string(try arguments.string("action", among: ["start", "stop"]))
    default: throw HomeError(function: call.name, argument: "name", expected: "a function of this home")
    }
  }

  /// Judges a call by executing it.
  ///
  /// The call must be possible here. Where the text is one of the grammar's, its effect must also be the effect that
  /// the text asks for; other texts are judged by possibility alone.
  ///
  /// - Returns: nil when the call is right, otherwise what is wrong with it.
  public func objection(to call: Call, for text: String) -> String? {
    var actual = self
    do { try actual.execute(call) } catch { return error.description }
    guard let meant = RequestGrammar.call(for: text) else { return nil }
    var wanted = self
    do { try wanted.execute(meant) } catch { return "the home cannot do what was asked: \(error)" }
    return actual == wanted ? nil : "the effect is not what was asked for"
  }

  private mutating func setLight(_ arguments: Arguments) throws(HomeError) {
    let room = try device(.light, arguments)
    var settings: JSONObject = [:]
    if arguments["state"] != nil { settings["state"] = .string(try arguments.string("state", among: ["on", "off"])) }
    if arguments["brightness"] != nil {
      settings["brightness"] = .integer(try arguments.integer("brightness", 0...100))
    }
    if arguments["color"] != nil {
      settings["color"] = .string(try arguments.string("color", among: Vocabulary.colors))
    }
    guard !settings.isEmpty else { throw arguments.wrong("state", "a state, a brightness, or a colour") }
    state["\(room)/light"] = .object(settings)
  }

  private mutating func playMusic(_ arguments: Arguments) throws(HomeError) {
    let room = arguments["room"] == nil ? "everywhere" : try device(.speaker, arguments)
    let genre: JSON =
      arguments["genre"] == nil ? .null : .string(try arguments.string("genre", among: Vocabulary.genres))
    let artist: JSON = arguments["artist"] == nil ? .null : .string(try arguments.string("artist"))
    guard genre != .null || artist != .null else { throw arguments.wrong("artist", "an artist or a genre") }
    state["\(room)/speaker"] = ["genre": genre, "artist": artist]
  }

  /// The room of a call, if it has the device.
  private func device(_ device: Device, _ arguments: Arguments) throws(HomeError) -> String {
    let room = try arguments.string("room")
    guard rooms[room.lowercased()]?.contains(device) == true else {
      throw arguments.wrong("room", "a room with \(device.rawValue)")
    }
    return room.lowercased()
  }

  private mutating func append(_ name: String, _ value: JSON) {
    state[name] = .array((state[name]?.arrayValue ?? []) + [value])
  }
}

/// What the home cannot do.
public struct HomeError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The function that was called.
  public let function: String
  /// The argument that is wrong.
  public let argument: String
  /// What was expected instead.
  public let expected: String

  /// One sentence.
  public var description: String { "\(function): expected \(expected) as \(argument)" }
}

/// Reads a call's arguments.
private struct Arguments {
  let call: Call

  init(_ call: Call) { self.call = call }

  subscript(key: String) -> JSON? { call.arguments[key] }

  func wrong(_ argument: String, _ expected: String) -> HomeError {
    HomeError(function: call.name, argument: argument, expected: expected)
  }

  func string(_ key: String) throws(HomeError) -> String {
    guard let text = call.arguments[key]?.stringValue, !text.isEmpty else { throw wrong(key, "a text") }
    return text
  }

  func string(_ key: String, among known: [String]) throws(HomeError) -> String {
    let text = try string(key)
    guard known.contains(text) else { throw wrong(key, "one of \(known.joined(separator: ", "))") }
    return text
  }

  func integer(_ key: String, _ range: ClosedRange<Int64>) throws(HomeError) -> Int64 {
    guard let number = call.arguments[key]?.integerValue, range.contains(number) else {
      throw wrong(key, "an integer in \(range)")
    }
    return number
  }

  func time(_ key: String) throws(HomeError) -> String {
    let text = try string(key)
    let parts = text.split(separator: ":").map { Int($0) }
    guard parts.count == 2, let hour = parts[0], let minute = parts[1], (0...23).contains(hour),
      (0...59).contains(minute)
    else { throw wrong(key, "a time such as 7:30") }
    return text
  }
}
