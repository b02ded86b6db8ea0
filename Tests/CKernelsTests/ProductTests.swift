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
    var scratch = [Float](repeating: .nan, count: retort_gemm_scratch(m, n, k) + 1)
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

  @Test("scratch that was made for a larger product serves every smaller one")
  func scratch() {
    let (m, n, largest, guardWords) = (1024, 192, 1152, 1 << 17)
    let space = retort_gemm_scratch(m, n, largest)
    for k in stride(from: 1, through: largest, by: 37) { #expect(retort_gemm_scratch(m, n, k) <= space, "\(k)") }
    // A block of 1,060 k has more rows of whole tiles than one of 1,152, and takes more room.
    let (k, marker) = (1060, Float.infinity)
    let (a, b) = (numbers(k * m, seed: 1), numbers(k * n, seed: 2))
    forEachLevel { level in
      var c = [Float](repeating: 0, count: m * n)
      var scratch = [Float](repeating: marker, count: space + guardWords)
      retort_gemm(RETORT_TN, m, n, k, a, m, b, n, &c, n, nil, 0, &scratch)
      #expect(scratch[space...].allSatisfy { $0 == marker }, "level \(level.rawValue)")
    }
  }

  @Test("packed products have the same bits")
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
      }
    }
  }
}
