import CKernels
import Testing

@Suite(.serialized) struct ProductTests {
  static let sizes: [(m: Int, n: Int, k: Int)] = [
    (1, 1, 1), (1, 7, 33), (7, 33, 1), (33, 1, 7), (6, 16, 32), (13, 33, 33), (12, 32, 0), (2, 70, 33), (3, 100, 65),
    (1023, 7, 33),
    (7, 1023, 33), (33, 17, 1023), (125, 130, 40), (1, 1023, 7),
  ]

  /// A product with row distances larger than the rows, in both versions.
  static func run(
    _ layout: retort_layout, _ m: Int, _ n: Int, _ k: Int, bias: Bool, accumulate: Bool
  ) -> (fast: [Float], plain: [Float]) {
    let (aRows, aColumns) = layout == RETORT_TN ? (k, m) : (m, k)
    let (bRows, bColumns) = layout == RETORT_NT ? (n, k) : (k, n)
    let (lda, ldb, ldc) = (aColumns + 3, bColumns + 1, n + 2)
    let a = numbers(max(aRows * lda, 1), seed: 1)
    let b = numbers(max(bRows * ldb, 1), seed: 2)
    let start = numbers(m * ldc, seed: 3)
    let biases = numbers(n, seed: 4)
    var (fast, plain) = (start, start)
    var scratch = [Float](repeating: .nan, count: retort_gemm_scratch(layout, m, n, k) + 1)
    biases.withUnsafeBufferPointer { buffer in
      let bias = bias ? buffer.baseAddress : nil
      retort_gemm(layout, m, n, k, a, lda, b, ldb, &fast, ldc, bias, accumulate ? 1 : 0, &scratch)
      retort_reference_gemm(layout, m, n, k, a, lda, b, ldb, &plain, ldc, bias, accumulate ? 1 : 0)
    }
    return (fast, plain)
  }

  @Test("products equal the plain chain, bit for bit, at odd sizes, every layout and level")
  func products() {
    forEachLevel { level in
      for (m, n, k) in Self.sizes {
        for layout in [RETORT_NN, RETORT_NT, RETORT_TN] {
          for (bias, accumulate) in [(false, false), (true, false), (false, true)] {
            let (fast, plain) = Self.run(layout, m, n, k, bias: bias, accumulate: accumulate)
            #expect(bits(fast) == bits(plain), "\(layout.rawValue) \(m)×\(n)×\(k) level \(level.rawValue)")
          }
        }
      }
    }
  }

  @Test("long chains, cut into blocks inside, equal the plain chain")
  func longChains() {
    for layout in [RETORT_NN, RETORT_NT, RETORT_TN] {
      let (fast, plain) = Self.run(layout, 61, 75, 1900, bias: true, accumulate: false)
      #expect(bits(fast) == bits(plain))
    }
  }

  @Test("packed products and matrix-vector products have the same bits")
  func packed() {
    forEachLevel { _ in
      for (m, n, k) in Self.sizes where k > 0 {
        let (a, b, bias) = (numbers(m * k), numbers(n * k, seed: 2), numbers(n, seed: 3))
        var expected = [Float](repeating: 0, count: m * n)
        retort_reference_gemm(RETORT_NT, m, n, k, a, k, b, k, &expected, n, bias, 0)
        var store = [Float](repeating: .nan, count: retort_gemm_packed_size(n, k))
        retort_gemm_pack(RETORT_NT, n, k, b, k, &store)
        var found = [Float](repeating: .nan, count: m * n)
        retort_gemm_packed(m, n, k, a, k, store, &found, n, bias, 0)
        #expect(bits(found) == bits(expected), "\(m)×\(n)×\(k)")
        var row = [Float](repeating: .nan, count: n)
        retort_matvec(n, k, b, k, a, bias, &row)
        #expect(bits(row) == bits(Array(expected.prefix(n))), "\(n)×\(k)")
      }
    }
  }

  @Test("Q8_0 products have the bits of the dequantized product at every batch size")
  func q8() {
    forEachLevel { level in
      for (m, n, k) in [
        (1, 7, 32), (2, 33, 64), (3, 100, 32), (5, 31, 96), (7, 16, 32), (8, 33, 64), (33, 70, 128), (1, 1023, 32),
      ] {
        let (blocks, a, bias) = (q8Blocks(rows: n, columns: k), numbers(m * k), numbers(n, seed: 3))
        var weights = [Float](repeating: 0, count: n * k)
        for row in 0..<n {
          weights.withUnsafeMutableBufferPointer { retort_q8_0_row(row, k, blocks, $0.baseAddress! + row * k) }
        }
        var (plain, quantized) = ([Float](repeating: 0, count: m * n), [Float](repeating: 0, count: m * n))
        retort_reference_gemm(RETORT_NT, m, n, k, a, k, weights, k, &plain, n, bias, 0)
        retort_reference_q8_0_gemm(m, n, k, a, k, blocks, &quantized, n, bias, 0)
        #expect(bits(plain) == bits(quantized))
        var packed = [UInt8](repeating: 255, count: retort_q8_0_packed_size(n, k))
        retort_q8_0_pack(n, k, blocks, &packed)
        var scratch = [Float](repeating: .nan, count: retort_q8_0_gemm_scratch(m, n, k) + 1)
        var found = [Float](repeating: .nan, count: m * n)
        retort_q8_0_gemm(m, n, k, a, k, packed, &found, n, bias, 0, &scratch)
        #expect(bits(found) == bits(plain), "packed \(m)×\(n)×\(k) level \(level.rawValue)")
        found = [Float](repeating: .nan, count: m * n)
        retort_q8_0_matmul(m, n, k, blocks, a, k, bias, &found, n)
        #expect(bits(found) == bits(plain), "mapped \(m)×\(n)×\(k) level \(level.rawValue)")
      }
    }
  }

  @Test("half-precision scales convert exactly, subnormal ones included")
  func halves() {
    for pattern: UInt16 in [0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xBC01, 0x7BFF, 0x2E66] {
      var block = [UInt8](repeating: 0, count: 34)
      block[0] = UInt8(truncatingIfNeeded: pattern)
      block[1] = UInt8(truncatingIfNeeded: pattern >> 8)
      block[2] = 1
      var out = [Float](repeating: .nan, count: 32)
      retort_q8_0_row(0, 32, block, &out)
      #expect(out[0] == Float(halfBits: pattern))
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
