public import Topics

/// What the voice assistant can do: twelve answer functions, and one lookup function for its teacher.
public enum HomeFunctions {
  /// What the teacher is told.
  public static let instructions = """
    You are the voice assistant of a home. Answer every request by calling exactly one function. Copy names, items \
    and texts from the request as they stand. Leave out what the request does not say. If you need to know which \
    devices a room has, call find_devices first.
    """

  /// The answer functions as OpenAI tool definitions.
  public static let toolsJSON: JSON = [
    tool(
      "set_light", "Switch, dim, or colour the lights of a room.",
      [
        "room": room, "state": ["type": "string", "enum": ["on", "off"]],
        "brightness": integer("Percent.", 0, 100),
        "color": ["type": "string", "enum": .array(Vocabulary.colors.map { .string($0) })],
      ], required: ["room"]),
    tool(
      "set_temperature", "Set the heating of a room.",
      ["room": room, "degrees": integer("Degrees Celsius.", 10, 30)], required: ["room", "degrees"]),
    tool(
      "set_blinds", "Move the blinds of a room.",
      ["room": room, "position": ["type": "string", "enum": ["open", "closed", "half"]]],
      required: ["room", "position"]),
    tool(
      "play_music", "Play music.",
      [
        "artist": text("The artist's name."),
        "genre": ["type": "string", "enum": .array(Vocabulary.genres.map { .string($0) })], "room": room,
      ], required: []),
    tool(
      "set_timer", "Start a countdown.",
      ["minutes": integer("Minutes.", 1, 600), "label": text("What the timer is for.")], required: ["minutes"]),
    tool(
      "set_alarm", "Wake somebody.",
      ["time": text("The time as said, such as 7:30."), "day": text("The day as said.")], required: ["time"]),
    tool(
      "add_to_list", "Put something on a list.",
      [
        "item": text("What to add."),
        "list": ["type": "string", "enum": .array(Vocabulary.lists.map { .string($0) })],
      ], required: ["item", "list"]),
    tool(
      "lock_door", "Lock or unlock a door.",
      ["door": text("Which door."), "locked": ["type": "boolean", "description": "True locks, false unlocks."]],
      required: ["door", "locked"]),
    tool(
      "get_weather", "Tell the weather.",
      ["city": text("Which city."), "day": text("The day as said.")], required: ["city"]),
    tool(
      "send_message", "Send a text message.",
      ["contact": text("To whom."), "text": text("The message, word by word.")], required: ["contact", "text"]),
    tool(
      "activate_scene", "Set several devices at once.",
      ["scene": ["type": "string", "enum": .array(Vocabulary.scenes.map { .string($0) })]], required: ["scene"]),
    tool(
      "control_appliance", "Start or stop an appliance.",
      [
        "appliance": text("Which appliance."),
        "action": ["type": "string", "enum": ["start", "stop"]],
      ], required: ["appliance", "action"]),
  ]

  /// The lookup function's tool definition.
  public static let lookupJSON: JSON = tool(
    "find_devices", "List the devices of a room of this home.", ["room": room], required: ["room"])

  /// The answer functions.
  ///
  /// - Throws: never in a correct build; a test holds that.
  public static func functions() throws(TopicError) -> FunctionSet { try FunctionSet(json: toolsJSON) }

  /// The lookup function `find_devices {room}`.
  ///
  /// - Throws: never in a correct build; a test holds that.
  public static func lookup() throws(TopicError) -> FunctionDefinition { try FunctionDefinition(json: lookupJSON) }

  private static let room = text("A room of this home, such as kitchen.")

  private static func text(_ description: String) -> JSON {
    ["type": "string", "description": .string(description), "minLength": 1]
  }

  private static func integer(_ description: String, _ minimum: Int64, _ maximum: Int64) -> JSON {
    [
      "type": "integer", "description": .string(description), "minimum": .integer(minimum),
      "maximum": .integer(maximum),
    ]
  }

  private static func tool(
    _ name: String, _ description: String, _ properties: JSONObject, required: [String]
  ) -> JSON {
    [
      "type": "function",
      "function": [
        "name": .string(name), "description": .string(description),
        "parameters": [
          "type": "object", "properties": .object(properties), "required": .array(required.map { .string($0) }),
          "additionalProperties": false,
        ],
      ],
    ]
  }
}
