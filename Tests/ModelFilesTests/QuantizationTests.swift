import ModelFiles
import Testing

@Suite("Number formats")
struct QuantizationTests {
  @Test("Q8_0 blocks are the bytes of ggml's reference")
  func encodesQ8() throws {
    let weights = floats(try golden("weights.f32"))
    #expect(try Quantization.q8_0(weights) == golden("weights.q8_0"))
  }

  @Test("Q4_0 blocks are the bytes of ggml's reference")
  func encodesQ4() throws {
    let weights = floats(try golden("weights.f32"))
    #expect(try Quantization.q4_0(weights) == golden("weights.q4_0"))
  }

  @Test("decoded Q8_0 is within half a step of the weights")
  func decodesQ8() throws {
    let weights = floats(try golden("weights.f32"))
    let bytes = try golden("weights.q8_0")
    var decoded = [Float](repeating: .nan, count: weights.count)
    try bytes.withUnsafeBytes { source in
      try decoded.withUnsafeMutableBufferPointer { try Quantization.decode(source, as: .q8_0, into: $0) }
    }
    for block in 0..<(weights.count / 32) {
      let range = (block * 32)..<(block * 32 + 32)
      let step = (weights[range].map(abs).max() ?? 0) / 127
      // The half-precision scale is off by up to 2^-11 of itself, or 2^-25 where it is subnormal, 127 times.
      let tolerance = step * 0.5 + step * 127 * 0x1p-11 + 127 * 0x1p-25
      for index in range { #expect(abs(weights[index] - decoded[index]) <= tolerance) }
    }
  }

  @Test("K-quants decode to the numbers of ggml's reference", arguments: [ElementType.q4_k, .q6_k])
  func decodesKQuants(_ type: ElementType) throws {
    let bytes = try golden("blocks.\(type.rawValue)")
    let expected = floats(try golden("blocks.\(type.rawValue).f32"))
    let found = try decoded(bytes, type, count: expected.count)
    // One product and one difference more or less are rounded.
    for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-6 * max(abs(b), 1)) }
    #expect(found.count == 6 * 256)
  }

  @Test("Q6_K is near the weights, exact for what it can say, and zero for zeros")
  func encodesQ6K() throws {
    var generator = SeededGenerator(9)
    let weights = (0..<1024).map { index in
      Float.random(in: -1...1, using: &generator) * (index / 256 == 2 ? 1e-4 : 0.3)
    }
    let back = try decoded(Quantization.q6_k(weights), .q6_k, count: 1024)
    for part in 0..<64 {
      let range = part * 16..<part * 16 + 16
      let largest = weights[range].map(abs).max() ?? 0
      for index in range { #expect(abs(back[index] - weights[index]) <= largest / 32 + 1e-6) }
    }
    let error = zip(back, weights).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    #expect(error < 0.0004 * weights.reduce(Float(0)) { $0 + $1 * $1 })
    let codes = (0..<256).map { (index: Int) -> Int in index % 16 == 0 ? -32 : index * 37 % 63 - 31 }
    let steps = codes.map { Float($0) / 2 }
    #expect(try decoded(Quantization.q6_k(steps), .q6_k, count: 256) == steps)
    #expect(try decoded(Quantization.q6_k([Float](repeating: 0, count: 256)), .q6_k, count: 256).allSatisfy { $0 == 0 })
    #expect(throws: ModelFileError.self) { try Quantization.q6_k([Float](repeating: 1, count: 255)) }
    #expect(throws: ModelFileError.self) { try Quantization.q6_k([Float](repeating: .nan, count: 256)) }
    #expect(throws: ModelFileError.self) { try Quantization.q6_k([Float](repeating: 1e9, count: 256)) }
  }

  private func decoded(_ bytes: [UInt8], _ type: ElementType, count: Int) throws -> [Float] {
    var values = [Float](repeating: .nan, count: count)
    try bytes.withUnsafeBytes { source in
      try values.withUnsafeMutableBufferPointer { try Quantization.decode(source, as: type, into: $0) }
    }
    return values
  }

  @Test(
    "weights that are not finite, or too large for a half-precision scale, are refused",
    arguments: [
      Float.nan, .infinity, -.infinity, 1e9, -1e9,
    ])
  func refuses(_ value: Float) {
    var weights = [Float](repeating: 0.5, count: 32)
    weights[17] = value
    #expect(throws: ModelFileError.self) { try Quantization.q8_0(weights) }
    #expect(throws: ModelFileError.self) { try Quantization.q4_0(weights) }
  }

  @Test("partial blocks are refused", arguments: [1, 7, 33, 1023])
  func refusesPartialBlocks(_ count: Int) {
    #expect(throws: ModelFileError.self) { try Quantization.q8_0([Float](repeating: 0, count: count)) }
  }

  @Test(
    "blocks of subnormal weights become zeros without trapping",
    arguments: [
      Float.leastNonzeroMagnitude, 0x1p-133, 0x1p-126, 0x1p-123, 0x1p-119,
    ])
  func subnormals(_ value: Float) throws {
    let bytes = try Quantization.q8_0([Float](repeating: value, count: 32))
    #expect(bytes[0] == 0 && bytes[1] == 0)
    #expect(try Quantization.q4_0([Float](repeating: value, count: 32)).count == 18)
  }

  @Test("all 65,536 halves decode exactly and encode back")
  func halves() {
    for bits in 0...UInt16.max {
      let value = Quantization.float(half: bits)
      let reference = Float(Float16(bitPattern: bits))
      if reference.isNaN {
        #expect(value.isNaN && Quantization.half(value) & 0x7FFF == 0x7E00)
      } else if value.bitPattern != reference.bitPattern || Quantization.half(value) != bits {
        Issue.record("half \(bits)")
      }
    }
  }

  @Test("single precision rounds to halves and bfloats as IEEE says, ties to even")
  func rounding() {
    var generator = SeededGenerator(5)
    for round in 0..<200_000 {
      // Many of them exactly in the middle between two halves.
      var bits = UInt32.random(in: 0...UInt32.max, using: &generator)
      if round % 3 == 0 { bits = bits & 0xFFFF_E000 | 0x1000 }
      let value = Float(bitPattern: bits)
      guard !value.isNaN else { continue }
      if Quantization.half(value) != Float16(value).bitPattern { Issue.record("half of \(value)") }
      let bfloat = Quantization.float(bfloat: Quantization.bfloat(value))
      guard bfloat.isFinite else { continue }
      let other = Quantization.float(bfloat: Quantization.bfloat(value) ^ 1)
      if abs(Double(bfloat) - Double(value)) > abs(Double(other) - Double(value)) { Issue.record("bfloat of \(value)") }
    }
    #expect(Quantization.bfloat(Float(bitPattern: 0x3F80_8000)) == 0x3F80)
    #expect(Quantization.bfloat(Float(bitPattern: 0x3F81_8000)) == 0x3F82)
    #expect(Quantization.float(bfloat: Quantization.bfloat(.nan)).isNaN)
  }
}
