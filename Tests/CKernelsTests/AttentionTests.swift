import CKernels
import Testing

/// Buffers of packed sequences with heads side by side, as the student keeps them.
final class AttentionCase {
  let lengths: [Int]
  /// The sequence that each continues, or −1.
  let continued: [Int]
  let heads: Int
  let keyHeads: Int
  let size: Int
  let qkv: [Float]
  let dout: [Float]
  var out: [Float]
  var dqkv: [Float]
  var width: Int { (heads + 2 * keyHeads) * size }

  init(_ lengths: [Int], continued: [Int]? = nil, heads: Int, keyHeads: Int, size: Int) {
    self.continued = continued ?? lengths.map { _ in -1 }
    (self.lengths, self.heads, self.keyHeads, self.size) = (lengths, heads, keyHeads, size)
    let rows = lengths.reduce(0, +)
    qkv = numbers(rows * (heads + 2 * keyHeads) * size, scale: 2)
    dout = numbers(rows * heads * size, seed: 2)
    out = [Float](repeating: .nan, count: rows * heads * size)
    dqkv = [Float](repeating: .nan, count: qkv.count)
  }

  func run(fast: Bool, threads: Int32 = 64) {
    let (heads, keyHeads, size, width, scale) = (heads, keyHeads, size, width, 1 / Float(size).squareRoot())
    var scratch = [Float](repeating: .nan, count: retort_attention_scratch(2 * (lengths.max() ?? 0), size, threads))
    qkv.withUnsafeBufferPointer { qkv in
      dout.withUnsafeBufferPointer { dout in
        out.withUnsafeMutableBufferPointer { out in
          dqkv.withUnsafeMutableBufferPointer { dqkv in
            var (sequences, gradients, row) = ([retort_sequence](), [retort_sequence_gradient](), 0)
            for (index, length) in lengths.enumerated() {
              let (q, dq) = (qkv.baseAddress! + row * width, dqkv.baseAddress! + row * width)
              let before = continued[index] < 0 ? nil : (sequences[continued[index]], gradients[continued[index]])
              sequences.append(
                retort_sequence(
                  q: q, k: q + heads * size, v: q + (heads + keyHeads) * size,
                  out: out.baseAddress! + row * heads * size, ldq: width,
                  ldk: width, ldv: width, ldo: heads * size, queries: Int32(length),
                  keys: Int32(length) + (before?.0.queries ?? 0), turned: nil, turned_stride: 0,
                  prefix_k: before?.0.k, prefix_v: before?.0.v, prefix: before?.0.queries ?? 0))
              gradients.append(
                retort_sequence_gradient(
                  dout: dout.baseAddress! + row * heads * size, dq: dq, dk: dq + heads * size,
                  dv: dq + (heads + keyHeads) * size, prefix_dk: before?.1.dk, prefix_dv: before?.1.dv, next: 0))
              if let last = continued[..<index].lastIndex(where: { $0 == continued[index] && $0 >= 0 }) {
                gradients[last].next = Int32(index)
              } else if continued[index] >= 0 {
                gradients[continued[index]].next = Int32(index)
              }
              row += length
            }
            if fast {
              retort_attention_forward(sequences, sequences.count, heads, keyHeads, size, scale, &scratch, threads)
              retort_attention_backward(
                sequences, gradients, sequences.count, heads, keyHeads, size, scale, &scratch, threads)
            } else {
              retort_reference_attention_forward(sequences, sequences.count, heads, keyHeads, size, scale)
              retort_reference_attention_backward(sequences, gradients, sequences.count, heads, keyHeads, size, scale)
            }
          }
        }
      }
    }
  }
}

@Suite(.serialized) struct AttentionTests {
  static let cases: [(lengths: [Int], continued: [Int]?, heads: Int, keyHeads: Int, size: Int)] = [
    ([1, 7, 33, 28, 16], nil, 6, 2, 32), ([100, 1], nil, 4, 4, 16), ([49, 5], nil, 3, 1, 6),
    ([63, 130], nil, 2, 1, 40),
    ([21, 7, 40, 1, 70, 9, 16], [-1, 0, 0, -1, -1, 4, 0], 6, 2, 32), ([9, 5, 1, 60], [-1, 0, 0, 0], 3, 1, 6),
    ([64, 48, 3], [-1, 0, 0], 2, 1, 40),
  ]

  @Test(
    "attention forward and backward agree with double precision, and all levels agree bit for bit",
    arguments: cases.indices)
  func reference(index: Int) {
    let (lengths, continued, heads, keyHeads, size) = Self.cases[index]
    let plain = AttentionCase(lengths, continued: continued, heads: heads, keyHeads: keyHeads, size: size)
    plain.run(fast: false)
    var first: ([UInt32], [UInt32])?
    forEachLevel { level in
      let fast = AttentionCase(lengths, continued: continued, heads: heads, keyHeads: keyHeads, size: size)
      fast.run(fast: true)
      #expect(difference(fast.out, plain.out) < 2e-6)
      #expect(difference(fast.dqkv, plain.dqkv) < 2e-6)
      if let first {
        #expect(first.0 == bits(fast.out) && first.1 == bits(fast.dqkv), "level \(level.rawValue)")
      } else {
        first = (bits(fast.out), bits(fast.dqkv))
      }
    }
  }

  @Test("decoding one row against cached keys has the bits of the whole sequence")
  func cached() {
    let whole = AttentionCase([70], heads: 6, keyHeads: 2, size: 32)
    whole.run(fast: true)
    let (width, scale) = (whole.width, 1 / Float(32).squareRoot())
    var scratch = [Float](repeating: .nan, count: retort_attention_scratch(70, 32, 64))
    var out = [Float](repeating: .nan, count: whole.out.count)
    var (again, turned) = (out, [Float](repeating: 0, count: 2 * 80 * 32))
    whole.qkv.withUnsafeBufferPointer { qkv in
      withUnsafeMutableBuffers(&out, &again) { out, cached in
        for range in [0..<1, 1..<2, 2..<15, 15..<63, 63..<64, 64..<70] {
          let k = qkv.baseAddress! + 192
          var sequence = retort_sequence(
            q: qkv.baseAddress! + range.lowerBound * width, k: k, v: k + 64,
            out: out.baseAddress! + range.lowerBound * 192, ldq: width,
            ldk: width, ldv: width, ldo: 192, queries: Int32(range.count), keys: Int32(range.upperBound), turned: nil,
            turned_stride: 0, prefix_k: nil, prefix_v: nil, prefix: 0)
          retort_attention_forward(&sequence, 1, 6, 2, 32, scale, &scratch, 64)
          retort_turn_keys(range.lowerBound, range.count, 2, 32, k + range.lowerBound * width, width, &turned, 80 * 32)
          turned.withUnsafeBufferPointer { turned in
            (sequence.k, sequence.turned, sequence.turned_stride) = (nil, turned.baseAddress, 80 * 32)
            sequence.out = cached.baseAddress! + range.lowerBound * 192
            retort_attention_forward(&sequence, 1, 6, 2, 32, scale, &scratch, 64)
          }
        }
      }
    }
    #expect(bits(out) == bits(whole.out))
    #expect(bits(again) == bits(whole.out))
  }

  private func withUnsafeMutableBuffers(
    _ a: inout [Float], _ b: inout [Float],
    _ body: (UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) -> Void
  ) {
    a.withUnsafeMutableBufferPointer { a in b.withUnsafeMutableBufferPointer { body(a, $0) } }
  }
}
