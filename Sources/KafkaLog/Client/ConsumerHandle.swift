import CRdKafka
import Logging
import MessageLog

/// A consumer's handle; used on its thread only.
///
/// Events and records come through two queues. The consumer's own queue has rebalances and errors and is served all the
/// time, which is what keeps the membership however slow the processing is. Records of all partitions go to one data queue,
/// which is served only when somebody asks for records: librdkafka bounds it (`queued.max.messages.kbytes`) and stops
/// fetching while it is full (see ``FetchPause``). So nothing is paused for back-pressure, and nothing that was fetched is
/// thrown away.
final class ConsumerHandle {
  private let client: ClientHandle
  private let data: OpaquePointer
  private var reader = MessageReader()
  private var buffer: [UnsafeMutablePointer<rd_kafka_message_t>?] = []
  private var partitionQueues: [TopicPartition: OpaquePointer] = [:]
  /// Partitions of which nothing has come since they were assigned.
  private var unheard: Set<TopicPartition> = []
  private var pause: FetchPause
  private var isClosed = false
  private let isGroupMember: Bool
  /// How long a call may wait for brokers.
  private static let callTimeout: Int32 = 10_000
  /// Before 2.1.0 librdkafka takes this call's milliseconds for microseconds (librdkafka #4230).
  private static let seekTimeout = rd_kafka_version() < 0x0201_0000 ? 1_000 * callTimeout : callTimeout

  init(
    properties: ClientProperties, options: ReaderOptions, logger: Logger, thread: HandleThread
  ) throws(MessageLogError) {
    isGroupMember = properties.isGroupMember
    pause = FetchPause(records: options.maximumPrefetch, bytes: options.maximumPrefetchBytes)
    client = try ClientHandle(RD_KAFKA_CONSUMER, properties: properties, logger: logger, thread: thread)
    rd_kafka_poll_set_consumer(client.raw)
    _ = client.adopt(rd_kafka_queue_get_consumer(client.raw))
    data = client.adopt(rd_kafka_queue_new(client.raw))
  }

  deinit { close(abruptly: false) }

  var context: ClientContext { client.context }

  /// Leaves the group, unless abruptly, and destroys the handle.
  func close(abruptly: Bool) {
    if isClosed { return }
    isClosed = true
    client.context.beginClosing()
    if !abruptly { rd_kafka_consumer_close(client.raw) }
    for queue in partitionQueues.values { rd_kafka_queue_destroy(queue) }
    partitionQueues = [:]
    if Self.diesUnassigned, isGroupMember, !client.context.hasBeenAssigned {
      client.leave()
    } else {
      client.destroy(abruptly: abruptly)
    }
  }

  /// Before 2.3.0 librdkafka's cooperative-sticky assignor fails an assertion, and so ends the process, when a member is
  /// destroyed that joined and was never assigned anything (librdkafka #4312). Such a member leaves its group and is then
  /// left alone.
  private static let diesUnassigned = rd_kafka_version() < 0x0203_0000

  // MARK: - Queues

  /// Serves the consumer's queue: callbacks run, and what it says of errors is returned.
  func serveEvents() -> [FetchedMessage] {
    var found: [FetchedMessage] = []
    while let message = rd_kafka_consumer_poll(client.raw, 0) {
      found.append(reader.read(message))
      rd_kafka_message_destroy(message)
    }
    return found
  }

  /// What waits in the data queue, at most `maximum` messages, one after the other.
  ///
  /// - Returns: how many there were.
  func fetch(_ maximum: Int, _ take: (consuming FetchedMessage) -> Void) -> Int {
    if buffer.count < maximum { buffer = Array(repeating: nil, count: maximum) }
    let count = buffer.withUnsafeMutableBufferPointer { buffer in
      rd_kafka_consume_batch_queue(data, 0, buffer.baseAddress, maximum)
    }
    guard count > 0 else { return 0 }
    // Taken out of the object once, not for each message.
    let (isHearing, messages) = (!unheard.isEmpty, buffer)
    var (reader, bytes) = (reader, 0)
    for index in 0..<count {
      guard let message = messages[index] else { continue }
      bytes += message.pointee.len
      let read = reader.read(message)
      rd_kafka_message_destroy(message)
      if isHearing, let place = read.place { unheard.remove(place) }
      take(read)
    }
    self.reader = reader
    goOnFetching(count, bytes)
    return count
  }

