import CKernels
import Testing

@Suite(.serialized) struct LinearTests {
  static let types = [
    RETORT_WEIGHT_F32, RETORT_WEIGHT_F16, RETORT_WEIGHT_BF16, RETORT_WEIGHT_Q8_0, RETORT_WEIGHT_Q4_0,
    RETORT_WEIGHT_Q4_K, RETORT_WEIGHT_Q6_K,
  ]

  /// Rows, outputs, and blocks of inputs.
  static let sizes: [(m: Int, n: Int, blocks: Int)] = [
    (1, 1, 1), (1, 7, 3), (2, 33, 1), (3, 100, 2), (5, 31, 1), (7, 16, 2), (8, 33, 3), (33, 70, 3), (1, 1023, 1),
    (13, 64, 1), (4, 96, 2), (61, 130, 4),
  ]

  /// Random weights as a file stores them, with finite scales, some of them zero or subnormal halves.
  static func weights(_ type: retort_weight_type, rows: Int, columns: Int) -> [UInt8] {
    var bytes = (0..<rows * retort_weight_row_size(type, columns)).map {
      UInt8(truncatingIfNeeded: retort_random_bits(4, 1, UInt64($0)))
    }
    func setHalf(_ offset: Int) {
      let bits = retort_random_bits(5, 2, UInt64(offset))
      let half = bits % 9 == 0 ? 0 : bits % 9 == 1 ? UInt16(bits >> 8 & 0x3FF) : 0x1400 + UInt16(bits >> 8 & 0x0BFF)
      bytes[offset] = UInt8(truncatingIfNeeded: half)
      bytes[offset + 1] = UInt8(half >> 8)
    }
    switch type {
    case RETORT_WEIGHT_F32:
      let values = numbers(rows * columns, seed: 6)
      bytes = values.flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
    case RETORT_WEIGHT_F16:
      for offset in stride(from: 0, to: bytes.count, by: 2) { setHalf(offset) }
    case RETORT_WEIGHT_BF16:
      for offset in stride(from: 1, to: bytes.count, by: 2) { bytes[offset] = 0x3C + bytes[offset] & 0x83 }
    case RETORT_WEIGHT_Q8_0: for offset in stride(from: 0, to: bytes.count, by: 34) { setHalf(offset) }
    case RETORT_WEIGHT_Q4_0: for offset in stride(from: 0, to: bytes.count, by: 18) { setHalf(offset) }
    case RETORT_WEIGHT_Q4_K:
      for offset in stride(from: 0, to: bytes.count, by: 144) {
        setHalf(offset)
        setHalf(offset + 2)
      }
    default: for offset in stride(from: 208, to: bytes.count, by: 210) { setHalf(offset) }
    }
    return bytes
  }

  static func columns(_ type: retort_weight_type, blocks: Int) -> Int {
    let block = retort_weight_block(type)
    return block == 1 ? blocks * 32 + 1 : blocks * block
  }

  /// A product of both versions, with row distances larger than the rows.
  static func run(
    _ type: retort_weight_type, _ m: Int, _ n: Int, _ k: Int, bias: Bool
  ) -> (fast: [Float], plain: [Float]) {
    let weights = weights(type, rows: n, columns: k)
    let (x, biases) = (numbers(m * (k + 3), seed: 1, scale: 5), numbers(n, seed: 3))
    let packed = UnsafeMutableRawPointer.allocate(byteCount: retort_linear_packed_size(type, n, k), alignment: 64)
      .assumingMemoryBound(to: UInt8.self)
    defer { packed.deallocate() }
    retort_linear_pack(type, n, k, weights, packed)
    var scratch = [UInt8](repeating: 255, count: retort_linear_scratch(type, m, n, k) + 1)
    var fast = numbers(m * (n + 2), seed: 2)
    var plain = fast
    biases.withUnsafeBufferPointer { buffer in
      let bias = bias ? buffer.baseAddress : nil
      retort_linear(type, m, n, k, x, k + 3, packed, &fast, n + 2, bias, &scratch)
      retort_reference_linear(type, m, n, k, x, k + 3, weights, &plain, n + 2, bias)
    }
    return (fast, plain)
  }

