import CKernels

/// One operand of a product: floats, or bfloat16 numbers that do not learn.
struct ProductOperand {
  let start: UnsafeRawPointer
  let isBFloat: Bool

  init(_ floats: UnsafePointer<Float>) { (start, isBFloat) = (UnsafeRawPointer(floats), false) }
  init(_ floats: UnsafeMutablePointer<Float>) { (start, isBFloat) = (UnsafeRawPointer(floats), false) }
  init(_ halves: UnsafeMutablePointer<UInt16>) { (start, isBFloat) = (UnsafeRawPointer(halves), true) }
}

extension Student {
  /// C `[m, n]` = start + A·B in this student's precision; the arguments are `retort_gemm`'s.
  func product(
    _ layout: retort_layout, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int,
    _ b: ProductOperand, _ ldb: Int, into c: UnsafeMutablePointer<Float>, _ ldc: Int,
    bias: UnsafePointer<Float>? = nil, accumulate: Bool = false, _ space: Workspace
  ) {
    if precision == .bf16 {
      retort_bfloat_gemm(
        layout, m, n, k, a, lda, b.start, b.isBFloat ? 1 : 0, ldb, c, ldc, bias, accumulate ? 1 : 0,
        space.productScratch)
    } else {
      retort_gemm(
        layout, m, n, k, a, lda, b.start.assumingMemoryBound(to: Float.self), ldb, c, ldc, bias, accumulate ? 1 : 0,
        space.productScratch)
    }
  }

  /// y = x·Wᵀ + bias, adapters included; x `[rows, in]` without gaps, y with row distance `ldy`.
  func apply(
    _ map: LinearMap, rows: Int, to x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ ldy: Int,
    _ space: Workspace
  ) {
    product(
      RETORT_NT, rows, map.outputs, map.inputs, x, map.inputs, matrix(map.weight), map.inputs, into: y, ldy,
      bias: map.bias.map(vector(at:)), space)
    for adapter in map.adapters {
      writeInner(adapter, map, rows: rows, x, space)
      product(
        RETORT_NT, rows, adapter.width, rank, space.inner, rank, ProductOperand(parameters.pointer + adapter.b), rank,
        into: y + adapter.column, ldy, accumulate: true, space)
    }
  }

  /// dx (+)= dy·W, adapters included.
  func applyBackward(
    _ map: LinearMap, rows: Int, to dy: UnsafePointer<Float>, _ ldy: Int, into dx: UnsafeMutablePointer<Float>,
    accumulate: Bool = false, _ space: Workspace
  ) {
    product(
      RETORT_NN, rows, map.inputs, map.outputs, dy, ldy, matrix(map.weight), map.inputs, into: dx, map.inputs,
      accumulate: accumulate, space)
    for adapter in map.adapters {
      writeInnerGradient(adapter, rows: rows, dy, ldy, space)
      product(
        RETORT_NN, rows, map.inputs, rank, space.dInner, rank, ProductOperand(parameters.pointer + adapter.a),
        map.inputs, into: dx, map.inputs, accumulate: true, space)
    }
  }

  /// The gradients of W and the bias, or of the adapters where W is frozen; called once for each map in a pass.
  func addGradients(
    of map: LinearMap, rows: Int, input x: UnsafePointer<Float>, gradient dy: UnsafePointer<Float>, _ ldy: Int,
    _ pass: Pass
  ) {
    let (space, accumulates) = (pass.space, pass.accumulates)
    if let dW = gradient(at: map.weight) {
      product(
        RETORT_TN, map.outputs, map.inputs, rows, dy, ldy, ProductOperand(x), map.inputs, into: dW, map.inputs,
        accumulate: accumulates, space)
    }
    if let bias = map.bias, let dBias = gradient(at: bias) { retort_column_sums(rows, map.outputs, dy, ldy, dBias) }
    let g = map.adapters.isEmpty ? nil : gradients.baseAddress
    for adapter in map.adapters {
      guard let g else { continue }
      writeInner(adapter, map, rows: rows, x, space)
      product(
        RETORT_TN, adapter.width, rank, rows, dy + adapter.column, ldy, ProductOperand(space.inner), rank,
        into: g + adapter.b, rank, accumulate: accumulates, space)
      writeInnerGradient(adapter, rows: rows, dy, ldy, space)
      product(
        RETORT_TN, rank, map.inputs, rows, space.dInner, rank, ProductOperand(x), map.inputs, into: g + adapter.a,
        map.inputs, accumulate: accumulates, space)
    }
  }

  private var rank: Int { adapters?.rank ?? 0 }

  /// inner = (alpha / rank)·x·Aᵀ.
  private func writeInner(
    _ adapter: LinearMap.Adapter, _ map: LinearMap, rows: Int, _ x: UnsafePointer<Float>, _ space: Workspace
  ) {
    product(
      RETORT_NT, rows, rank, map.inputs, x, map.inputs, ProductOperand(parameters.pointer + adapter.a), map.inputs,
      into: space.inner, rank, space)
    retort_scale(rows * rank, adapters?.scale ?? 0, space.inner)
  }

  /// dInner = (alpha / rank)·dy·B.
  private func writeInnerGradient(
    _ adapter: LinearMap.Adapter, rows: Int, _ dy: UnsafePointer<Float>, _ ldy: Int, _ space: Workspace
  ) {
    product(
      RETORT_NN, rows, rank, adapter.width, dy + adapter.column, ldy, ProductOperand(parameters.pointer + adapter.b),
      rank, into: space.dInner, rank, space)
    retort_scale(rows * rank, adapters?.scale ?? 0, space.dInner)
  }
}
