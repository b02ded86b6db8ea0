import Foundation
import Logging
import ModelFiles
import Pipeline
import Teacher
import Tokenization
import Topics
import Training

extension Wiring {
  /// The task: instructions, functions, lookups and checks.
  func task() throws -> TaskDefinition {
    TaskDefinition(
      instructions: configuration.text("task.instructions"), functions: try functions(), lookups: try lookups(),
      grounded: configuration.flag("task.grounded") ? .required : .off, verifier: verifier(),
      votes: VotePolicy(
        samples: configuration.integer("task.votes.samples"), agreement: configuration.number("task.votes.agreement")),
      trustedProducers: Set(configuration.texts("task.trusted_producers")))
  }

  /// The teacher's settings.
  func teacherConfiguration() throws -> TeacherConfiguration {
    var teacher = TeacherConfiguration(
      endpoint: configuration.optionalText("teacher.endpoint"), model: configuration.text("teacher.model"),
      apiKey: try configuration.secret("teacher.api_key"))
    teacher.temperature = configuration.number("teacher.temperature")
    teacher.maximumTurns = configuration.integer("teacher.max_turns")
    teacher.callTimeout = configuration.duration("teacher.call_timeout_ms")
    teacher.totalTimeout = configuration.duration("teacher.total_timeout_ms")
    teacher.maximumConcurrentRequests = configuration.integer("teacher.max_concurrent_requests")
    teacher.maximumRequestBytes = configuration.integer("teacher.max_request_bytes")
    let tokens = configuration.integer("teacher.tokens_per_hour")
    let money = configuration.number("teacher.money_per_hour")
    if tokens > 0 || money > 0 {
      teacher.budget = BudgetPolicy(tokensPerHour: tokens > 0 ? tokens : nil, moneyPerHour: money > 0 ? money : nil)
    }
    teacher.prices = Prices(
      promptPerMillion: configuration.number("teacher.price_per_million_prompt_tokens"),
      completionPerMillion: configuration.number("teacher.price_per_million_completion_tokens"))
    teacher.cachePath = teacherCache
    teacher.cacheLifetime = .seconds(configuration.number("teacher.cache_hours") * 3_600)
    teacher.topLogprobs = configuration.integer("teacher.logprobs")
    if teacher.topLogprobs > 0 { teacher.vocabulary = try teacherTokenizer().map(TokenVocabulary.init) }
    return teacher
  }

  /// The tokenizer that `teacher.tokenizer` names; nil for none.
  func teacherTokenizer() throws -> Tokenizer? {
    guard configuration.optionalText("teacher.tokenizer") != nil else { return nil }
    let path = configuration.path("teacher.tokenizer")
    let data = try ConfigurationError.within("teacher.tokenizer") {
      try InputFile.bytes(path, limit: 1 << 30, advice: "name the teacher's tokenizer.json")
    }
    do {
      return try Tokenizer(huggingFace: data)
    } catch {
      throw ConfigurationError("teacher.tokenizer: \(path): \(error)")
    }
  }

  /// Whether the student can learn from the teacher, or from the log-probabilities, that it is to learn from: they must be of its
  /// tokens.
  func checkDistillation() throws {
    let recipe = try recipe(readsTeacher: false)
    if recipe.teacherDigest != nil, let teacherPath { try checkTeacher(teacherPath, recipe) }
    guard recipe.distillsSamples else { return }
    guard configuration.optionalText("train.base") != nil else {
      throw ConfigurationError(
        "train.base: expected a folder with the teacher's tokenizer.json, as samples teach, found nothing; "
          + "a student from scratch has tokens of its own")
    }
    let paths = [configuration.path("teacher.tokenizer"), configuration.path("train.base")]
    // Where one is missing, whoever reads it says so.
    guard paths.allSatisfy(FileManager.default.fileExists), let teacher = try teacherTokenizer() else { return }
    let folder = try HuggingFaceFolder.read(paths[1])
    guard let json = folder.tokenizerJSON else { return }
    let (expected, found) = (teacher.textDigest.hex, try Tokenizer(huggingFace: json).textDigest.hex)
    guard expected == found else {
      throw ConfigurationError(
        "train.base: expected the tokens of teacher.tokenizer, \(expected), as samples teach, found \(found); "
          + "start from a folder with the teacher's tokenizer.json")
    }
  }

  /// The same of a model and a base. A student from scratch has no tokens yet; training asks when it has.
  private func checkTeacher(_ path: String, _ recipe: TrainingRecipe) throws {
    // Where one is missing, whoever reads it says so.
    guard let base = basePath, [path, base].allSatisfy(FileManager.default.fileExists) else { return }
    let folder = try HuggingFaceFolder.read(base)
    guard let json = folder.tokenizerJSON else { return }
    do {
      try DistillationTeacher.check(
        path: path, tokenizer: Tokenizer(huggingFace: json),
        positions: min(recipe.maximumSequence, folder.configuration.maximumPositions))
    } catch let error as TrainingError {
      throw ConfigurationError("train.teacher: \(error)")
    }
  }

  /// The file with the teacher's answers.
  var teacherCache: String { state + "/teacher-cache.db" }

  /// The teacher, ready to label.
  func teacher(logger: Logger) throws -> Teacher {
    let task = try task()
    let configuration = try teacherConfiguration()
    try AtomicFile.makeFolder(state)
    do {
      return try Teacher(task: task, configuration: configuration, logger: logger)
    } catch {
      throw ConfigurationError(error.description)
    }
  }

