import Foundation
import Inference
import KafkaLog
import Logging
import MessageLog
import Pipeline
import SQLiteLog
import StudentModel
import Synchronization
import Teacher
import Topics
import Training

/// From settings to the parts they describe.
struct Wiring: Sendable {
  let configuration: Configuration
  let names: TopicNames
  /// Threads for training and inference.
  let threads: Int

  init(_ configuration: Configuration) {
    self.configuration = configuration
    names = TopicNames(prefix: configuration.text("log.prefix"))
    let wanted = configuration.integer("threads")
    threads = KernelPool.setThreads(wanted == 0 ? Processors.count : wanted)
  }

  /// The model's name.
  var model: String { configuration.text("model") }
  /// The folder for checkpoints, keys and the teacher's cache.
  var state: String { configuration.path("state") }

  /// A logger that writes to standard error.
  static func logger(_ label: String, level: Logger.Level = .notice) -> Logger {
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }

  /// The log, with every topic in it.
  ///
  /// - Parameter mayCreate: whether an embedded log that is not there is made where there is no `retort.yaml`.
  /// - Throws: ``ConfigurationError`` for a URL that names no log that this build has.
  func openLog(mayCreate: Bool = true) async throws -> any MessageLog {
    let log = try openBareLog(mayCreate: mayCreate)
    try await makeTopics(in: log)
    return log
  }

  /// Makes the topics that a log lacks, and warns of those that are not as they have to be.
  func makeTopics(in log: any MessageLog) async throws {
    let differing = try await DeploymentTopics.ensure(
      log: log, names: names, requestPartitions: configuration.integer("log.partitions"),
      settingsAreKnown: settingsAreKnown)
    for (found, wanted) in differing {
      let topic =
        "the topic \(found.name) has "
        + DeploymentTopics.differences(found: found, wanted: wanted).joined(separator: "; ")
      if DeploymentTopics.orderIsLost(found: found, wanted: wanted, names: names) {
        Self.logger("retort").warning(
          "records may be taken out of order: \(topic); \(DeploymentTopics.partitionAdvice)")
      } else if found.canonical.cleanup != wanted.canonical.cleanup {
        Self.logger("retort").warning("records may be lost: \(topic); run `retort topics apply`")
      }
    }
  }

  /// Whether the log says more of its topics than their partitions: where they are others' business it is not asked.
  var settingsAreKnown: Bool { !isOnKafka || configuration.flag("log.manage_topics") }

  /// The log of a deployment that is there: who only looks at it makes no file in a folder without `retort.yaml`, and no topics
  /// on brokers.
  ///
  /// - Throws: ``ConfigurationError`` where a broker has none of its topics; ``PipelineError`` where there is no embedded log.
  func openExistingLog() async throws -> any MessageLog {
    guard isOnKafka else { return try await openLog(mayCreate: false) }
    let log = try openBareLog()
    let wanted = DeploymentTopics.configurations(names: names, requestPartitions: 1)
    guard try await log.topics().contains(where: { found in wanted.contains { $0.name == found.name } }) else {
      try await log.close()
      throw ConfigurationError(
        "log.prefix: expected topics that begin with \(names.prefix), found none that this user may see; correct it, or make them "
          + "with `retort topics apply`")
    }
    return log
  }

  /// Whether the log is Kafka's.
  var isOnKafka: Bool { configuration.text("log.url").hasPrefix("kafka:") }

  /// The log as it is.
  ///
  /// - Parameter mayCreate: as ``openLog(mayCreate:)``.
  /// - Throws: as ``openLog(mayCreate:)``; ``PipelineError`` where there is none and none may be made.
  func openBareLog(mayCreate: Bool = true) throws -> any MessageLog {
    let url = configuration.text("log.url")
    guard let colon = url.firstIndex(of: ":") else { throw Self.unknownLog(url) }
    let rest = String(url[url.index(after: colon)...])
    switch url[..<colon] {
    case "sqlite":
      guard !rest.isEmpty else { throw Self.unknownLog(url) }
      let path = configuration.resolve(rest)
      guard mayCreate || configuration.isWritten || FileManager.default.fileExists(atPath: path) else {
        throw PipelineError(
          .notFound, "the log \(path)", expected: "a file", found: "none that this user may see",
          advice: "name the deployment's with --config or --log, or begin one with `retort requests import`")
      }
      return try SQLiteLog(path: path)
    case "kafka":
      let (servers, options) = (try Self.servers(url), try kafkaOptions())
      do {
        return try KafkaLog(servers: servers, options: options)
      } catch {
        guard error.code == .invalid else { throw error }
        throw ConfigurationError("\(error)")
      }
    default: throw Self.unknownLog(url)
    }
  }

