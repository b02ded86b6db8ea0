import Inference
import Topics

/// Every key of `retort.yaml`, in the order in which `retort init` writes them.
enum Settings {
  /// All of them.
  static let all: [Setting] = model + log + metrics + task + teacher + label + split + train + release + serve

  /// The same by key.
  static let byKey: [String: Setting] = Dictionary(uniqueKeysWithValues: all.map { ($0.key, $0) })

  /// The paths that hold other keys.
  static let sections: Set<String> = Set(
    all.flatMap { setting in
      let parts = setting.key.split(separator: ".")
      return (1..<max(1, parts.count)).map { parts.prefix($0).joined(separator: ".") }
    })

  /// Keys that must not stand in a file.
  static func isSecret(_ key: String) -> Bool { key == "teacher.api_key" }

  private static let model: [Setting] = [
    Setting("model", .name, "assistant", "Name of the student and of the models released from it."),
    Setting("state", .bytes(1...4_096), ".retort", "Folder for checkpoints, keys and the teacher's cache."),
    Setting(
      "threads", .integer(0...64), 0,
      "Threads for training and inference; 0 is one a core, as far as a container's limit goes."),
  ]

  private static let log: [Setting] = [
    Setting("log.url", .text, "sqlite:retort.db", "Which log: sqlite:PATH or kafka://HOST:9092,HOST2:9092."),
    Setting("log.prefix", .text, "retort.", "What every topic's name begins with."),
    Setting("log.partitions", .integer(1...1_000), 1, "Partitions of the topic requests, when it is created."),
    Setting(
      "log.replication_factor", .integer(-1...32), -1,
      "Kafka: replicas of topics that are created; -1: the brokers' own."
    ),
    Setting(
      "log.manage_topics", .flag, true,
      "Kafka: create topics and check their settings; false takes them as administrators made them."),
    Setting(
      "log.kafka", .tree, .object([:]),
      "Kafka: librdkafka's properties. Secrets by file (sasl.password_file) or variable (RETORT_LOG_KAFKA_SASL_PASSWORD)."
    ),
  ]

  private static let metrics: [Setting] = [
    Setting("metrics.host", .text, "127.0.0.1", "Address on which stages answer /metrics and /healthz."),
    Setting("metrics.port", .integer(0...65_535), 0, "Port for it; 0: none. `retort serve` has them on its own port."),
  ]

  private static let task: [Setting] = [
    Setting(
      "task.functions", .bytes(1...4_096), "functions.json",
      "OpenAI tool definitions: the functions whose call is the answer."),
    Setting(
      "task.instructions", .text,
      "Answer the user's request with exactly one function call. Copy values from the request.",
      "What the teacher is told."),
    Setting("task.lookups", .tree, [], "Functions the teacher may call while labelling; see the README."),
    Setting("task.grounded", .flag, false, "Refuse labels whose text values do not occur in the request."),
    Setting(
      "task.verifier.command", .texts, [],
      "A program that reads {\"request\", \"call\"} and prints {\"accepted\": true or false, \"reason\"}."),
    Setting("task.verifier.url", .text, "", "An HTTP address that is posted the same, and answers the same."),
    Setting("task.verifier.timeout_ms", .integer(1...600_000), 10_000, "How long the verifier may take."),
    Setting("task.votes.samples", .integer(1...32), 1, "Answers asked for each request."),
    Setting("task.votes.agreement", .number(0...1), 0.5, "Share of the answers that must agree."),
    Setting("task.trusted_producers", .texts, ["import"], "Producers whose recorded answers are labels."),
  ]