  /// Has librdkafka look at once whether its queue has room: any request does, and this one's answer is not waited for.
  private func goOnFetching(_ count: Int, _ bytes: Int) {
    guard FetchPause.isLong, pause.ends(taking: count, bytes: bytes, left: rd_kafka_queue_length(data)) else { return }
    let list = PartitionList(partitionQueues.mapValues { _ in OffsetLookup.oldest })
    rd_kafka_offsets_for_times(client.raw, list.pointer, 0)
  }

  // MARK: - Partitions

  func subscribe(_ topics: [String]) throws(MessageLogError) {
    let list = PartitionList(topics: topics)
    try check(rd_kafka_subscribe(client.raw, list.pointer), "joining the group")
  }

  /// Begins to read partitions where the group has committed.
  func assignWhereCommitted(_ places: some Sequence<TopicPartition>) throws(MessageLogError) {
    try assign(Dictionary(places.map { ($0, Int64(RD_KAFKA_OFFSET_INVALID)) }) { first, _ in first })
  }

  /// Begins to read partitions at their offsets.
  func assign(_ offsets: [TopicPartition: Int64]) throws(MessageLogError) {
    for place in offsets.keys { routeToDataQueue(place) }
    unheard.formUnion(offsets.keys)
    let list = PartitionList(offsets)
    try check(rd_kafka_incremental_assign(client.raw, list.pointer), "taking partitions")
  }

  /// Ends reading partitions.
  func unassign(_ places: some Sequence<TopicPartition>) throws(MessageLogError) {
    let list = PartitionList(places)
    try check(rd_kafka_incremental_unassign(client.raw, list.pointer), "giving up partitions")
    for place in places {
      unheard.remove(place)
      if let queue = partitionQueues.removeValue(forKey: place) { rd_kafka_queue_destroy(queue) }
    }
  }

  /// Goes on elsewhere in a partition; what waits for it in the data queue is dropped.
  ///
  /// - Returns: whether the partition was being fetched; after its position was lost it is not, and must be assigned anew.
  func seek(_ place: TopicPartition, to offset: Int64) throws(MessageLogError) -> Bool {
    let list = PartitionList([place: offset])
    try check(rd_kafka_seek_partitions(client.raw, list.pointer, Self.seekTimeout), "seeking in \(place)")
    let code = list.items.first?.error ?? RD_KAFKA_RESP_ERR_NO_ERROR
    if code == RD_KAFKA_RESP_ERR__STATE { return false }
    try check(code, "seeking in \(place)")
    return true
  }

  /// Leads a partition's records to the data queue.
  ///
  /// The application's own forwarding stays when librdkafka begins to fetch, so it must be there before. But ending a fetch
  /// takes it away, at a time of librdkafka's own: a partition that was just given up and taken again needs it once more.
  private func routeToDataQueue(_ place: TopicPartition) {
    if partitionQueues[place] == nil {
      partitionQueues[place] = rd_kafka_queue_get_partition(client.raw, place.topic, Int32(place.partition))
    }
    if let queue = partitionQueues[place] { rd_kafka_queue_forward(queue, data) }
  }

  /// Whether partitions have been assigned of which nothing has come: call ``routeUnheard()`` until they are heard of.
  var hasUnheard: Bool { !unheard.isEmpty }

  func routeUnheard() { for place in unheard { routeToDataQueue(place) } }

  // MARK: - Brokers

