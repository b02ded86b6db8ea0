import Foundation
import ModelFiles

/// The files beside `Goldens/make.py`.
func golden(_ name: String) throws -> [UInt8] {
  let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Goldens/\(name)")
  return Array(try Data(contentsOf: url))
}

/// Little-endian single-precision numbers.
func floats(_ bytes: [UInt8]) -> [Float] {
  bytes.withUnsafeBytes { buffer in
    (0..<(buffer.count / 4)).map { buffer.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
  }
}

/// Gives a new folder to `body` and removes it afterwards.
func withFolder<T>(_ body: (String) throws -> T) throws -> T {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  return try body(url.path)
}

/// A small generator with a seed, so that every run tests the same.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// Damaged versions of `bytes`: every truncation of the first `header` bytes, some later ones, and `flips` flipped bits or
/// replaced bytes, most of them in the header.
func damaged(_ bytes: [UInt8], header: Int, flips: Int, seed: UInt64) -> [[UInt8]] {
  var generator = SeededGenerator(seed)
  var result = (0..<min(header, bytes.count)).map { Array(bytes[..<$0]) }
  result += (0..<50).map { _ in Array(bytes[..<Int.random(in: 0..<bytes.count, using: &generator)]) }
  for number in 0..<flips {
    var copy = bytes
    for _ in 0...(number % 3) {
      let place = Int.random(in: 0..<(number % 8 == 0 ? bytes.count : min(header, bytes.count)), using: &generator)
      switch number % 4 {
      case 0: copy[place] = UInt8.random(in: 0...255, using: &generator)
      case 1: copy[place] = [0x00, 0xFF, 0x7F, 0x80].randomElement(using: &generator) ?? 0
      default: copy[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
      }
    }
    result.append(copy)
  }
  return result
}

/// A decoder of the smallest sizes that every reader accepts.
let tinyConfiguration = DecoderConfiguration(
  vocabularySize: 64, hiddenSize: 32, layerCount: 2, headCount: 4, keyValueHeadCount: 2, feedForwardSize: 64,
  maximumPositions: 128, ropeTheta: 10_000, normEpsilon: 1e-6)

/// Seeded parameters for a configuration, one array a tensor, in canonical order.
func parameters(_ configuration: DecoderConfiguration) -> [(name: String, shape: [Int], values: [Float])] {
  var generator = SeededGenerator(3)
  return configuration.parameters.map { name, shape in
    (name, shape, (0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.5...0.5, using: &generator) })
  }
}
