package import CRdKafka
package import MessageLog
import Synchronization

/// Turns what librdkafka and brokers say into what the caller can do about it.
package enum KafkaFailure {
  /// Whether a broker has answered in this process: then the settings of the connection are right, and what looks like wrong ones
  /// is a broker, or a balancer before it, that closes connections for a while.
  private static let answered = Atomic(false)

  /// Notes that a broker has answered.
  static func noteAnswer() { answered.store(true, ordering: .relaxed) }

  /// The log's error for a code.
  ///
  /// - Parameters:
  ///   - doing: what was tried, in a few words.
  ///   - detail: what librdkafka says beside the code.
  ///   - hasAnswered: whether a broker has answered before; nil (default): as was noted.
  package static func error(
    _ code: rd_kafka_resp_err_t, _ doing: String, topic: String? = nil, partition: Int? = nil, detail: String? = nil,
    hasAnswered: Bool? = nil
  ) -> MessageLogError {
    let said = detail.flatMap { $0.isEmpty ? nil : $0 } ?? String(cString: rd_kafka_err2str(code))
    let meaning =
      connection(said, code, hasAnswered: hasAnswered ?? answered.load(ordering: .relaxed)) ?? nonce(said, code)
      ?? meaning(of: code)
    return MessageLogError(
      meaning.code, "\(doing): \(meaning.what)", topic: topic, partition: partition,
      found: "\(name(of: code)): \(said.prefix(400))", advice: meaning.advice, isRetriable: meaning.isRetriable)
  }

  /// The code's name, such as `TOPIC_AUTHORIZATION_FAILED`.
  static func name(of code: rd_kafka_resp_err_t) -> String { String(cString: rd_kafka_err2name(code)) }

  /// Takes over an error object, and destroys it.
  static func take(_ error: OpaquePointer) -> (code: rd_kafka_resp_err_t, text: String, fault: Fault) {
    defer { rd_kafka_error_destroy(error) }
    let fault: Fault =
      if rd_kafka_error_is_fatal(error) != 0 {
        .fatal
      } else if rd_kafka_error_txn_requires_abort(error) != 0 {
        .abortable
      } else if rd_kafka_error_is_retriable(error) != 0 {
        .retriable
      } else {
        .other
      }
    return (rd_kafka_error_code(error), String(cString: rd_kafka_error_string(error)), fault)
  }

  /// The class of an error, as KIP-98 and KIP-447 divide them.
  package enum Fault: Sendable, Hashable {
    /// The same call may be repeated.
    case retriable
    /// The transaction must be aborted; its work may be done again.
    case abortable
    /// The client is useless; a new one may do the work again.
    case fatal
    /// The call was wrong or refused.
    case other
  }

  private struct Meaning {
    var code: MessageLogError.Code
    var what: String
    var advice: String
    var isRetriable: Bool?
  }

  private static func meaning(of code: rd_kafka_resp_err_t) -> Meaning {
    if let meaning = takeover(code) ?? access(code) ?? request(code) { return meaning }
    return Meaning(
      code: .unavailable, what: "the brokers did not answer as they should",
      advice: "try again; if it goes on, run `retort doctor` and look at the brokers' logs")
  }

  /// What librdkafka says only in words: why no broker could be talked to.
  private static func connection(_ said: String, _ code: rd_kafka_resp_err_t, hasAnswered: Bool) -> Meaning? {
    let isVague = [
      RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__SSL,
      RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
    ].contains(code)
    guard isVague else { return nil }
    // What librdkafka and OpenSSL say of every connection that is closed before it is ready.
    let isClosed = ["incorrect security.protocol", "PLAINTEXT broker listener", "unexpected eof"].contains {
      said.contains($0)
    }
    let isMismatch = ["wrong version number", "packet length too long"].contains { said.contains($0) }
    if isMismatch || isClosed && !hasAnswered {
      return Meaning(
        code: .unavailable, what: "one side of the connection encrypts and the other does not",
        advice:
          "set security.protocol under log.kafka to what the port expects: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        isRetriable: false)
    }
    if isClosed || said.contains("verify that security.protocol is correctly configured") {
      return Meaning(
        code: .unavailable, what: "the broker closed the connection without an answer",
        advice: "wait where it is just starting; else set security.protocol under log.kafka to what the port expects: "
          + "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    }
    if said.contains("certificate verify failed") {
      return Meaning(
        code: .unavailable, what: "the broker's certificate is not trusted",
        advice: "set ssl.ca.location under log.kafka to the authority that signed it", isRetriable: false)
    }
    if said.contains("certificate required") || said.contains("alert bad certificate") {
      return Meaning(
        code: .unavailable, what: "the broker asks for a client certificate",
        advice: "set ssl.certificate.location and ssl.key.location under log.kafka", isRetriable: false)
    }
    guard code != RD_KAFKA_RESP_ERR__SSL else { return nil }
    return Meaning(
      code: .unavailable, what: "no broker could be reached",
      advice: "start the brokers or correct log.url; `nc -vz HOST PORT` shows whether a port is open")
  }

  /// Before 2.6.1 librdkafka repeats its nonce in SCRAM's last message, which Kafka refuses from 4.0 on (librdkafka #4895).
  private static func nonce(_ said: String, _ code: rd_kafka_resp_err_t) -> Meaning? {
    guard rd_kafka_version() < 0x0206_01FF, said.contains("SCRAM-"),
      code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
    else { return nil }
    return Meaning(
      code: .unavailable, what: "the brokers do not accept who we say we are",
      advice: "correct the name and the password under log.kafka; brokers of Kafka 4 refuse SCRAM from librdkafka "
        + "before 2.6.1, which this is (\(String(cString: rd_kafka_version_str()))): install a newer one, or use PLAIN over TLS, "
        + "certificates or OAUTHBEARER",
      isRetriable: false)
  }

  private static func takeover(_ code: rd_kafka_resp_err_t) -> Meaning? {
    switch code {
    case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      Meaning(
        code: .fenced, what: "a newer writer has taken over the transactional id",
        advice: "stop this writer: another process does its work now")
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
      RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
      Meaning(
        code: .fenced, what: "the group has given the partitions to another member",
        advice: "read on from what the group has committed", isRetriable: true)
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      Meaning(
        code: .fenced, what: "another member has the same group.instance.id",
        advice: "give each process a group.instance.id of its own")
    default: nil
    }
  }

  private static func access(_ code: rd_kafka_resp_err_t) -> Meaning? {
    func refused(_ resource: String, _ operation: String) -> Meaning {
      Meaning(
        code: .readOnly, what: "the brokers do not permit it",
        advice:
          "let an administrator grant it: kafka-acls.sh --add --allow-principal User:NAME \(operation) \(resource)")
    }
    switch code {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return refused(
        "--resource-pattern-type prefixed --topic PREFIX",
        "--operation Describe --operation DescribeConfigs --operation Read --operation Write")
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      return refused("--resource-pattern-type prefixed --group PREFIX", "--operation Read")
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return refused(
        "--resource-pattern-type prefixed --transactional-id PREFIX", "--operation Write --operation Describe")
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return Meaning(
        code: .readOnly, what: "the brokers do not permit it",
        advice:
          "let an administrator grant Write on the topics of the prefix that are written to, which an idempotent producer "
          + "needs; who makes topics needs --operation Create on the cluster or the prefix")
    case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return Meaning(
        code: .unavailable, what: "the brokers do not accept who we say we are",
        advice: "correct sasl.mechanism, sasl.username and the password under log.kafka", isRetriable: false)
    case RD_KAFKA_RESP_ERR__SSL:
      return Meaning(
        code: .unavailable, what: "the encrypted connection could not be made",
        advice: "correct security.protocol and ssl.ca.location under log.kafka, or the broker's certificate",
        isRetriable: false)
    default: return nil
    }
  }

  private static func request(_ code: rd_kafka_resp_err_t) -> Meaning? {
    switch code {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
      RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      Meaning(
        code: .unknownTopic, what: "there is no such topic or partition", advice: "create it, or correct the name")
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      Meaning(
        code: .tooLarge, what: "the records are larger than the topic allows",
        advice: "raise the topic's max.message.bytes, or set batch.size under log.kafka below it")
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      Meaning(code: .outOfRange, what: "the offset is not in the log", advice: "seek to an offset that exists")
    case RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
      Meaning(
        code: .corrupt, what: "bytes are damaged, or not Kafka's",
        advice: "see that the port is a broker's and security.protocol is right, then look at the brokers' disks")
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      Meaning(code: .conflict, what: "the topic exists", advice: "use it as it is, or another name or prefix")
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG, RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
      RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_REQUEST,
      RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
      RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_INVALID_RECORD,
      RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
      Meaning(code: .invalid, what: "the brokers refuse the request", advice: "correct what they name")
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
      RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
      Meaning(code: .unsupported, what: "the brokers cannot do that", advice: "use Apache Kafka 2.5 or newer")
    case RD_KAFKA_RESP_ERR__DESTROY:
      Meaning(code: .closed, what: "the client is closed", advice: "open a new one")
    default: nil
    }
  }
}