  private func verifier() -> Verifier? {
    let timeout = configuration.duration("task.verifier.timeout_ms")
    let command = configuration.texts("task.verifier.command")
    if !command.isEmpty { return .command(command, timeout: timeout) }
    return configuration.optionalText("task.verifier.url").map { .http(url: $0, timeout: timeout) }
  }

  /// `task.lookups`: a list of `{function: <OpenAI tool definition>, http | command | sql: …, timeout_ms}`.
  private func lookups() throws -> [LookupFunction] {
    guard let list = configuration.tree("task.lookups")?.arrayValue else {
      if configuration.tree("task.lookups")?.objectValue?.count ?? 0 == 0 { return [] }
      throw ConfigurationError("task.lookups: expected a list")
    }
    return try list.enumerated().map { index, json in
      try LookupReading(json, at: "task.lookups[\(index)]", resolve: configuration.resolve).lookup()
    }
  }
}

/// One entry of `task.lookups`.
private struct LookupReading {
  let json: JSON
  let place: String
  let resolve: (String) -> String

  init(_ json: JSON, at place: String, resolve: @escaping (String) -> String) {
    self.json = json
    self.place = place
    self.resolve = resolve
  }

  func lookup() throws -> LookupFunction {
    guard let object = json.objectValue else { throw problem("a map", json.text) }
    try refuseUnknown(object, at: place, known: ["function", "http", "command", "sql", "timeout_ms"])
    guard let function = json["function"] else { throw problem("a function definition under function", "nothing") }
    let set: FunctionSet
    do {
      let tool: JSON = function["function"] == nil ? ["type": "function", "function": function] : function
      set = try FunctionSet(json: [tool])
    } catch {
      throw ConfigurationError("\(place).function: \(error)")
    }
    guard let definition = set.functions.first else { throw problem("one function", "none") }
    return LookupFunction(definition: definition, binding: try binding())
  }

  private func binding() throws -> LookupBinding {
    let number = try value("timeout_ms", of: json, at: place, "a whole number of milliseconds", \.integerValue)
    let timeout = Duration.milliseconds(number ?? 10_000)
    let given = ["http", "command", "sql"].filter { json[$0] ?? .null != .null }
    switch given.count == 1 ? given[0] : "" {
    case "http":
      if let url = json["http"]?.stringValue { return .http(url: url, timeout: timeout) }
      let (http, place) = try part("http", ["url", "method", "headers"])
      guard let url = try text("url", of: http, at: place) else { break }
      let method = try text("method", of: http, at: place)
      let given = try value("headers", of: http, at: place, "a map of texts", \.objectValue) ?? [:]
      var headers: [String: String] = [:]
      for (name, _) in given { headers[name] = try text(name, of: .object(given), at: "\(place).headers") }
      return .http(url: url, method: method ?? "POST", headers: headers, timeout: timeout)
    case "command":
      let words = try value("command", of: json, at: place, "a list of texts", \.arrayValue) ?? []
      let command = words.compactMap(\.stringValue)
      guard !command.isEmpty, command.count == words.count else {
        throw ConfigurationError(
          "\(place).command: expected a list of texts, numbers in quotes, found \(JSON.array(words).text.prefix(120))")
      }
      return .command(command, timeout: timeout)
    case "sql":
      let (sql, place) = try part("sql", ["database", "query", "max_rows"])
      let rows = try value("max_rows", of: sql, at: place, "a whole number", \.integerValue)
      guard let path = try text("database", of: sql, at: place), let query = try text("query", of: sql, at: place)
      else { break }
      return .sql(databasePath: resolve(path), query: query, maximumRows: Int(rows ?? 100), timeout: timeout)
    default: break
    }
    throw problem(
      "one of http: {url}, command: [program, argument…] and sql: {database, query}", json.text)
  }

  /// The map under a key, with no keys but these, and where it is.
  private func part(_ name: String, _ keys: [String]) throws -> (map: JSON, place: String) {
    let place = "\(place).\(name)"
    guard let map = json[name], let object = map.objectValue else {
      throw ConfigurationError("\(place): expected a map, found \(json[name]?.text.prefix(120) ?? "nothing")")
    }
    try refuseUnknown(object, at: place, known: keys)
    return (map, place)
  }

  private func text(_ key: String, of map: JSON, at place: String) throws -> String? {
    try value(key, of: map, at: place, "a text, in quotes", \.stringValue)
  }

  /// The value of a key; nil where there is none.
  private func value<T>(
    _ key: String, of map: JSON, at place: String, _ expected: String, _ read: (JSON) -> T?
  ) throws -> T? {
    guard let found = map[key], found != .null else { return nil }
    guard let value = read(found) else {
      throw ConfigurationError("\(place).\(key): expected \(expected), found \(found.text.prefix(120))")
    }
    return value
  }

  private func refuseUnknown(_ object: JSONObject, at place: String, known: [String]) throws {
    guard let unknown = object.keys.first(where: { !known.contains($0) }) else { return }
    let nearest = NearestKey.of(unknown, among: known).map { "; did you mean \($0)?" } ?? ""
    throw ConfigurationError("\(place): unknown key \(unknown)\(nearest)")
  }

  private func problem(_ expected: String, _ found: String) -> ConfigurationError {
    ConfigurationError("\(place): expected \(expected), found \(found.prefix(120))")
  }
}