  /// Offsets by time (milliseconds since 1970), or for -2 the oldest and for -1 the end; -1 where there is no such record.
  func offsets(_ times: [TopicPartition: Int64]) throws(MessageLogError) -> [TopicPartition: Int64] {
    try OffsetLookup.offsets(client, times, timeout: Self.callTimeout)
  }

  /// Commits offsets; `done` is called on this thread with the outcome.
  func commit(_ offsets: [TopicPartition: Int64], _ done: @escaping (rd_kafka_resp_err_t) -> Void) {
    let list = PartitionList(offsets)
    let box = Unmanaged.passRetained(CommitDone(done)).toOpaque()
    let queue = rd_kafka_queue_get_consumer(client.raw)
    defer { rd_kafka_queue_destroy(queue) }
    let code = rd_kafka_commit_queue(
      client.raw, list.pointer, queue,
      { _, code, offsets, opaque in
        guard let opaque else { return }
        let failed = PartitionList.items(of: UnsafePointer(offsets)).first { $0.error != RD_KAFKA_RESP_ERR_NO_ERROR }
        let done = Unmanaged<CommitDone>.fromOpaque(opaque).takeRetainedValue().done
        done(code == RD_KAFKA_RESP_ERR_NO_ERROR ? failed?.error ?? code : code)
      }, box)
    if code != RD_KAFKA_RESP_ERR_NO_ERROR {
      Unmanaged<CommitDone>.fromOpaque(box).release()
      done(code)
    }
  }

  private final class CommitDone {
    let done: (rd_kafka_resp_err_t) -> Void
    init(_ done: @escaping (rd_kafka_resp_err_t) -> Void) { self.done = done }
  }

  /// Who this member is now, serialised; nil before it has joined.
  func identity() -> (identity: GroupIdentity, token: [UInt8])? {
    guard let metadata = rd_kafka_consumer_group_metadata(client.raw) else { return nil }
    defer { rd_kafka_consumer_group_metadata_destroy(metadata) }
    var start: UnsafeMutableRawPointer?
    var count = 0
    if let error = rd_kafka_consumer_group_metadata_write(metadata, &start, &count) {
      rd_kafka_error_destroy(error)
      return nil
    }
    guard let start else { return nil }
    defer { rd_kafka_mem_free(client.raw, start) }
    let token = [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    guard let identity = GroupIdentity(token), identity.generation >= 0, !identity.member.isEmpty else { return nil }
    return (identity, token)
  }

  private func check(_ code: rd_kafka_resp_err_t, _ doing: String) throws(MessageLogError) {
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    throw KafkaFailure.error(code, doing, detail: client.context.lastTrouble?.text)
  }

  private func check(_ error: OpaquePointer?, _ doing: String) throws(MessageLogError) {
    guard let error else { return }
    let taken = KafkaFailure.take(error)
    throw KafkaFailure.error(taken.code, doing, detail: taken.text)
  }
}

/// Asks brokers for offsets, for any kind of client.
enum OffsetLookup {
  /// The oldest offset of a partition.
  static let oldest: Int64 = -2
  /// The end of a partition.
  static let end: Int64 = -1

  static func offsets(
    _ client: ClientHandle, _ times: [TopicPartition: Int64], timeout: Int32
  ) throws(MessageLogError) -> [TopicPartition: Int64] {
    if times.isEmpty { return [:] }
    let list = PartitionList(times)
    client.context.forgetTrouble()
    let code = rd_kafka_offsets_for_times(client.raw, list.pointer, timeout)
    client.poll()
    let items = list.items
    let failed = items.first { $0.error != RD_KAFKA_RESP_ERR_NO_ERROR }
    if code != RD_KAFKA_RESP_ERR_NO_ERROR || failed != nil {
      let place = failed?.place ?? items[0].place
      throw KafkaFailure.error(
        failed?.error ?? code, "looking up offsets", topic: place.topic, partition: place.partition,
        detail: client.context.lastTrouble?.text)
    }
    return Dictionary(items.map { ($0.place, $0.offset) }) { first, _ in first }
  }
}
