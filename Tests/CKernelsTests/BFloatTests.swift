import CKernels
import Testing

/// Products of bfloat16 numbers, and what is kept as bfloat16 or bytes, against plain code, at every level.
@Suite(.serialized) struct BFloatTests {
  /// Numbers with some denormals, zeros and very small ones among them.
  static func operands(_ count: Int, seed: UInt64) -> [Float] {
    numbers(count, seed: seed).enumerated().map { index, x in
      switch index % 29 {
      case 3: Float(bitPattern: x.bitPattern & 0x807f_ffff)
      case 11: x * 1e-19
      case 17: 0
      default: x
      }
    }
  }

  /// A product with row distances larger than the rows, in both versions.
  static func run(
    _ layout: retort_layout, _ m: Int, _ n: Int, _ k: Int, halves: Bool, accumulate: Bool
  ) -> (fast: [Float], plain: [Float]) {
    let (aRows, aColumns) = layout == RETORT_TN ? (k, m) : (m, k)
    let (bRows, bColumns) = layout == RETORT_NT ? (n, k) : (k, n)
    let (lda, ldb, ldc) = (aColumns + 3, bColumns + 1, n + 2)
    let (a, b) = (operands(aRows * lda + 1, seed: 1), operands(bRows * ldb + 1, seed: 2))
    let half = b.map { UInt16($0.bitPattern >> 16) }
    let (start, bias) = (numbers(m * ldc, seed: 3), numbers(n, seed: 4))
    var (fast, plain) = (start, start)
    var scratch = [Float](repeating: .nan, count: Int(retort_gemm_scratch(m, n, k)) + 1)
    b.withUnsafeBytes { floats in
      half.withUnsafeBytes { words in
        let operand = halves ? words.baseAddress : floats.baseAddress
        retort_bfloat_gemm(
          layout, m, n, k, a, lda, operand, halves ? 1 : 0, ldb, &fast, ldc, bias, accumulate ? 1 : 0, &scratch)
        retort_reference_bfloat_gemm(
          layout, m, n, k, a, lda, operand, halves ? 1 : 0, ldb, &plain, ldc, bias, accumulate ? 1 : 0)
      }
    }
    return (fast, plain)
  }

  @Test("products of bfloat16 numbers equal the plain chain, bit for bit, at odd sizes, every layout and level")
  func products() {
    forEachLevel { level in
      for (m, n, k) in ProductTests.sizes {
        for layout in [RETORT_NN, RETORT_NT, RETORT_TN] {
          for (halves, accumulate) in [(false, false), (false, true), (true, false)] {
            let (fast, plain) = Self.run(layout, m, n, k, halves: halves, accumulate: accumulate)
            #expect(bits(fast) == bits(plain), "\(layout.rawValue) \(m)×\(n)×\(k) level \(level.rawValue) \(halves)")
          }
        }
      }
    }
  }

  @Test("products of several terms equal one product after the other, bit for bit, wherever their chains are cut")
  func terms() {
    let (m, n) = (13, 35)
    let (bias, start) = (numbers(n, seed: 4), numbers(m * n, seed: 3))
    let layouts = [RETORT_NN, RETORT_NT, RETORT_TN]
    for counts in [[7, 16, 1, 33, 2, 5, 9, 4, 3, 8], [5001, 16, 16], [2040, 16], [0, 3]] {
      let operands = counts.enumerated().map { index, k in
        (
          layout: layouts[index % 3], k: k, a: Self.operands(m * k + 1, seed: UInt64(10 + index)),
          b: Self.operands(n * k + 1, seed: UInt64(50 + index))
        )
      }
      forEachLevel { level in
        for bfloat in [true, false] {
          var (fast, plain) = (start, start)
          var scratch = [Float](
            repeating: .nan, count: Int(retort_gemm_scratch(m, n, counts.reduce(0) { $0 + $1 + $1 % 2 })))
          var terms: [retort_term] = []
          var held: [UnsafeMutablePointer<Float>] = []
          defer { held.forEach { $0.deallocate() } }
          for (index, (layout, k, a, b)) in operands.enumerated() {
            let pointers = [a, b].map { values in
              let copy = UnsafeMutablePointer<Float>.allocate(capacity: values.count)
              copy.initialize(from: values, count: values.count)
              return copy
            }
            held += pointers
            let (lda, ldb) = (layout == RETORT_TN ? m : k, layout == RETORT_NT ? k : n)
            terms.append(
              retort_term(layout: layout, k: k, a: pointers[0], lda: lda, b: pointers[1], b_is_bfloat: 0, ldb: ldb))
            if bfloat {
              retort_reference_bfloat_gemm(
                layout, m, n, k, a, lda, b, 0, ldb, &plain, n, bias, index > 0 ? 1 : 0)
            } else {
              retort_reference_gemm(layout, m, n, k, a, lda, b, ldb, &plain, n, bias, index > 0 ? 1 : 0)
            }
          }
          retort_product(bfloat ? 1 : 0, m, n, terms, terms.count, &fast, n, bias, 0, &scratch)
          #expect(bits(fast) == bits(plain), "\(counts) level \(level.rawValue) bfloat \(bfloat)")
        }
      }
    }
  }

