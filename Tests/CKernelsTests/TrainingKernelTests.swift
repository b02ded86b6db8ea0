import CKernels
import Testing

@Suite(.serialized) struct TrainingKernelTests {
  @Test(
    "cross-entropy and divergence agree with double precision, all levels bit for bit", arguments: [1, 7, 33, 1023])
  func crossEntropy(vocabulary: Int) {
    let rows = 9
    let (logits, teacher) = (numbers(rows * vocabulary, scale: 8), numbers(rows * vocabulary, seed: 2, scale: 8))
    let targets = (0..<Int32(rows)).map { $0 * 31 % Int32(vocabulary) }
    let weights = numbers(rows, seed: 3).map { abs($0) + 0.1 }
    for withTeacher in [false, true] {
      var results: [([UInt32], [UInt32])] = []
      var (plain, plainLosses) = (logits, [retort_row_loss](repeating: retort_row_loss(), count: rows))
      teacher.withUnsafeBufferPointer { t in
        let t = withTeacher ? t.baseAddress : nil
        retort_reference_cross_entropy(
          rows, vocabulary, &plain, vocabulary, targets, weights, 0.25, t, vocabulary, 0.3, 1, &plainLosses)
        forEachLevel { _ in
          var (fast, losses) = (logits, plainLosses)
          retort_cross_entropy(
            rows, vocabulary, &fast, vocabulary, targets, weights, 0.25, t, vocabulary, 0.3, 0, &losses)
          #expect(fast == logits)
          retort_cross_entropy(
            rows, vocabulary, &fast, vocabulary, targets, weights, 0.25, t, vocabulary, 0.3, 1, &losses)
          if vocabulary > 1 { #expect(difference(fast, plain) < 2e-6) }
          for (a, b) in zip(losses, plainLosses) {
            #expect(abs(a.cross_entropy - b.cross_entropy) < 1e-5 && abs(a.divergence - b.divergence) < 1e-5)
            #expect(a.correct == b.correct)
          }
          results.append((bits(fast), losses.map(\.cross_entropy.bitPattern)))
        }
      }
      #expect(results.allSatisfy { $0 == results[0] })
    }
  }

  @Test(
    "mixed losses agree with double precision, all levels bit for bit", arguments: [1, 7, 33, 1023],
    [(reverse: 0, top: 0), (0, 5), (1, 0), (1, 5), (0, 256)])
  func mixedLoss(vocabulary: Int, divergence: (reverse: Int32, top: Int)) {
    let rows = 9
    let (logits, teacher) = (numbers(rows * vocabulary, scale: 8), numbers(rows * vocabulary, seed: 2, scale: 8))
    let targets = (0..<Int32(rows)).map { $0 * 31 % Int32(vocabulary) }
    let (weights, shares) = (numbers(rows, seed: 3, scale: 2), numbers(rows, seed: 4).map { abs($0) })
    var results: [[UInt32]] = []
    teacher.withUnsafeBufferPointer { teacher in
      shares.withUnsafeBufferPointer { shares in
        var signal = retort_teacher_rows(
          logits: teacher.baseAddress, ldt: vocabulary, weights: shares.baseAddress, reverse: divergence.reverse,
          top: divergence.top)
        var (plain, plainLosses) = (logits, [retort_row_loss](repeating: retort_row_loss(), count: rows))
        retort_reference_mixed_loss(
          rows, vocabulary, &plain, vocabulary, targets, weights, 0.25, &signal, 1, &plainLosses)
        forEachLevel { _ in
          var (fast, losses) = (logits, plainLosses)
          retort_mixed_loss(rows, vocabulary, &fast, vocabulary, targets, weights, 0.25, &signal, 0, &losses)
          #expect(fast == logits)
          retort_mixed_loss(rows, vocabulary, &fast, vocabulary, targets, weights, 0.25, &signal, 1, &losses)
          #expect(difference(fast, plain) < 2e-6 || vocabulary == 1)
          for (a, b) in zip(losses, plainLosses) {
            #expect(abs(a.cross_entropy - b.cross_entropy) < 1e-5 && abs(a.divergence - b.divergence) < 1e-5)
            #expect(a.correct == b.correct && a.divergence > -1e-5)
          }
          results.append(bits(fast) + losses.map(\.divergence.bitPattern))
        }
      }
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }

  @Test(
    "losses with known tokens and a tail agree with double precision, all levels bit for bit",
    arguments: [1, 7, 33, 1023])
  func topLoss(vocabulary: Int) {
    let rows = 9
    let logits = numbers(rows * vocabulary, scale: 8)
    let targets = (0..<Int32(rows)).map { $0 * 31 % Int32(vocabulary) }
    let weights = numbers(rows, seed: 3).map { abs($0) + 0.1 }
    // Rows without a teacher, with all the mass known, and with all tokens known.
    var (starts, tokens, probabilities, tails): ([Int32], [Int32], [Float], [Float]) = ([0], [], [], [])
    for row in 0..<rows {
      let count = row % 3 == 2 ? 0 : min(vocabulary, [5, 1, 0, 20, vocabulary, 0, 2, 3, 0][row], 256)
      let tail: Float = row % 2 == 0 && count < vocabulary ? 0.25 : 0
      tokens += (0..<Int32(count)).map { (targets[row] + $0 * (row < 4 ? 1 : 3)) % Int32(vocabulary) }
      if Set(tokens.suffix(count)).count < count {
        tokens.removeLast(count)
        tokens += 0..<Int32(count)
      }
      probabilities += [Float](repeating: (1 - tail) / Float(max(1, count)), count: count)
      tails.append(count > 0 ? tail : 0)
      starts.append(Int32(tokens.count))
    }
    var results: [[UInt32]] = []
    starts.withUnsafeBufferPointer { starts in
      tokens.withUnsafeBufferPointer { tokens in
        probabilities.withUnsafeBufferPointer { probabilities in
          tails.withUnsafeBufferPointer { tails in
            var teacher = retort_top_rows(
              starts: starts.baseAddress, tokens: tokens.baseAddress, probabilities: probabilities.baseAddress,
              tails: tails.baseAddress, share: 0.3)
            var (plain, plainLosses) = (logits, [retort_row_loss](repeating: retort_row_loss(), count: rows))
            retort_reference_top_loss(
              rows, vocabulary, &plain, vocabulary, targets, weights, 0.25, &teacher, 1, &plainLosses)
            forEachLevel { _ in
              var (fast, losses) = (logits, plainLosses)
              retort_top_loss(rows, vocabulary, &fast, vocabulary, targets, weights, 0.25, &teacher, 0, &losses)
              #expect(fast == logits)
              retort_top_loss(rows, vocabulary, &fast, vocabulary, targets, weights, 0.25, &teacher, 1, &losses)
              #expect(vocabulary == 1 || difference(fast, plain) < 2e-6)
              for (a, b) in zip(losses, plainLosses) {
                #expect(abs(a.cross_entropy - b.cross_entropy) < 1e-5 && abs(a.divergence - b.divergence) < 1e-5)
                #expect(a.correct == b.correct)
              }
              results.append(bits(fast) + losses.map(\.divergence.bitPattern))
            }
          }
        }
      }
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }

  @Test("rows of softmax sum to one and their logarithms agree")
  func softmax() {
    forEachLevel { _ in
      for columns in [1, 7, 33, 1023] {
        let x = numbers(3 * columns, scale: 20)
        var (p, l) = (x, x)
        retort_softmax_rows(3, columns, x, columns, &p, columns, 0)
        retort_softmax_rows(3, columns, x, columns, &l, columns, 1)
        for row in 0..<3 {
          #expect(abs(p[row * columns..<(row + 1) * columns].reduce(0, +) - 1) < 1e-5)
          for j in 0..<columns {
            #expect(abs(Float(retort_exp(Double(l[row * columns + j]))) - p[row * columns + j]) < 1e-6)
          }
        }
      }
    }
  }

  @Test(
    "the squared norm has the bits of the plain version whatever the threads",
    arguments: [1, 7, 33, 1023, 16384, 100_001])
  func squaredNorm(count: Int) {
    let x = numbers(count)
    var scratch = [Double](repeating: 0, count: retort_squared_norm_scratch(count))
    let expected = retort_reference_squared_norm(count, x)
    let before = retort_pool_threads()
    defer { retort_pool_set_threads(before) }
    for threads: Int32 in [1, 2, 3, 5] {
      retort_pool_set_threads(threads)
      forEachLevel { _ in #expect(retort_squared_norm(count, x, &scratch) == expected) }
    }
  }

  @Test("AdamW equals the plain version on ranges with and without decay, bit for bit")
  func adamw() {
    let count = 40_007
    let ranges = [
      retort_range(start: 0, count: 7, decays: 0), retort_range(start: 7, count: 33, decays: 1),
      retort_range(start: 40, count: 20_000, decays: 1), retort_range(start: 20_041, count: 19_000, decays: 0),
    ]
    let gradients = numbers(count, seed: 2)
    forEachLevel { _ in
      var (p, m, v) = (numbers(count), [Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
      var (p2, m2, v2) = (p, m, v)
      for step: Int64 in 1...3 {
        let settings = retort_adamw_settings(
          learning_rate: 3e-3, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.05, gradient_scale: 0.7,
          step: step)
        retort_adamw(ranges, ranges.count, &p, gradients, &m, &v, settings)
        retort_reference_adamw(ranges, ranges.count, &p2, gradients, &m2, &v2, settings)
      }
      #expect(bits(p) == bits(p2) && bits(m) == bits(m2) && bits(v) == bits(v2))
      #expect(p[20_040] == numbers(count)[20_040] && p[count - 1] == numbers(count)[count - 1])
    }
  }

  @Test("normal numbers have the stated deviation and do not depend on the count or the threads")
  func normal() {
    let before = retort_pool_threads()
    defer { retort_pool_set_threads(before) }
    var (a, b) = ([Float](repeating: 0, count: 50_000), [Float](repeating: 0, count: 50_001))
    retort_pool_set_threads(1)
    retort_fill_normal(a.count, 1, 2, 0.5, &a)
    retort_pool_set_threads(3)
    retort_fill_normal(b.count, 1, 2, 0.5, &b)
    #expect(bits(a) == bits(Array(b.dropLast())))
    let mean = a.reduce(0.0) { $0 + Double($1) } / 50_000
    let square = a.reduce(0.0) { $0 + Double($1) * Double($1) } / 50_000
    #expect(abs(mean) < 0.01 && abs(square - 0.25) < 0.01)
  }

  @Test("logarithm, exponential, sine and cosine hold their identities to double precision")
  func scalarFunctions() {
    #expect(retort_log(1) == 0 && retort_exp(0) == 1)
    #expect(abs(retort_log(10) - 2.302585092994046) < 1e-15 && abs(retort_exp(1) - 2.718281828459045) < 1e-15)
    for index in 0..<2_000 {
      let x = Double(index) * 0.37 - 300
      #expect(abs(retort_log(retort_exp(x)) - x) < 1e-12)
      var (s, c, s2, c2) = (0.0, 0.0, 0.0, 0.0)
      retort_sincos(x * 10, &s, &c)
      retort_sincos(x * 20, &s2, &c2)
      #expect(abs(s * s + c * c - 1) < 4e-16 * 4)
      #expect(abs(2 * s * c - s2) < 1e-12 && abs(c * c - s * s - c2) < 1e-12)
    }
    var (s, c) = (0.0, 0.0)
    retort_sincos(1, &s, &c)
    #expect(abs(s - 0.8414709848078965) < 2e-16 && abs(c - 0.5403023058681398) < 2e-16)
  }
}
