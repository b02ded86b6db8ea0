import CKernels
import Testing

@Suite(.serialized) struct LayerTests {
  static let widths = [1, 7, 33, 192, 1023]

  @Test("RMSNorm forward and backward equal the plain version, bit for bit")
  func rmsnorm() {
    forEachLevel { _ in
      for width in Self.widths {
        for rows in [1, 7, 33] {
          let (x, w, dy) = (numbers(rows * width), numbers(width, seed: 2), numbers(rows * width, seed: 3))
          var (y, r, y2, r2) = (x, [Float](repeating: 0, count: rows), x, [Float](repeating: 0, count: rows))
          retort_rmsnorm_forward(rows, width, x, w, 1e-6, &y, &r)
          retort_reference_rmsnorm_forward(rows, width, x, w, 1e-6, &y2, &r2)
          #expect(bits(y) == bits(y2) && bits(r) == bits(r2))
          for accumulate: Int32 in [0, 1] {
            var (dx, dw) = (numbers(rows * width, seed: 4), numbers(width, seed: 5))
            var (dx2, dw2) = (dx, dw)
            retort_rmsnorm_backward(rows, width, x, w, r, dy, &dx, accumulate, &dw)
            retort_reference_rmsnorm_backward(rows, width, x, w, r, dy, &dx2, accumulate, &dw2)
            #expect(bits(dx) == bits(dx2) && bits(dw) == bits(dw2), "\(rows)×\(width)")
          }
        }
      }
    }
  }

  @Test("rotation equals the plain version, undoes itself, and keeps lengths")
  func rope() {
    forEachLevel { _ in
      for size in [2, 6, 16, 32, 66] {
        let (rows, heads, stride) = (33, 3, 3 * size + 5)
        var (cosine, sine) = ([Float](repeating: 0, count: 64 * size / 2), [Float](repeating: 0, count: 64 * size / 2))
        retort_rope_table(0, 64, size, 10_000, nil, &cosine, &sine)
        let positions = (0..<Int32(rows)).map { $0 * 5 % 64 }
        let x = numbers(rows * stride)
        var (fast, plain) = (x, x)
        retort_rope(rows, heads, size, &fast, stride, positions, cosine, sine, 0)
        retort_reference_rope(rows, heads, size, &plain, stride, positions, cosine, sine, 0)
        #expect(bits(fast) == bits(plain))
        retort_rope(rows, heads, size, &fast, stride, positions, cosine, sine, 1)
        #expect(difference(fast, x) < 1e-6)
      }
    }
  }

  @Test("SwiGLU forward and backward agree with double precision")
  func swiglu() {
    forEachLevel { _ in
      for width in Self.widths {
        let (rows, input) = (7, numbers(7 * 2 * width, scale: 9))
        let dh = numbers(rows * width, seed: 2)
        var (h, h2) = ([Float](repeating: 0, count: rows * width), [Float](repeating: 0, count: rows * width))
        retort_swiglu_forward(rows, width, input, &h)
        retort_reference_swiglu_forward(rows, width, input, &h2)
        #expect(difference(h, h2) < 1e-6)
        var (g, g2, h3) = (input, input, h)
        retort_swiglu_backward(rows, width, &g, dh, &h3)
        retort_reference_swiglu_backward(rows, width, &g2, dh, &h2)
        #expect(bits(h3) == bits(h))
        #expect(difference(g, g2) < 1e-6)
      }
    }
  }

  @Test("column sums, gathering and scattering follow ascending rows")
  func tables() {
    forEachLevel { _ in
      for width in Self.widths {
        let (rows, x) = (33, numbers(33 * width))
        var (sums, expected) = (numbers(width, seed: 2), numbers(width, seed: 2))
        retort_column_sums(rows, width, x, width, &sums)
        for row in 0..<rows { for j in 0..<width { expected[j] += x[row * width + j] } }
        #expect(bits(sums) == bits(expected))
        var (absolute, expectedAbsolute) = ([Float](repeating: 0, count: width), [Float](repeating: 0, count: width))
        retort_absolute_column_sums(rows, width, x, width, &absolute)
        for row in 0..<rows { for j in 0..<width { expectedAbsolute[j] += abs(x[row * width + j]) } }
        #expect(bits(absolute) == bits(expectedAbsolute))
        let indices = (0..<Int32(rows)).map { $0 * $0 % 5 }
        var (table, plain) = (numbers(5 * width, seed: 3), numbers(5 * width, seed: 3))
        retort_scatter_add_rows(rows, width, x, indices, &table)
        for row in 0..<rows { for j in 0..<width { plain[Int(indices[row]) * width + j] += x[row * width + j] } }
        #expect(bits(table) == bits(plain))
        var gathered = [Float](repeating: 0, count: rows * width)
        retort_gather_rows(rows, width, table, indices, &gathered)
        #expect(
          (0..<rows).allSatisfy { r in
            (0..<width).allSatisfy { gathered[r * width + $0] == table[Int(indices[r]) * width + $0] }
          })
      }
    }
  }

  @Test("adding, scaling and dropout work elementwise, with the stated keep rate and the same mask at every level")
  func elementwise() {
    var masks: [[UInt32]] = []
    forEachLevel { _ in
      for count in [1, 7, 33, 1023] {
        let (a, b) = (numbers(count), numbers(count, seed: 2))
        var out = a
        retort_add(count, a, b, &out)
        #expect(out == zip(a, b).map(+))
        retort_scale(count, 0.37, &out)
        #expect(out == zip(a, b).map { ($0 + $1) * 0.37 })
      }
      let count = 100_003
      let ones = [Float](repeating: 1, count: count)
      var out = ones
      let mask = retort_dropout_mask(seed: 5, stream: 6, rate: 0.1)
      retort_dropout_add(count, mask, nil, ones, &out)
      let kept = out.filter { $0 != 0 }
      #expect(abs(Double(kept.count) / Double(count) - 0.9) < 0.004)
      #expect(kept.allSatisfy { $0 == 1 / (1 - Float(0.1)) })
      masks.append(bits(out))
      var based = ones
      retort_dropout_add(count, mask, ones, ones, &based)
      #expect(zip(based, out).allSatisfy { $0 == 1 + $1 })
    }
    #expect(masks.allSatisfy { $0 == masks[0] })
  }
}
