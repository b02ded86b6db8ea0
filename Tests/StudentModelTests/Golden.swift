import Foundation
import ModelFiles
import StudentModel

/// One case of the golden files that Goldens/make_goldens.py writes.
struct Golden: Decodable {
  var vocabularySize: Int
  var hiddenSize: Int
  var layerCount: Int
  var headCount: Int
  var keyValueHeadCount: Int
  var feedForwardSize: Int
  var tiesEmbeddings: Bool
  var names: [String]
  var tokens: [Int32]
  var targets: [Int32]
  var weights: [Float]
  var sequenceStarts: [Int32]
  var loss: Double
  var mixedLoss: Double
  var learningRate: Double
  var losses: [Double]
  var gradientNorms: [Double]

  static func url(_ file: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Goldens")
      .appendingPathComponent(file)
  }

  static func read(_ name: String) throws -> Golden {
    try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url("\(name).json")))
  }

  static func floats(_ file: String) throws -> [Float] {
    let data = try Data(contentsOf: url(file))
    return data.withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map {
        Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
      }
    }
  }

  var configuration: DecoderConfiguration {
    DecoderConfiguration(
      vocabularySize: vocabularySize, hiddenSize: hiddenSize, layerCount: layerCount, headCount: headCount,
      keyValueHeadCount: keyValueHeadCount, feedForwardSize: feedForwardSize, maximumPositions: 128,
      tiesEmbeddings: tiesEmbeddings)
  }

  var batch: PackedBatch {
    PackedBatch(tokens: tokens, sequenceStarts: sequenceStarts, targets: targets, weights: weights)
  }
}

/// The largest difference of two arrays, relative to the larger one's root mean square.
func relativeDifference(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Double {
  guard a.count == b.count, !a.isEmpty else { return a.count == b.count ? 0 : .infinity }
  var (largest, squares) = (0.0, 0.0)
  for (x, y) in zip(a, b) {
    guard x.isFinite, y.isFinite else { return .infinity }
    largest = max(largest, abs(Double(x) - Double(y)))
    squares += Double(y) * Double(y)
  }
  return squares == 0 ? largest : largest / (squares / Double(a.count)).squareRoot()
}

/// A small model and batch with odd sizes, for tests of properties.
enum Small {
  static let configuration = DecoderConfiguration(
    vocabularySize: 67, hiddenSize: 36, layerCount: 3, headCount: 6, keyValueHeadCount: 3, feedForwardSize: 33,
    maximumPositions: 96)

  static func sequence(_ length: Int, seed: UInt64) -> (tokens: [Int32], targets: [Int32]) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    func next() -> Int32 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32((state >> 33) % 67)
    }
    let tokens = (0..<length).map { _ in next() }
    return (tokens, (0..<length).map { $0 % 3 == 1 || length == 1 ? next() : -1 })
  }

  /// Sequences of which some begin alike: the first, third and last with 20 tokens, the second and fourth with 9, and one with no other.
  static func families() -> PackedBatch {
    let stems = [sequence(20, seed: 90), sequence(9, seed: 91), ([], [])]
    var batch = PackedBatch()
    for (index, stem) in [0, 1, 0, 1, 2, 0].enumerated() {
      let (tokens, targets) = sequence([7, 30, 1, 4, 25, 44][index], seed: UInt64(index))
      batch.append(
        tokens: stems[stem].0 + tokens, targets: stems[stem].1 + targets, weight: 1 + Float(index) / 4)
    }
    return batch
  }

  static func batch(_ lengths: [Int] = [5, 1, 61, 7, 33]) -> PackedBatch {
    var batch = PackedBatch()
    for (index, length) in lengths.enumerated() {
      let (tokens, targets) = sequence(length, seed: UInt64(index))
      batch.append(tokens: tokens, targets: targets, weight: 1 + Float(index) / 4)
    }
    return batch
  }
}
