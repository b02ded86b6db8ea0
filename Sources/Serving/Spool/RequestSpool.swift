import Dispatch
import Foundation
public import Logging
import Synchronization
public import Topics

/// Live requests on their way to the log, on disk: an answer never waits for the log.
///
/// ``append(_:)`` puts a record into memory; within 50 ms it is durable in a segment file, and ``SpoolForwarder`` takes it from
/// there to the log. Delivery: what was durable arrives at least once, in order; a crash loses at most the last 50 ms. Back-pressure:
/// none; where the bound is reached, new records are dropped and counted.
///
/// `@unchecked Sendable`: the files and the reading place are only used on `queue`; the rest is behind a mutex.
public final class RequestSpool: @unchecked Sendable {
  /// What the spool holds and did.
  public struct Figures: Sendable, Hashable {
    /// Records that are not in the log yet.
    public var records = 0
    /// Their size in bytes.
    public var bytes = 0
    /// Records that were dropped since the start.
    public var dropped = 0
    /// Records that were appended to the log since the start.
    public var forwarded = 0

    static func + (a: Figures, b: Figures) -> Figures {
      Figures(
        records: a.records + b.records, bytes: a.bytes + b.bytes, dropped: a.dropped + b.dropped,
        forwarded: a.forwarded + b.forwarded)
    }
  }

  private struct State {
    var figures = Figures()
    var pending: [[UInt8]] = []
    var isScheduled = false
    var isClosed = false
    var nextComplaint: ContinuousClock.Instant?
  }

  /// The folder.
  public let folder: String
  private let lock: FolderLock
  /// The server's folder, where the spool is not this server's own.
  private let home: FolderLock?
  private let maximumBytes: Int
  private let segmentBytes: Int
  private let interval: DispatchTimeInterval
  private let logger: Logger
  private let queue = DispatchQueue(label: "retort.spool")
  private let files: SpoolFiles
  private var place: SpoolFiles.Place
  private let state = Mutex(State())
  private let arrivals: AsyncStream<Void>
  private let arrived: AsyncStream<Void>.Continuation

  /// Opens a spool; what an earlier process left is kept and forwarded first.
  ///
  /// - Parameters:
  ///   - folder: where the segments are; belongs to this process from now on.
  ///   - maximumBytes: how much may wait; what comes beyond is dropped. 0 drops everything.
  ///   - interval: how long a record may be in memory only; default 50 ms.
  ///   - segmentBytes: when a file is full; default 4 MiB.
  /// - Throws: ``ServingError`` `folder`.
  public convenience init(
    folder: String, maximumBytes: Int = 64 << 20, interval: Duration = .milliseconds(50), segmentBytes: Int = 4 << 20,
    logger: Logger
  ) throws(ServingError) {
    try self.init(
      folder: folder, home: nil, maximumBytes: maximumBytes, interval: interval, segmentBytes: segmentBytes,
      logger: logger)
  }

  private init(
    folder: String, home: FolderLock?, maximumBytes: Int, interval: Duration, segmentBytes: Int, logger: Logger
  ) throws(ServingError) {
    lock = try FolderLock.only(folder)
    self.home = home
    self.folder = folder
    self.maximumBytes = maximumBytes
    self.segmentBytes = max(1, segmentBytes)
    self.interval = .milliseconds(Int(interval / .milliseconds(1)))
    self.logger = logger
    files = try SpoolFiles(folder: folder)
    (arrivals, arrived) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    let found = try files.segments()
    let forwarded = files.forwarded
    // The note may name a segment of which there is no file yet: what is before it is in the log all the same.
    let segments = found.filter { $0 >= forwarded?.segment ?? 0 }
    for old in found where !segments.contains(old) { files.delete(old) }
    place = SpoolFiles.Place(segment: segments.first ?? files.active, offset: 0)
    if let forwarded, forwarded.segment == place.segment { place = forwarded }
    let left = try Self.count(files, segments, from: place)
    state.withLock {
      $0.figures.records = left.records
      $0.figures.bytes = left.bytes
    }
    if left.records > 0 { arrived.yield() }
  }

  /// Opens what servers that run no longer have left: their spools that hold something. Nothing more is taken into them.
  ///
  /// - Parameters:
  ///   - path: the servers' folders are `path`, `path-2`, … `path-64`, each with its spool in `spool`. Those that are opened
  ///     belong to this process as long as the spools live.
  public static func left(in path: String, logger: Logger) -> [RequestSpool] {
    let homes = FolderLock.free(of: path) { home in
      let names = try? FileManager.default.contentsOfDirectory(atPath: home + "/spool")
      return names?.contains { $0.hasSuffix(".spool") } ?? false
    }
    return homes.compactMap { home in
      do throws(ServingError) {
        let spool = try RequestSpool(
          folder: home.path + "/spool", home: home, maximumBytes: 0, interval: .zero, segmentBytes: 1, logger: logger)
        if spool.figures.records > 0 { return spool }
        spool.removeForwarded()
        return nil
      } catch {
        logger.warning("what another server has left in its spool stays there", metadata: ["reason": "\(error)"])
        return nil
      }
    }
  }

  private static func count(
    _ files: SpoolFiles, _ segments: [Int], from place: SpoolFiles.Place
  ) throws(ServingError) -> (records: Int, bytes: Int) {
    var records = 0
    var size = 0
    for segment in segments {
      let bytes = try files.read(.init(segment: segment, offset: segment == place.segment ? place.offset : 0))
      var offset = 0
      while let frame = SpoolFrame.next(in: bytes, from: offset) {
        records += 1
        size += frame.end - frame.begin
        offset = frame.end
      }
    }
    return (records, size)
  }

