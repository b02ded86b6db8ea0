/// Turns text into ids, piece by piece: normalizes it, splits it into words, encodes the words.
struct TextEncoder: ~Copyable {
  private let pipeline: TokenizerPipeline
  private let flags: UnsafePointer<UInt8>
  /// The tokens that a word as a whole is although merging would give others.
  private let wholeWords: TokenTrie?
  private var encoder: BytePairEncoder
  private var ids: UnsafeMutablePointer<Int32>
  private var count = 0
  private var capacity: Int

  /// An encoder that is valid as long as the view and the flags.
  init(
    _ pipeline: TokenizerPipeline, view: BytePairModel.View, wholeWords: TokenTrie?, flags: UnsafePointer<UInt8>,
    capacity: Int
  ) {
    self.pipeline = pipeline
    self.wholeWords = wholeWords
    self.flags = flags
    encoder = BytePairEncoder(view)
    self.capacity = max(16, capacity)
    ids = .allocate(capacity: self.capacity)
  }

  deinit { ids.deallocate() }

  /// What has been appended so far.
  var tokens: [Int32] { Array(UnsafeBufferPointer(start: ids, count: count)) }

  mutating func append(_ id: Int32) {
    reserve(1)
    ids[count] = id
    count += 1
  }

  /// Appends text that is to be normalized.
  mutating func append(text bytes: UnsafeBufferPointer<UInt8>) {
    if pipeline.normalizesToNFC, let normalized = NormalizationFormC.shared.normalized(bytes) {
      normalized.withUnsafeBufferPointer { append(normalized: $0) }
    } else {
      append(normalized: bytes)
    }
  }

  /// Appends text that is normalized.
  mutating func append(normalized bytes: UnsafeBufferPointer<UInt8>) {
    reserve(bytes.count)
    append(bytes, step: 0)
  }

  /// Appends one word.
  mutating func append(word: UnsafeBufferPointer<UInt8>) {
    reserve(word.count)
    appendReserved(word)
  }

  private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>, step: Int) {
    guard step < pipeline.splits.count else { return appendReserved(bytes) }
    var words = PreTokenizer(bytes, split: pipeline.splits[step], flags: flags)
    let isLast = step + 1 == pipeline.splits.count
    while let range = words.next() {
      let word = UnsafeBufferPointer(rebasing: bytes[range])
      if isLast { appendReserved(word) } else { append(word, step: step + 1) }
    }
  }

  @inline(__always)
  private mutating func appendReserved(_ word: UnsafeBufferPointer<UInt8>) {
    if let wholeWords {
      let whole = wholeWords.withView { $0.longest(word, from: 0) }
      if whole.length == word.count, whole.length > 0 {
        ids[count] = whole.token
        count += 1
        return
      }
    }
    count += encoder.encode(word, into: ids + count)
  }

  private mutating func reserve(_ more: Int) {
    guard count + more > capacity else { return }
    capacity = (count + more) * 2
    let larger = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
    larger.update(from: ids, count: count)
    ids.deallocate()
    ids = larger
  }
}