  private static func unknownLog(_ url: String) -> ConfigurationError {
    // What stands before an @ may be a password.
    let shown = url.lastIndex(of: "@").map { "…\(url[$0...])" } ?? url
    return ConfigurationError(
      "log.url: expected sqlite:PATH or kafka://HOST:PORT, found \(shown.prefix(80)); correct it in retort.yaml or RETORT_LOG_URL"
    )
  }

  /// `host:port,…` of `kafka://host:port,…`; a host without a port has Kafka's own.
  private static func servers(_ url: String) throws -> String {
    guard url.hasPrefix("kafka://") else { throw unknownLog(url) }
    let hosts = url.dropFirst("kafka://".count).split(separator: ",", omittingEmptySubsequences: false)
    guard !hosts.isEmpty, hosts.allSatisfy({ !$0.isEmpty && !$0.contains("/") && !$0.contains("@") }) else {
      throw unknownLog(url)
    }
    return try hosts.map { host in
      guard host.last != "]", let colon = host.lastIndex(of: ":") else { return "\(host):9092" }
      guard let port = Int(host[host.index(after: colon)...]), (1...65_535).contains(port) else {
        throw ConfigurationError("log.url: \(host): expected a port from 1 to 65535 after the last colon")
      }
      return String(host)
    }.joined(separator: ",")
  }

  private func kafkaOptions() throws -> KafkaLog.Options {
    KafkaLog.Options(
      properties: try KafkaProperties.read(configuration), topicPrefix: names.prefix,
      replicationFactor: configuration.integer("log.replication_factor"),
      managesTopics: configuration.flag("log.manage_topics"),
      logger: Self.logger("retort.kafka", level: .warning))
  }

  /// The functions of the task.
  func functions() throws -> FunctionSet {
    try FunctionFile.read(configuration.path("task.functions"))
  }

  /// How the student is trained.
  ///
  /// - Parameters:
  ///   - file: a recipe in place of `train.recipe`, in the same form, as YAML or JSON.
  ///   - readsTeacher: whether the recipe names the model of `train.teacher` as it is, for which all of it is read; else it
  ///     is only good for being checked.
  func recipe(file: String? = nil, readsTeacher: Bool = true) throws -> TrainingRecipe {
    var object =
      try file.map { try Configuration.object(in: $0) } ?? configuration.tree("train.recipe")?.objectValue ?? [:]
    if object["seed"] == nil { object["seed"] = .integer(Int64(configuration.integer("train.seed"))) }
    if object["release_every"] == nil {
      object["release_every"] = .integer(Int64(configuration.integer("release.every")))
    }
    if let basePath {
      // A pretrained model has had other lessons.
      if object["base_steps"] == nil { object["base_steps"] = 0 }
      // Its chat template begins every prompt with the same rows.
      if object["share_prefixes"] == nil { object["share_prefixes"] = 1 }
      // A student of ours goes on at its own rates.
      if BaseModel.isPretrained(folder: basePath) { Self.setRates(of: &object) }
    }
    if object["distill_teacher"] == nil, configuration.text("train.teacher") == TrainingRecipe.samples {
      object["distill_teacher"] = .string(TrainingRecipe.samples)
    }
    if object["distill_teacher"] == nil, let path = teacherPath {
      let digest = readsTeacher ? try teacherDigest(path) : Digest.sha256("")
      object["distill_teacher"] = .string(digest.hex)
    }
    do {
      return try TrainingRecipe(json: .object(object))
    } catch {
      throw ConfigurationError("\(file ?? "train.recipe"): \(error)")
    }
  }

  /// Sets the rates that a pretrained model's recipe does not name: the trunk's, and those of what a branch does besides, which
  /// are no higher.
  private static func setRates(of recipe: inout JSONObject) {
    if recipe["learning_rate"] == nil {
      let hasAdapters = recipe["lora_rank"]?.integerValue ?? 0 > 0
      recipe["learning_rate"] = .number(TrainingRecipe.pretrainedRate * (hasAdapters ? 10 : 1))
    }
    guard let highest = recipe["learning_rate"]?.doubleValue else { return }
    let standard = TrainingRecipe()
    // What is not done leaves no trace in the recipe.
    for (phase, rate) in [("distill", standard.distillRate), ("rft", standard.rftRate), ("rl", standard.rlRate)]
    where recipe["\(phase)_rate"] == nil && recipe["\(phase)_steps"]?.integerValue ?? 0 > 0 {
      recipe["\(phase)_rate"] = .number(min(rate, highest))
    }
  }

  /// What a recipe names the model at `path` by; a large one takes minutes to read, and is read once in a process.
  private func teacherDigest(_ path: String) throws -> Digest {
    if let known = Self.teacherDigests.withLock({ $0[path] }) { return known }
    do {
      let digest = try DistillationTeacher.digest(path: path)
      Self.teacherDigests.withLock { $0[path] = digest }
      return digest
    } catch {
      throw ConfigurationError("train.teacher: \(error)")
    }
  }