  /// What the spool holds and did.
  public var figures: Figures { state.withLock { $0.figures } }

  /// Takes a record; returns at once.
  ///
  /// - Returns: whether it was taken; false where the bound is reached, the record is larger than 4 MiB, or the spool is closed.
  @discardableResult
  public func append(_ record: RequestRecord) -> Bool {
    let payload = record.json.bytes
    let frame = payload.count <= SpoolFrame.maximumPayload ? SpoolFrame.encode(payload) : []
    let (isTaken, schedules) = state.withLock { state -> (Bool, Bool) in
      guard !frame.isEmpty, !state.isClosed, state.figures.bytes + frame.count <= maximumBytes else {
        state.figures.dropped += 1
        return (false, false)
      }
      state.figures.records += 1
      state.figures.bytes += frame.count
      state.pending.append(frame)
      defer { state.isScheduled = true }
      return (true, !state.isScheduled)
    }
    if schedules { queue.asyncAfter(deadline: .now() + interval) { self.write() } }
    if !isTaken { complain("the spool is full or closed: live requests are dropped") }
    return isTaken
  }

  /// Takes no more records, makes those it has durable, and lets the forwarder end when it has tried them.
  public func close() async {
    state.withLock { $0.isClosed = true }
    await onQueue { self.write() }
    arrived.finish()
  }

  /// Once it is closed: removes what is in the log, and may have to be erased there, unless something still waits.
  func discard() async { await onQueue { self.removeForwarded() } }

  private func removeForwarded() {
    guard figures.records == 0, let segments = try? files.segments() else { return }
    files.roll()
    place = .init(segment: files.active, offset: 0)
    files.forwarded = place
    for segment in segments { files.delete(segment) }
  }

  /// Whether the spool takes no more.
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Ticks when there is something to forward; ends when the spool is closed. For one reader.
  var ticks: AsyncStream<Void> { arrivals }

  // MARK: On the queue

  private func onQueue<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { done in queue.async { done.resume(returning: body()) } }
  }

  private func write() {
    let frames = state.withLock { state in
      state.isScheduled = false
      defer { state.pending = [] }
      return state.pending
    }
    guard !frames.isEmpty else { return }
    do throws(ServingError) {
      try files.append(Array(frames.joined()))
      if files.length >= segmentBytes { files.roll() }
      arrived.yield()
    } catch {
      let size = frames.reduce(0) { $0 + $1.count }
      state.withLock {
        $0.figures.records -= frames.count
        $0.figures.bytes -= size
        $0.figures.dropped += frames.count
      }
      files.roll()
      complain("live requests are dropped: \(error)")
    }
  }

  /// The next records to forward, and the place after each; nil where they cannot be read now.
  func next(maximum: Int) async -> [(payload: [UInt8], end: SpoolFiles.Place, bytes: Int)]? {
    await onQueue {
      do throws(ServingError) { return try self.read(maximum) } catch {
        self.complain("live requests wait in the spool: \(error)")
        return nil
      }
    }
  }

  private func read(_ maximum: Int) throws(ServingError) -> [(payload: [UInt8], end: SpoolFiles.Place, bytes: Int)] {
    while true {
      let bytes = try files.read(place)
      var found: [(payload: [UInt8], end: SpoolFiles.Place, bytes: Int)] = []
      var offset = 0
      while found.count < maximum, let frame = SpoolFrame.next(in: bytes, from: offset) {
        if frame.begin > offset { damaged(frame.begin - offset) }
        offset = frame.end
        found.append(
          (frame.payload, .init(segment: place.segment, offset: place.offset + offset), frame.end - frame.begin))
      }
      if !found.isEmpty { return found }
      guard place.segment < files.active else { return [] }
      if !bytes.isEmpty { damaged(bytes.count) }
      try leaveSegment()
    }
  }

  /// The segment has been read to its end: on to the next.
  private func leaveSegment() throws(ServingError) {
    let rest = try files.segments().first { $0 > place.segment }
    files.delete(place.segment)
    place = .init(segment: rest ?? files.active, offset: 0)
    files.forwarded = place
  }

  private func damaged(_ bytes: Int) {
    logger.warning(
      "the spool had torn or damaged bytes, which were passed over",
      metadata: ["file": "\(files.path(place.segment))", "bytes": "\(bytes)"])
  }

  /// Records are dealt with: appended to the log, or refused by it for good.
  func finished(_ count: Int, refused: Int, bytes: Int, end: SpoolFiles.Place) async {
    await onQueue {
      self.place = end
      self.files.forwarded = end
    }
    state.withLock {
      $0.figures.records -= count
      $0.figures.bytes -= bytes
      $0.figures.forwarded += count - refused
      $0.figures.dropped += refused
    }
  }

  /// Says something about drops, at most once a minute.
  func complain(_ message: String) {
    let (isDue, dropped) = state.withLock { state in
      let now = ContinuousClock.now
      guard state.nextComplaint.map({ now >= $0 }) ?? true else { return (false, 0) }
      state.nextComplaint = now + .seconds(60)
      return (true, state.figures.dropped)
    }
    if isDue { logger.warning("\(message)", metadata: ["dropped": "\(dropped)"]) }
  }
}