  @Test("chains that are cut into blocks inside equal the plain chain")
  func longChains() {
    forEachLevel { _ in
      for layout in [RETORT_NN, RETORT_NT, RETORT_TN] {
        let (fast, plain) = Self.run(layout, 13, 35, 5001, halves: false, accumulate: false)
        #expect(bits(fast) == bits(plain))
      }
    }
  }

  @Test("numbers become the nearest bfloat16, ties to even, and come back exactly")
  func rounding() {
    let cases: [(UInt32, UInt16)] = [
      (0x3f80_0000, 0x3f80), (0x3f80_8000, 0x3f80), (0x3f81_8000, 0x3f82), (0x3f80_8001, 0x3f81),
      (0xbf80_7fff, 0xbf80), (0x7f7f_ffff, 0x7f80), (0x0000_1234, 0), (0x807f_ffff, 0x8000), (0x7fc0_0001, 0x7fc0),
    ]
    forEachLevel { _ in
      for copies in [1, 7, 33] {
        let x = (0..<copies).flatMap { _ in cases.map { Float(bitPattern: $0.0) } }
        var halves = [UInt16](repeating: 1, count: x.count)
        retort_to_bfloat16(x.count, x, &halves)
        #expect(halves == (0..<copies).flatMap { _ in cases.map(\.1) })
        var back = [Float](repeating: 1, count: x.count)
        retort_from_bfloat16(x.count, halves, &back)
        #expect(bits(back) == halves.map { UInt32($0) << 16 })
        let columns = cases.count
        let rows = (0..<copies).map { Int32(copies - 1 - $0) }
        var gathered = [Float](repeating: 1, count: x.count)
        retort_gather_bfloat_rows(copies, columns, halves, rows, &gathered)
        #expect(bits(gathered) == bits(back))
      }
    }
  }

  /// Some steps with stored moments; the parameters, and the moments' bytes.
  static func steps(_ type: retort_moment_type, _ count: Int) -> ([Float], [UInt8], [Float]) {
    var parameters = numbers(count)
    let size = type == RETORT_MOMENT_BF16 ? 2 : 1
    var (m, v) = ([UInt8](repeating: 0, count: count * size), [UInt8](repeating: 0, count: count * size))
    let blocks = (count + Int(RETORT_MOMENT_BLOCK) - 1) / Int(RETORT_MOMENT_BLOCK)
    var (mScales, vScales) = ([Float](repeating: 0, count: blocks), [Float](repeating: 0, count: blocks))
    for step: Int64 in 1...20 {
      let gradients = numbers(count, seed: 40 + UInt64(step))
      let settings = retort_adamw_settings(
        learning_rate: 1e-3, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.05, gradient_scale: 0.7, step: step
      )
      m.withUnsafeMutableBytes { m in
        v.withUnsafeMutableBytes { v in
          mScales.withUnsafeMutableBufferPointer { mScales in
            vScales.withUnsafeMutableBufferPointer { vScales in
              retort_adamw_stored(
                type, count, 1, &parameters, gradients,
                retort_moments(values: m.baseAddress, scales: mScales.baseAddress),
                retort_moments(values: v.baseAddress, scales: vScales.baseAddress), settings, 12_345)
            }
          }
        }
      }
    }
    return (parameters, m + v, mScales + vScales)
  }

  @Test(
    "AdamW with moments in bfloat16 and bytes has the same bits at every level and thread count, near those of fp32")
  func storedMoments() {
    let threads = retort_pool_threads()
    defer { retort_pool_set_threads(threads) }
    for count in [1, 7, 33, 1023, 40_007] {
      var (exact, m, v) = (numbers(count), [Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
      let range = retort_range(start: 0, count: count, decays: 1)
      for step: Int64 in 1...20 {
        let settings = retort_adamw_settings(
          learning_rate: 1e-3, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.05, gradient_scale: 0.7,
          step: step)
        retort_reference_adamw([range], 1, &exact, numbers(count, seed: 40 + UInt64(step)), &m, &v, settings)
      }
      for type in [RETORT_MOMENT_BF16, RETORT_MOMENT_BYTE] {
        retort_kernels_select(RETORT_LEVEL_PORTABLE)
        let expected = Self.steps(type, count)
        for wanted in [1, 2, 3, 5] {
          retort_pool_set_threads(Int32(wanted))
          forEachLevel { level in
            let found = Self.steps(type, count)
            #expect(bits(found.0) == bits(expected.0), "\(type.rawValue), \(count), level \(level.rawValue)")
            #expect(found.1 == expected.1 && bits(found.2) == bits(expected.2))
          }
        }
        retort_kernels_select(retort_kernels_best())
        // Twenty steps of at most about the rate each: what rounding the moments may change is a part of that.
        let moved = zip(exact, numbers(count)).map { abs($0 - $1) }.max() ?? 0
        let off = zip(exact, expected.0).map { abs($0 - $1) }.max() ?? 0
        #expect(off < (type == RETORT_MOMENT_BF16 ? 0.05 : 0.35) * max(moved, 1e-3), "\(off) of \(moved)")
      }
    }
  }
}
