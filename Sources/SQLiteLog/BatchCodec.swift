package import MessageLog

// A batch is one row of the table `batch`; its `data` is
//
//     u8       format, 1
//     varint   zigzag of the first record's timestamp, T
//     records, each
//       varint   offset - base offset of the batch
//       varint   zigzag(timestamp - T)
//       varint   key length + 1, 0 for no key
//       varint   value length + 1, 0 for a tombstone
//       varint   number of headers, each: varint length, name (UTF-8), varint length, value
//       bytes    key, then value
//
// Varints are LEB128, at most 10 bytes. The row's checksum covers the data and the row's other columns. Bytes are not
// compressed: values are small JSON, and batches are read more often than the disk is short.

/// Records of one partition, encoded and ready to be stored.
package struct EncodedBatch: Sendable {
  package var data: [UInt8]
  package var dataHash: UInt64
  package var count: Int
  /// Highest timestamp.
  package var maximumTime: Int64
  package var tombstones: Int
}

/// A record on its way into a batch.
package struct PendingRecord {
  package var offsetDelta: Int64
  package var timestamp: Int64
  package var key: [UInt8]?
  package var value: [UInt8]?
  package var headers: [Header]

  package init(offsetDelta: Int64, timestamp: Int64, key: [UInt8]?, value: [UInt8]?, headers: [Header]) {
    self.offsetDelta = offsetDelta
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
  }

  /// Most bytes that the record can take.
  var bound: Int {
    var size = 50 + (key?.count ?? 0) + (value?.count ?? 0)
    for header in headers { size += 20 + header.name.utf8.count + header.value.count }
    return size
  }
}

/// Encodes batches; ``StoredBatch`` decodes them.
package enum BatchCodec {
  /// The format this version writes.
  static let format: UInt8 = 1
  /// A batch is closed when it has reached this many bytes, so that one more record fits a reader's memory.
  static let targetBytes = 2 << 20
  /// A batch holds at most this many records.
  static let targetCount = 10_000

  /// Encodes at least one record.
  package static func encode(_ records: some Collection<PendingRecord>) -> EncodedBatch {
    let first = records.first?.timestamp ?? 0
    var capacity = 11
    var maximum = Int64.min
    var tombstones = 0
    for record in records {
      capacity += record.bound
      maximum = max(maximum, record.timestamp)
      if record.value == nil { tombstones += 1 }
    }
    let data = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      var writer = ByteWriter(UnsafeMutableRawBufferPointer(buffer))
      writer.byte(format)
      writer.varint(zigzag(first))
      for record in records { write(record, base: first, to: &writer) }
      count = writer.count
    }
    let hash = data.withUnsafeBytes { Checksum.xxh64($0, seed: 0) }
    return EncodedBatch(
      data: data, dataHash: hash, count: records.count, maximumTime: maximum, tombstones: tombstones)
  }

  private static func write(_ record: PendingRecord, base: Int64, to writer: inout ByteWriter) {
    writer.varint(UInt64(bitPattern: record.offsetDelta))
    writer.varint(zigzag(record.timestamp &- base))
    writer.varint(record.key.map { UInt64($0.count) + 1 } ?? 0)
    writer.varint(record.value.map { UInt64($0.count) + 1 } ?? 0)
    writer.varint(UInt64(record.headers.count))
    for header in record.headers {
      var name = header.name
      name.withUTF8 { utf8 in
        writer.varint(UInt64(utf8.count))
        writer.bytes(UnsafeRawBufferPointer(utf8))
      }
      writer.varint(UInt64(header.value.count))
      header.value.withUnsafeBytes { writer.bytes($0) }
    }
    record.key?.withUnsafeBytes { writer.bytes($0) }
    record.value?.withUnsafeBytes { writer.bytes($0) }
  }

  /// The checksum of a row: its data's hash, carried on over its other columns.
  package static func rowChecksum(
    dataHash: UInt64, partition: Int64, base: Int64, next: Int64, count: Int64, maximumTime: Int64
  ) -> Int64 {
    let columns = (
      partition.littleEndian, base.littleEndian, next.littleEndian, count.littleEndian, maximumTime.littleEndian
    )
    return Int64(bitPattern: withUnsafeBytes(of: columns) { Checksum.xxh64($0, seed: dataHash) })
  }

  static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }
  static func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
}

/// Writes into memory whose size was bounded beforehand.
private struct ByteWriter {
  private let buffer: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

  @inline(__always)
  mutating func byte(_ value: UInt8) {
    buffer[count] = value
    count &+= 1
  }

  @inline(__always)
  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      byte(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    byte(UInt8(truncatingIfNeeded: rest))
  }

  @inline(__always)
  mutating func bytes(_ source: UnsafeRawBufferPointer) {
    guard let from = source.baseAddress, !source.isEmpty else { return }
    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(
      from: UnsafeRawBufferPointer(start: from, count: source.count))
    count &+= source.count
  }
}