  @Test("linear layers equal the plain version, bit for bit, in every format, at odd sizes, on every level")
  func products() {
    forEachLevel { level in
      for type in Self.types {
        for (index, size) in Self.sizes.enumerated() {
          let k = Self.columns(type, blocks: size.blocks)
          let (fast, plain) = Self.run(type, size.m, size.n, k, bias: index % 2 == 0)
          #expect(
            bits(fast) == bits(plain), "type \(type.rawValue) \(size.m)×\(size.n)×\(k) level \(level.rawValue)")
        }
      }
    }
  }

  @Test("the plain version is the exact product but for the rounding of activations")
  func accuracy() {
    for type in Self.types {
      let (m, n, k) = (3, 40, Self.columns(type, blocks: 4))
      let weights = Self.weights(type, rows: n, columns: k)
      let x = numbers(m * k, seed: 1)
      var exact = [Float](repeating: 0, count: m * n)
      var table = [Float](repeating: 0, count: n * k)
      retort_weight_rows(type, k, weights, (0..<Int32(n)).map { $0 }, n, &table)
      retort_reference_gemm(RETORT_NT, m, n, k, x, k, table, k, &exact, n, nil, 0)
      var found = exact
      retort_reference_linear(type, m, n, k, x, k, weights, &found, n, nil)
      #expect(difference(found, exact) < (type.rawValue < RETORT_WEIGHT_Q8_0.rawValue ? 1e-6 : 0.02))
    }
  }

  @Test("selected panels have the bits of the whole product, and nothing else is written")
  func panels() {
    for type in Self.types {
      let (n, k) = (140, Self.columns(type, blocks: 2))
      let weights = Self.weights(type, rows: n, columns: k)
      let x = numbers(k)
      let packed = UnsafeMutableRawPointer.allocate(byteCount: retort_linear_packed_size(type, n, k), alignment: 64)
        .assumingMemoryBound(to: UInt8.self)
      defer { packed.deallocate() }
      retort_linear_pack(type, n, k, weights, packed)
      var scratch = [UInt8](repeating: 0, count: retort_linear_scratch(type, 1, n, k) + 1)
      var (all, some) = ([Float](repeating: 9, count: n), [Float](repeating: 9, count: n))
      retort_linear(type, 1, n, k, x, k, packed, &all, n, nil, &scratch)
      retort_linear_panels(type, n, k, x, packed, [1, 4], 2, &some, &scratch)
      let expected = (0..<n).map { [1, 4].contains($0 / 32) ? all[$0] : 9 }
      #expect(bits(some) == bits(expected))
    }
  }

  @Test("a row of zeros, of numbers too small to scale, and of no numbers")
  func extremes() {
    forEachLevel { _ in
      let weights = Self.weights(RETORT_WEIGHT_Q8_0, rows: 32, columns: 32)
      let packed = UnsafeMutableRawPointer.allocate(
        byteCount: retort_linear_packed_size(RETORT_WEIGHT_Q8_0, 32, 32), alignment: 64
      ).assumingMemoryBound(to: UInt8.self)
      defer { packed.deallocate() }
      retort_linear_pack(RETORT_WEIGHT_Q8_0, 32, 32, weights, packed)
      for value: Float in [0, 1e-38, .nan] {
        var x = [Float](repeating: 0, count: 32)
        x[17] = value
        var scratch = [UInt8](repeating: 0, count: retort_linear_scratch(RETORT_WEIGHT_Q8_0, 1, 32, 32))
        var y = [Float](repeating: 9, count: 32)
        retort_linear(RETORT_WEIGHT_Q8_0, 1, 32, 32, x, 32, packed, &y, 32, nil, &scratch)
        #expect(y.allSatisfy { value.isNaN ? $0.isNaN : $0 == 0 })
      }
    }
  }

  @Test("half-precision weights convert exactly, subnormal ones included; scales that are no numbers are seen")
  func halves() {
    for pattern: UInt16 in [0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xBC01, 0x7BFF, 0x2E66] {
      let bytes = [UInt8(truncatingIfNeeded: pattern), UInt8(pattern >> 8)]
      var out: Float = .nan
      retort_weight_rows(RETORT_WEIGHT_F16, 1, bytes, [0], 1, &out)
      #expect(out == Float(halfBits: pattern))
      #expect(retort_weight_is_finite(RETORT_WEIGHT_F16, 1, 1, bytes) == 1)
    }
    for (type, size, at) in [
      (RETORT_WEIGHT_F16, 2, 1), (RETORT_WEIGHT_Q8_0, 34, 1), (RETORT_WEIGHT_Q4_0, 18, 1), (RETORT_WEIGHT_Q4_K, 144, 3),
      (RETORT_WEIGHT_Q6_K, 210, 209),
    ] {
      var bytes = [UInt8](repeating: 0, count: size)
      #expect(retort_weight_is_finite(type, 1, retort_weight_block(type), bytes) == 1)
      bytes[at] = 0x7C
      #expect(retort_weight_is_finite(type, 1, retort_weight_block(type), bytes) == 0)
    }
  }
}

extension Float {
  /// The value of an IEEE half, computed from its fields.
  fileprivate init(halfBits bits: UInt16) {
    let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
    let magnitude =
      exponent == 0
      ? fraction * Float(sign: .plus, exponent: -24, significand: 1)
      : (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    self = bits & 0x8000 == 0 ? magnitude : -magnitude
  }
}
