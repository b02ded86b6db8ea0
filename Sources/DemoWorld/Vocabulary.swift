internal import Topics

/// The words of the demo's requests. Every pool is closed, so that a text can be read back.
enum Vocabulary {
  static let rooms = [
    "living room", "kitchen", "bedroom", "bathroom", "hallway", "office", "dining room", "garage", "basement",
    "nursery", "guest room", "attic",
  ]
  static let heatedRooms = [
    "living room", "kitchen", "bedroom", "bathroom", "office", "dining room", "nursery", "guest room",
  ]
  static let blindRooms = [
    "living room", "kitchen", "bedroom", "office", "dining room", "nursery", "guest room", "attic",
  ]
  static let musicRooms = [
    "living room", "kitchen", "bedroom", "bathroom", "office", "dining room", "garage", "basement",
  ]
  static let colors = ["red", "blue", "green", "orange", "purple", "pink", "yellow", "white"]
  static let artists = [
    "Nina Simone", "Miles Davis", "Bach", "Mozart", "Queen", "Abba", "Radiohead", "Daft Punk", "Bob Marley",
    "Johnny Cash", "Coldplay", "Adele", "Santana", "Portishead", "Enya", "David Bowie",
  ]
  static let genres = ["jazz", "rock", "classical", "reggae", "techno", "blues", "pop", "folk"]
  static let timerLabels = ["pasta", "eggs", "tea", "pizza", "laundry", "bread", "rice", "homework", "nap", "cake"]
  static let days = [
    "tomorrow", "on Monday", "on Tuesday", "on Wednesday", "on Thursday", "on Friday", "on Saturday", "on Sunday",
  ]
  static let lists = ["shopping", "to-do", "packing", "gift"]
  static let items = [
    "milk", "eggs", "brown bread", "olive oil", "coffee", "apples", "bananas", "dish soap", "batteries", "cat food",
    "paper towels", "tomatoes", "black tea", "red wine", "candles", "sunscreen", "light bulbs", "orange juice",
    "toothpaste", "chocolate", "rain coats", "phone charger", "wool socks", "garden gloves",
  ]
  static let doors = ["front door", "back door", "garage door", "balcony door", "cellar door", "garden gate"]
  static let cities = [
    "Berlin", "Paris", "London", "Tokyo", "New York", "Madrid", "Oslo", "Rome", "Vienna", "Chicago", "Lisbon",
    "Dublin", "Zurich", "Sydney", "Toronto", "Cape Town",
  ]
  static let contacts = [
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grandma", "my sister", "my brother", "Lena", "Noah", "Olivia",
    "Paul", "the babysitter",
  ]
  static let phrases = [
    "I will be late", "dinner is ready", "I am on my way", "the meeting is over", "please call me back",
    "happy birthday", "the train is delayed", "I left the keys at home", "we need to talk", "the package arrived",
    "I am at the gym", "good luck",
  ]
  static let tails = ["", " tonight", " today", " again", ", see you soon"]
  static let scenes = [
    "movie night", "good morning", "dinner party", "bedtime", "away mode", "reading time", "romantic evening",
    "work out",
  ]
  static let appliances = [
    "vacuum cleaner", "dishwasher", "washing machine", "coffee machine", "oven", "dryer", "air purifier",
    "lawn mower",
  ]
  static let times = (5...10).flatMap { hour in ["00", "15", "30", "45"].map { "\(hour):\($0)" } }
  static let minutes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 30, 35, 40, 45, 50, 60, 90]

  /// One value of a slot: as it stands in the request, and as the call has it.
  struct Value: Sendable {
    let text: String
    let json: JSON
  }

  /// The values of the slot `key` of a function.
  static func pool(_ function: String, _ key: String) -> [Value] {
    switch (function, key) {
    case ("set_light", "brightness"): numbers(stride(from: 5, through: 100, by: 5))
    case ("set_temperature", "degrees"): numbers(15...26)
    case ("set_timer", "minutes"): numbers(minutes)
    case ("send_message", "text"): words(phrases.flatMap { phrase in tails.map { phrase + $0 } })
    default: words(names(function, key))
    }
  }

  private static func names(_ function: String, _ key: String) -> [String] {
    switch (function, key) {
    case ("set_temperature", "room"): heatedRooms
    case ("set_blinds", "room"): blindRooms
    case ("play_music", "room"): musicRooms
    case (_, "room"): rooms
    case (_, "color"): colors
    case (_, "artist"): artists
    case (_, "genre"): genres
    case (_, "label"): timerLabels
    case (_, "time"): times
    case (_, "day"): days
    case (_, "item"): items
    case (_, "list"): lists
    case (_, "door"): doors
    case (_, "city"): cities
    case (_, "contact"): contacts
    case (_, "scene"): scenes
    case (_, "appliance"): appliances
    default: []
    }
  }

  private static func words(_ texts: [String]) -> [Value] { texts.map { Value(text: $0, json: .string($0)) } }

  private static func numbers(_ numbers: some Sequence<Int>) -> [Value] {
    numbers.map { Value(text: String($0), json: .integer(Int64($0))) }
  }
}