  private static let teacher: [Setting] = [
    Setting(
      "teacher.endpoint", .text, "",
      "An OpenAI-compatible address, such as http://localhost:8000/v1; empty: no teacher."),
    Setting("teacher.model", .text, "", "The teacher's name there."),
    Setting("teacher.api_key_file", .text, "", "File with the key; or set RETORT_TEACHER_API_KEY."),
    Setting("teacher.temperature", .number(0...2), 0, "Sampling temperature."),
    Setting(
      "teacher.logprobs", .integer(0...TokenLogprobs.topLimit), 0,
      "Log-probabilities asked for with each token, to distil from; 0 is none."),
    Setting(
      "teacher.tokenizer", .text, "", "The teacher's tokenizer.json, whose tokens these are of; needed beside them."),
    Setting("teacher.max_turns", .integer(1...64), 8, "Exchanges for one request, lookups included."),
    Setting("teacher.call_timeout_ms", .integer(1...3_600_000), 60_000, "Time for one exchange."),
    Setting("teacher.total_timeout_ms", .integer(1...86_400_000), 180_000, "Time for one request, outages excluded."),
    Setting(
      "teacher.max_request_bytes", .integer(64...(64 << 20)), .integer(256 << 10),
      "Longest request that is sent to the teacher."),
    Setting("teacher.max_concurrent_requests", .integer(1...1_024), 8, "Requests in flight."),
    Setting(
      "teacher.cache_hours", .number(0...1e6), 24,
      "How long an answer that the teacher gave to the same request is taken again; 0: never."),
    Setting("teacher.tokens_per_hour", .integer(0...Int.max), 0, "Budget that pauses labelling; 0 is none."),
    Setting("teacher.money_per_hour", .number(0...1e9), 0, "Budget that pauses labelling; 0 is none."),
    Setting(
      "teacher.price_per_million_prompt_tokens", .number(0...1e9), 0, "For the money budget and the samples' cost."),
    Setting("teacher.price_per_million_completion_tokens", .number(0...1e9), 0, "The same for what it writes."),
  ]

  private static let label: [Setting] = [
    Setting(
      "label.policy", .choice(["everything", "selective"]), "everything",
      "Label every request, or those that teach something and a uniform share."),
    Setting(
      "label.confidence", .number(0...1), 0.9,
      "Selective: below this calibrated confidence of the deployed student a request is labelled."),
    Setting(
      "label.novelty", .number(0.01...1), 0.5,
      "Selective: from this share of words in no labelled request it is labelled."),
    Setting(
      "label.audit_share", .number(0.0001...1), 0.05,
      "Selective: share labelled whatever the student thinks, from which accuracy is estimated."),
    Setting(
      "label.held_out_share", .number(0.0001...1), 0.5,
      "Selective: the same of the requests that are held out for thresholds and the gate."),
    Setting(
      "label.drift_share", .number(0.0001...1), 0.25,
      "Selective: both shares are at least this while the traffic is seen to drift."),
    Setting(
      "label.requests_per_day", .integer(0...1_000_000_000), 0,
      "Selective: most requests of a day (UTC) that the teacher is asked about; 0 is no limit."),
    Setting(
      "label.join_scores", .flag, false,
      "Join the scores of trusted producers and the verifier in feedback into samples, for the recipe's sample_judge."),
  ]

  private static let split: [Setting] = [
    Setting("split.salt", .text, "retort", "Mixed into the hash that holds samples out."),
    Setting("split.dev", .number(0...0.5), 0.04, "Share of samples for thresholds."),
    Setting("split.gate", .number(0...0.5), 0.08, "Share of samples for the gate alone."),
  ]

  private static let train: [Setting] = [
    Setting(
      "train.base", .text, "",
      "A Hugging Face folder to start from, with ChatML's tokens as Qwen2 has them; empty: from scratch."),
    Setting(
      "train.teacher", .text, "",
      "What students also learn from: a Hugging Face folder or .gguf file with their tokens, or `samples`, the "
        + "log-probabilities of teacher.logprobs; empty: none."),
    Setting("train.seed", .integer(0...Int.max), 1, "The seed of everything random in training."),
    Setting(
      "train.recipe", .tree, .object([:]),
      "Hyperparameters that differ from the defaults; `retort train --show-recipe` lists them."),
  ]

