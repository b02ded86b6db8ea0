package import MessageLog

/// A record of the log, by a name that GRDB has not taken.
package typealias StoredRecord = Record

/// A batch as read from the file, decoded record by record.
package struct StoredBatch: Sendable {
  let topicPartition: TopicPartition
  let partitionID: Int64
  let base: Int64
  let next: Int64
  let count: Int64
  let maximumTime: Int64
  let checksum: Int64
  let data: [UInt8]

  private var at = 0
  private var decoded: Int64 = 0
  private var firstTime: Int64 = 0
  private var previous: Int64 = -1

  package init(
    topicPartition: TopicPartition, partitionID: Int64, base: Int64, next: Int64, count: Int64, maximumTime: Int64,
    checksum: Int64, data: [UInt8]
  ) {
    self.topicPartition = topicPartition
    self.partitionID = partitionID
    self.base = base
    self.next = next
    self.count = count
    self.maximumTime = maximumTime
    self.checksum = checksum
    self.data = data
  }

  /// Whether all records were decoded.
  var isExhausted: Bool { at > 0 && decoded == count }

  /// All records from an offset on.
  ///
  /// - Throws: `.corrupt`.
  package static func records(of batch: StoredBatch, from offset: Int64 = .min) throws(MessageLogError) -> [Record] {
    var copy = batch
    var records: [Record] = []
    try copy.decode(into: &records, limit: .max, from: offset)
    return records
  }

  /// Decodes up to `limit` further records whose offset is at least `from`.
  ///
  /// - Throws: `.corrupt` where the bytes are not what was written; then nothing was decoded.
  mutating func decode(into records: inout [Record], limit: Int, from: Int64) throws(MessageLogError) {
    if at == 0 { try open() }
    var cursor = ByteReader(at: at)
    var left = limit
    let mark = records.count
    let outcome: Bool = data.withUnsafeBytes { buffer in
      while decoded < count, left > 0 {
        guard let record = self.record(&cursor, buffer) else { return false }
        decoded += 1
        previous = record.offset
        if record.offset >= from {
          records.append(record)
          left -= 1
        }
      }
      return decoded < count || cursor.at == buffer.count
    }
    guard outcome else {
      records.removeSubrange(mark...)
      throw damaged("the batch's records do not fit its bytes")
    }
    at = cursor.at
  }

  /// Checks the batch before its first record is believed.
  private mutating func open() throws(MessageLogError) {
    let hash = data.withUnsafeBytes { Checksum.xxh64($0, seed: 0) }
    let found = BatchCodec.rowChecksum(
      dataHash: hash, partition: partitionID, base: base, next: next, count: count, maximumTime: maximumTime)
    guard found == checksum else { throw damaged("a batch does not have its checksum") }
    var cursor = ByteReader(at: 1)
    let time = data.withUnsafeBytes { cursor.varint($0) }
    guard data.first == BatchCodec.format, let time else { throw damaged("a batch has an unknown format") }
    firstTime = BatchCodec.unzigzag(time)
    at = cursor.at
  }

  private func record(_ cursor: inout ByteReader, _ buffer: UnsafeRawBufferPointer) -> Record? {
    guard let delta = cursor.varint(buffer), let time = cursor.varint(buffer), let keyLength = cursor.varint(buffer),
      let valueLength = cursor.varint(buffer), let headerCount = cursor.varint(buffer),
      delta <= UInt64(Int64.max), headerCount <= UInt64(buffer.count)
    else { return nil }
    let (offset, overflow) = base.addingReportingOverflow(Int64(delta))
    guard !overflow, offset > previous, offset < next else { return nil }
    var headers: [Header] = []
    headers.reserveCapacity(Int(headerCount))
    for _ in 0..<headerCount {
      guard let nameLength = cursor.varint(buffer), let name = cursor.bytes(nameLength, buffer),
        let valueLength = cursor.varint(buffer), let value = cursor.bytes(valueLength, buffer)
      else { return nil }
      headers.append(Header(String(decoding: name, as: UTF8.self), bytes: value))
    }
    var key: [UInt8]?
    var value: [UInt8]?
    if keyLength > 0 {
      key = cursor.bytes(keyLength - 1, buffer)
      if key == nil { return nil }
    }
    if valueLength > 0 {
      value = cursor.bytes(valueLength - 1, buffer)
      if value == nil { return nil }
    }
    return Record(
      topic: topicPartition.topic, partition: topicPartition.partition, offset: offset,
      timestamp: firstTime &+ BatchCodec.unzigzag(time), key: key, value: value, headers: headers)
  }

  private func damaged(_ message: String) -> MessageLogError {
    MessageLogError(
      .corrupt, message, topic: topicPartition.topic, partition: topicPartition.partition, offset: base,
      advice:
        "restore the file from a backup; a reader that starts at offset \(next) does without \(base) to \(next - 1)")
  }
}

/// Reads bounded bytes.
private struct ByteReader {
  var at: Int

  @inline(__always)
  mutating func varint(_ buffer: UnsafeRawBufferPointer) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while at < buffer.count, shift < 64 {
      let byte = buffer[at]
      at &+= 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }

  @inline(__always)
  mutating func bytes(_ length: UInt64, _ buffer: UnsafeRawBufferPointer) -> [UInt8]? {
    guard length <= UInt64(buffer.count &- at) else { return nil }
    defer { at &+= Int(length) }
    return [UInt8](UnsafeRawBufferPointer(rebasing: buffer[at..<(at &+ Int(length))]))
  }
}
