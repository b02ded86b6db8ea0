internal import Topics

/// How people ask for each function.
enum Templates {
  /// What may stand around a sentence.
  enum Mood: Sendable {
    /// "Turn on …": every polite form fits.
    case command
    /// "It is too dark …", "What is …": only an interjection fits.
    case statement
    /// A command that ends in free words: nothing may follow.
    case dictation
  }

  struct Template: Sendable {
    let function: String
    let text: String
    let constants: JSONObject
    let mood: Mood
  }

  /// Said before a command.
  static let prefixes = [
    "", "please ", "hey, ", "could you ", "can you please ", "would you ", "I want you to ", "okay, ",
    "would you mind to ", "kindly ",
  ]
  /// Said before a statement.
  static let interjections = ["", "hey, ", "okay, ", "hello, "]
  /// Said after a command.
  static let suffixes = ["", " please", " now", " right away", ", thanks", " for me"]
  /// Ends of a sentence.
  static let marks = ["", "", "", ".", "!"]

  static let all: [Template] = lights + climate + media + time + household + world

  private static func commands(_ function: String, _ constants: JSONObject = [:], _ texts: String...) -> [Template] {
    texts.map { Template(function: function, text: $0, constants: constants, mood: .command) }
  }

  private static func statements(_ function: String, _ constants: JSONObject = [:], _ texts: String...) -> [Template] {
    texts.map { Template(function: function, text: $0, constants: constants, mood: .statement) }
  }

  private static func dictations(_ function: String, _ texts: String...) -> [Template] {
    texts.map { Template(function: function, text: $0, constants: [:], mood: .dictation) }
  }

  private static let lights =
    commands(
      "set_light", ["state": "on"], "turn on the light in the {room}", "switch the {room} lights on",
      "turn the lights in the {room} on")
    + commands(
      "set_light", ["state": "off"], "turn off the light in the {room}", "switch the {room} lights off",
      "turn the lights in the {room} off")
    + commands(
      "set_light", [:], "dim the {room} lights to {brightness} percent",
      "set the lights in the {room} to {brightness} percent", "put the {room} light at {brightness} percent",
      "make the {room} lights {color}", "change the light in the {room} to {color}",
      "set the {room} lights to {color} at {brightness} percent")
    + statements("set_light", ["state": "on"], "it is too dark in the {room}")
    + statements("set_light", ["state": "off"], "nobody needs light in the {room}")

  private static let climate =
    commands(
      "set_temperature", [:], "set the {room} to {degrees} degrees", "heat the {room} to {degrees} degrees",
      "set the temperature in the {room} to {degrees} degrees", "make it {degrees} degrees in the {room}",
      "put the heating in the {room} on {degrees}", "change the {room} thermostat to {degrees}")
    + statements(
      "set_temperature", [:], "I would like {degrees} degrees in the {room}",
      "the {room} should be at {degrees} degrees")
    + commands(
      "set_blinds", ["position": "open"], "open the blinds in the {room}", "raise the {room} blinds",
      "pull the {room} blinds up")
    + commands(
      "set_blinds", ["position": "closed"], "close the blinds in the {room}", "lower the {room} blinds",
      "shut the {room} blinds")
    + commands(
      "set_blinds", ["position": "half"], "put the {room} blinds half way", "set the blinds in the {room} to half")

  private static let media =
    commands(
      "play_music", [:], "play {artist}", "play something by {artist}", "play some {genre}",
      "put on some {genre} music", "play {artist} in the {room}", "play {genre} music in the {room}",
      "put on a song by {artist} in the {room}")
    + statements(
      "play_music", [:], "I want to hear {artist}", "I feel like some {genre}",
      "let us listen to {artist} in the {room}")
    + commands(
      "activate_scene", [:], "activate {scene}", "start the {scene} scene", "switch the house to {scene}",
      "set the scene to {scene}", "run {scene}", "turn on the {scene} scene")
    + statements("activate_scene", [:], "it is time for {scene}", "get everything ready for {scene}")

  private static let time =
    commands(
      "set_timer", [:], "set a timer for {minutes} minutes", "start a {minutes} minute timer",
      "count down {minutes} minutes", "set a {label} timer for {minutes} minutes",
      "start a timer of {minutes} minutes for the {label}", "give me {minutes} minutes for the {label}")
    + statements("set_timer", [:], "tell me when {minutes} minutes are over", "the {label} needs {minutes} minutes")
    + commands(
      "set_alarm", [:], "wake me up at {time}", "set an alarm for {time}", "wake me at {time} {day}",
      "set the alarm to {time} {day}", "get me out of bed at {time}", "put an alarm at {time} {day}")
    + statements("set_alarm", [:], "I have to get up at {time}", "I need to be awake by {time} {day}")

  private static let household =
    commands(
      "add_to_list", [:], "add {item} to the {list} list", "put {item} on my {list} list",
      "write {item} on the {list} list", "note {item} on our {list} list", "include {item} in the {list} list",
      "place {item} on the {list} list")
    + statements("add_to_list", [:], "we need {item} on the {list} list", "the {list} list should have {item}")
    + commands(
      "lock_door", ["locked": true], "lock the {door}", "make sure the {door} is locked", "bolt the {door}",
      "secure the {door}")
    + commands(
      "lock_door", ["locked": false], "unlock the {door}", "unbolt the {door}", "let somebody in at the {door}",
      "release the lock of the {door}")
    + commands(
      "control_appliance", ["action": "start"], "start the {appliance}", "run the {appliance}",
      "turn on the {appliance}", "get the {appliance} going")
    + commands(
      "control_appliance", ["action": "stop"], "stop the {appliance}", "turn off the {appliance}",
      "shut down the {appliance}", "halt the {appliance}")

  private static let world =
    commands(
      "get_weather", [:], "tell me the weather in {city}", "check the forecast for {city} {day}",
      "give me the weather report for {city}", "look up the weather in {city} {day}")
    + statements(
      "get_weather", [:], "what is the weather like in {city}", "will it rain in {city} {day}",
      "how warm is it in {city}", "is it going to be sunny in {city} {day}")
    + dictations(
      "send_message", "tell {contact} {text}", "text {contact} {text}", "send {contact} a message: {text}",
      "write to {contact}: {text}", "message {contact} saying {text}", "let {contact} know: {text}",
      "send a text to {contact} that says {text}")
}