  private static let release: [Setting] = [
    Setting("release.every", .integer(1...1_000_000_000), 4_000, "Training samples between two releases."),
    Setting(
      "release.prune", .textOrNumber(0...0.9), "ffn=0.9375",
      "What is taken out, as for retort compress --prune, or none; a number: that share of feed-forward neurons."),
    Setting(
      "release.recovery_steps", .textOrNumber(0...100_000), "auto",
      "Steps of recovery after pruning; auto: 300, or more where much goes: 5,000 for a fifth of the parameters."
    ),
    Setting(
      "release.quantize", .text, "q8_0",
      "Format of the released weights: q8_0, q6_k, q4_k, q4_0, f16, bf16, f32, or a mix such as bytes=1.6MB."),
    Setting(
      "release.calibrate", .choice(["nearest", "awq", "gptq", "awq+gptq"]), "nearest",
      "How rounding is fitted to recent samples."),
    Setting(
      "release.importance", .choice(["activations", "gradients"]), "activations",
      "What tells important parts: how large what they give is, or how the loss changes without them."),
    Setting("release.quantization_aware_steps", .integer(0...100_000), 0, "Steps at the end with rounded weights."),
    Setting("release.gate.minimum", .integer(1...1_000_000), 100, "Fewest different gate samples for a verdict."),
    Setting(
      "release.gate.margin", .number(0...1), 0.02, "How much worse than the incumbent a release may be, at worst."),
    Setting("release.gate.floor", .number(0...1), 0, "Exact match that a release must reach in any case."),
    Setting(
      "release.gate.alpha", .number(0.001...1), 0.4,
      "Risk that a release worse by the margin passes, over all tries against one incumbent."),
    Setting(
      "release.gate.compression_margin", .number(0...1), 0.02,
      "What compression may cost; twice as much where the samples cannot tell it from nothing."),
    Setting("release.gate.best_margin", .number(0...1), 0.03, "How far below the best release ever one may be."),
    Setting(
      "release.gate.slice_alpha", .number(0.0001...1), 0.05,
      "Risk that a release as good on every function fails for one of them."),
    Setting(
      "release.gate.slice_minimum", .integer(1...1_000_000), 20,
      "Functions with fewer gate samples are judged together, as rare ones."),
    Setting("release.gate.max_latency_ms", .number(0...1e6), 0, "Longest median answer on one thread; 0 is no limit."),
    Setting("release.gate.max_bytes", .integer(0...Int.max), 0, "Largest weights file; 0 is no limit."),
    Setting("release.gate.window", .integer(1...1_000_000), 4_000, "How many gate samples, the newest, are looked at."),
    Setting(
      "release.probes", .text, "", "JSONL of requests that subscribers ask a new model; empty: made from the functions."
    ),
    Setting(
      "release.store", .choice(["log", "file"]), "log",
      "Where released files go: chunks in the log, or state/store, named by absolute addresses."),
    Setting("release.licence", .bytes(1...512), "proprietary", "The licence named in manifests."),
  ]

  private static let serve: [Setting] = [
    Setting("serve.host", .text, "127.0.0.1", "Address to listen on."),
    Setting("serve.port", .integer(0...65_535), 8_080, "Port to listen on; 0 takes a free one."),
    Setting("serve.max_concurrent_requests", .integer(1...10_000), 64, "Requests in flight; more get 429."),
    Setting(
      "serve.threshold", .number(0...1), nil,
      "Confidence below which an answer says to escalate; unset: the release's, above which 95 % are right."),
    Setting(
      "serve.spool_bytes", .integer(0...Int.max), .integer(64 << 20), "Bound of the spool of live requests on disk."),
    Setting(
      "serve.alternatives", .integer(DecodeOptions.alternativesRange), nil,
      "Beginnings followed where an answer is unsure, 0: greedy; releases are measured with it; unset: as released, 8 if new."
    ),
    Setting(
      "serve.shared_weights", .text, "",
      "Folder of packed weights, which servers map and so hold once; empty: in the state folder; none: each has its own."
    ),
    Setting(
      "serve.trusted_keys", .texts, [], "Files with public keys of releases to trust; empty: the state folder's."),
  ]
}
