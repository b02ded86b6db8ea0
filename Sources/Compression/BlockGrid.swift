import ModelFiles

/// The numbers that one block of a matrix can hold, chosen for what is to be rounded, and the codes of those taken so far.
struct BlockGrid {
  private let type: ElementType
  /// x = step · code − offset, with codes in `codeRange`.
  private var (step, offset): (Float, Float) = (0, 0)
  private let codeRange: ClosedRange<Float>
  /// The scales of Q4_K; the others have one, as the bits of a half.
  private var parts: Q4KGrid?
  private var half: UInt16 = 0
  private var codes: [Int8]

  /// - Parameters:
  ///   - type: Q8_0, Q4_0 or Q4_K.
  ///   - values: a block's numbers as they look before any is rounded.
  ///   - importance: what their squared errors count.
  init(_ type: ElementType, fitting values: [Float], _ importance: [Float]) {
    self.type = type
    codes = [Int8](repeating: 0, count: values.count)
    switch type {
    case .q4_k: codeRange = 0...15
    case .q4_0: codeRange = -8...7
    default: codeRange = -127...127
    }
    if type == .q4_k {
      let parts = Q4KGrid(fitting: values, weights: importance)
      self.parts = parts
      (step, offset) = (parts[0].step, parts[0].offset)
    } else {
      half = Self.scale(for: values, importance, type, codeRange)
      step = Quantization.float(half: half)
    }
  }

  /// Goes on to a part of 32, whose numbers look otherwise now that those before are rounded; nothing else than Q4_K has parts.
  mutating func refit(_ part: Int, to values: [Float], _ importance: [Float]) {
    parts?.refit(part, to: values, weights: importance)
    if let parts { (step, offset) = (parts[part].step, parts[part].offset) }
  }

  /// The nearest number, which becomes element `index`.
  mutating func round(_ value: Float, at index: Int) -> Float {
    codes[index] = Self.code(value + offset, step, codeRange)
    return step * Float(codes[index]) - offset
  }

  /// Writes the block.
  func write(to target: UnsafeMutableRawBufferPointer) {
    if let parts { return parts.write(codes.map { UInt8($0) }, to: target) }
    target.storeBytes(of: half.littleEndian, as: UInt16.self)
    if type == .q4_0 {
      for index in 0..<16 { target[2 + index] = UInt8(codes[index] + 8) | UInt8(codes[index + 16] + 8) << 4 }
    } else {
      for index in 0..<32 { target[2 + index] = UInt8(bitPattern: codes[index]) }
    }
  }

  private static func code(_ value: Float, _ step: Float, _ range: ClosedRange<Float>) -> Int8 {
    guard step != 0 else { return 0 }
    return Int8(min(range.upperBound, max(range.lowerBound, (value / step).rounded(.toNearestOrEven))))
  }

  /// The best scale, as its half-precision bits: for Q4_0 of nine of each sign, so that either side gets the longer end.
  private static func scale(
    for values: [Float], _ importance: [Float], _ type: ElementType, _ range: ClosedRange<Float>
  ) -> UInt16 {
    let largest = values.reduce(0) { max($0, abs($1)) }
    guard largest > 0, largest.isFinite else { return 0 }
    guard type == .q4_0 else { return Quantization.half(largest / 127) }
    var best: (error: Float, half: UInt16) = (.infinity, 0)
    for candidate in 0..<9 {
      for sign: Float in [1, -1] {
        let half = Quantization.half(sign * largest / 8 * (1.12 - 0.04 * Float(candidate)))
        let step = Quantization.float(half: half)
        var error: Float = 0
        for index in values.indices {
          let difference = values[index] - Float(code(values[index], step, range)) * step
          error += importance[index] * difference * difference
        }
        if error < best.error { best = (error, half) }
      }
    }
    return best.half
  }
}