  private static let teacherDigests = Mutex<[String: Digest]>([:])

  /// Where the pretrained model is that training starts from; nil for none.
  var basePath: String? { configuration.optionalText("train.base").map { configuration.resolve($0) } }

  /// Where the model is that releases are distilled from; nil for none, and where that is what samples bring along.
  var teacherPath: String? {
    let text = configuration.optionalText("train.teacher")
    return text == TrainingRecipe.samples ? nil : text.map { configuration.resolve($0) }
  }

  /// Reads that model for a student; nil for none.
  var distillationTeacher: DistillationTeacher.Loader? {
    guard let path = teacherPath else { return nil }
    return { try DistillationTeacher(path: path, tokenizer: $0, rows: $1) }
  }

  /// How samples are held out.
  func split() throws -> LabelStage.Split {
    let split = LabelStage.Split(
      salt: configuration.text("split.salt"), dev: configuration.number("split.dev"),
      gate: configuration.number("split.gate"))
    guard split.dev + split.gate < 0.9 else {
      throw ConfigurationError(
        "split.dev and split.gate: expected shares that leave samples for training, found \(split.dev) and \(split.gate)"
      )
    }
    return split
  }

  /// The content-addressed files of this deployment.
  var store: ContentStore { ContentStore(folder: state + "/store") }

  /// How models are asked here: constrained as they were released, unless the configuration says how many beginnings are followed.
  func decoding(constrained: Bool = true) -> DecodeOptions {
    DecodeOptions(constrained: constrained, alternatives: configuration.optionalInteger("serve.alternatives"))
  }

  /// Where servers share packed weights; nil: they do not.
  var sharedWeights: SharedWeights? {
    let folder = configuration.text("serve.shared_weights")
    guard folder != "none" else { return nil }
    return SharedWeights(folder: folder.isEmpty ? state + "/packed" : configuration.path("serve.shared_weights"))
  }

  /// What is wrong with a configuration that each key alone does not show.
  ///
  /// - Parameter choice: the stages that are about to run, all of them where there are none. Files that only other stages
  ///   read need not be on this machine.
  static func problems(of configuration: Configuration, running choice: StageChoice = []) -> [String] {
    let wiring = Wiring(configuration)
    var problems: [String] = []
    func check(_ body: () throws -> Void) {
      do {
        try body()
      } catch {
        let problem = String(describing: error)
        if !problems.contains(problem) { problems.append(problem) }
      }
    }
    check { problems += FunctionFile.doubts(try wiring.functions()) }
    check { _ = try wiring.recipe(readsTeacher: !choice.isDisjoint(with: [.train, .release])) }
    check { _ = try wiring.split() }
    check { try wiring.task().validate() }
    if choice.isEmpty || choice.contains(.label) { check { try wiring.teacherConfiguration().validate() } }
    check {
      guard try wiring.task().votes.samples > 1, configuration.number("teacher.temperature") == 0 else { return }
      problems.append(
        "task.votes: at teacher.temperature 0 a teacher gives the same answer each time, so that votes cost and say nothing; "
          + "expected a temperature above 0, such as 0.7")
    }
    check {
      guard configuration.text("label.policy") != "selective", configuration.integer("label.requests_per_day") > 0
      else { return }
      problems.append(
        "label.requests_per_day: it bounds what label.policy: selective asks about, and here the policy asks about everything; "
          + "set the policy, or bound the bill with teacher.tokens_per_hour")
    }
    if choice.isEmpty || choice.contains(.release) { check { _ = try wiring.releasePolicy() } }
    check { try wiring.checkDistillation() }
    // A stage says so of what it reads itself.
    if choice.isEmpty {
      for (key, path, expected) in [
        ("train.base:", wiring.basePath, "the folder of a pretrained model, which train starts from"),
        ("train.teacher:", wiring.teacherPath, "the folder or file of a model, for train and release"),
      ] {
        check { try ConfigurationError.checkIsThere(path, key, expected) }
      }
      check { _ = try wiring.teacherTokenizer() }
      check { _ = try wiring.keysIfAny() }
    }
    check {
      let topics = DeploymentTopics.configurations(
        names: wiring.names, requestPartitions: configuration.integer("log.partitions"))
      for topic in topics { try topic.validate() }
    }
    check {
      let url = configuration.text("log.url")
      let properties = try KafkaProperties.read(configuration)
      if url.hasPrefix("kafka:") {
        _ = try servers(url)
        try KafkaLog.validate(properties)
      } else if !url.hasPrefix("sqlite:") || url.count <= 7 {
        throw unknownLog(url)
      }
    }
    return problems
  }
}
