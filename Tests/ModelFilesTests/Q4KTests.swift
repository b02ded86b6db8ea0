import ModelFiles
import Testing

@Suite("Q4_K")
struct Q4KTests {
  private func decoded(_ bytes: [UInt8], _ type: ElementType, count: Int) throws -> [Float] {
    var values = [Float](repeating: .nan, count: count)
    try bytes.withUnsafeBytes { source in
      try values.withUnsafeMutableBufferPointer { try Quantization.decode(source, as: type, into: $0) }
    }
    return values
  }

  private func squares(_ a: [Float], _ b: [Float], _ importance: [Float] = [1]) -> Double {
    a.indices.reduce(0) { sum, index in
      let difference = Double(a[index]) - Double(b[index])
      return sum + difference * difference * Double(importance[index % importance.count])
    }
  }

  @Test("The error of bell-shaped weights is under that of Q4_0 by a seventh, and of weights on one side by half")
  func error() throws {
    var generator = SeededGenerator(3)
    func bell() -> Float { (0..<4).reduce(0) { sum, _ in sum + Float.random(in: -0.02...0.02, using: &generator) } }
    let weights = (0..<256 * 40).map { _ in bell() }
    for (values, share) in [(weights, 0.86), (weights.map { abs($0) + 0.01 }, 0.5)] {
      let mine = try squares(decoded(Quantization.q4_k(values), .q4_k, count: values.count), values)
      let other = try squares(decoded(Quantization.q4_0(values), .q4_0, count: values.count), values)
      #expect(mine < share * share * other, "\((mine / other).squareRoot())")
    }
  }

  @Test("What a block can say is stored exactly: every scale and minimum, and zeros")
  func exact() throws {
    // d = 1/64 and dmin = 1/32; each part uses 0 and 15, and the largest scale and minimum are 63.
    let scales: [Float] = [63, 1, 17, 33, 48, 62, 5, 40]
    let minima: [Float] = [0, 63, 31, 16, 47, 1, 60, 33]
    let values = (0..<256).map { (index: Int) -> Float in
      let (part, code) = (index / 32, (index * 7 + index / 32) % 16)
      return scales[part] / 64 * Float(code) - minima[part] / 32
    }
    let back = try decoded(Quantization.q4_k(values), .q4_k, count: 256)
    // Another choice of d and dmin may say the same but for their last place.
    for (a, b) in zip(back, values) { #expect(abs(a - b) < 0.01) }
    let zeros = [Float](repeating: 0, count: 512)
    #expect(try decoded(Quantization.q4_k(zeros), .q4_k, count: 512) == zeros)
  }

  @Test("Importance moves the error away from what counts")
  func importance() throws {
    var generator = SeededGenerator(11)
    let values = (0..<256 * 24).map { _ in Float.random(in: -1...1, using: &generator) }
    let importance = (0..<512).map { $0 % 5 == 0 ? Float(8) : 0.1 }
    let plain = try decoded(Quantization.q4_k(values), .q4_k, count: values.count)
    let weighted = try decoded(Quantization.q4_k(values, importance: importance), .q4_k, count: values.count)
    #expect(squares(weighted, values, importance) < 0.8 * squares(plain, values, importance))
    #expect(squares(plain, values) < squares(weighted, values))
  }

  @Test(
    "Any numbers are stored within a twentieth of their block's range, and the same way each time", arguments: 0..<8)
  func fuzz(_ kind: Int) throws {
    var generator = SeededGenerator(UInt64(100 + kind))
    for _ in 0..<40 {
      let size = Float.random(in: -9...4.5, using: &generator)
      let scale = (0..<Int(abs(size))).reduce(Float(1)) { product, _ in size < 0 ? product / 10 : product * 10 }
      let values = (0..<256).map { index -> Float in
        let noise = Float.random(in: -1...1, using: &generator)
        switch kind {
        case 0: return noise * scale
        case 1: return (noise + 1) * scale
        case 2: return -(noise + 1) * scale
        case 3: return scale
        case 4: return -scale
        case 5: return index == 77 ? scale * 3 : noise * scale / 100
        case 6: return noise * scale * (index < 128 ? 1 : 1e-6)
        default: return index % 32 < 31 ? 0 : noise * scale
        }
      }
      let bytes = try Quantization.q4_k(values)
      #expect(try bytes.count == 144 && bytes == Quantization.q4_k(values))
      let back = try decoded(bytes, .q4_k, count: 256)
      let range = max(0, values.max() ?? 0) - min(0, values.min() ?? 0)
      let error = (squares(back, values) / 256).squareRoot()
      #expect(error <= 0.05 * Double(range) + 1e-6, "\(scale): \(error / Double(range))")
    }
  }

  @Test("Other counts, and numbers that no block holds, are refused", arguments: [1, 32, 255, 257, 1023])
  func refusals(_ count: Int) {
    #expect(throws: ModelFileError.self) { try Quantization.q4_k([Float](repeating: 1, count: count)) }
    for value in [Float.nan, .infinity, -.infinity, 1e9, -65_536] {
      var weights = [Float](repeating: 0.5, count: 512)
      weights[300] = value
      let error = #expect(throws: ModelFileError.self) { try Quantization.q4_k(weights) }
      #expect(error?.description.contains("block 1") == true)
    }
  }
}
