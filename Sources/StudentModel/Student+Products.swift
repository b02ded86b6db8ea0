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

  /// y = x·Wᵀ + bias, adapters included; x `[rows, in]` without gaps, y with row distance `ldy`. The adapters' inner activations
  /// stay with the layer, for its backward pass.
  func apply(
    _ map: LinearMap, layer: Int, rows: Int, to x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ ldy: Int, _ space: Workspace
  ) {
    product(
      RETORT_NT, rows, map.outputs, map.inputs, x, map.inputs, matrix(map.weight), map.inputs, into: y, ldy,
      bias: map.bias.map(vector(at:)), space)
    for adapter in map.adapters {
      let inner = space.inner(of: adapter, layer: layer, rank: rank)
      product(
        RETORT_NT, rows, rank, map.inputs, x, map.inputs, ProductOperand(parameters.pointer + adapter.a), map.inputs,
        into: inner, rank, space)
      retort_scale(rows * rank, adapters?.scale ?? 0, inner)
      product(
        RETORT_NT, rows, adapter.width, rank, inner, rank, ProductOperand(parameters.pointer + adapter.b), rank,
        into: y + adapter.column, ldy, accumulate: true, space)
    }
  }

  /// dx (+)= dy·W, adapters included; leaves the gradients of their inner activations for ``addGradients(of:layer:rows:input:gradient:_:_:)``.
  func applyBackward(
    _ map: LinearMap, rows: Int, to dy: UnsafePointer<Float>, _ ldy: Int, into dx: UnsafeMutablePointer<Float>,
    accumulate: Bool = false, _ space: Workspace
  ) {
    product(
      RETORT_NN, rows, map.inputs, map.outputs, dy, ldy, matrix(map.weight), map.inputs, into: dx, map.inputs,
      accumulate: accumulate, space)
    for adapter in map.adapters {
      let dInner = space.dInner(of: adapter, rank: rank)
      product(
        RETORT_NN, rows, rank, adapter.width, dy + adapter.column, ldy,
        ProductOperand(parameters.pointer + adapter.b), rank, into: dInner, rank, space)
      retort_scale(rows * rank, adapters?.scale ?? 0, dInner)
      product(
        RETORT_NN, rows, map.inputs, rank, dInner, rank, ProductOperand(parameters.pointer + adapter.a),
        map.inputs, into: dx, map.inputs, accumulate: true, space)
    }
  }

  /// The gradients of W and the bias, or of the adapters where W is frozen; called once for each map in a pass, after
  /// ``applyBackward(_:rows:to:_:into:accumulate:_:)``.
  func addGradients(
    of map: LinearMap, layer: Int, rows: Int, input x: UnsafePointer<Float>, gradient dy: UnsafePointer<Float>,
    _ ldy: Int, _ pass: Pass
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
      product(
        RETORT_TN, adapter.width, rank, rows, dy + adapter.column, ldy,
        ProductOperand(space.inner(of: adapter, layer: layer, rank: rank)), rank, into: g + adapter.b, rank,
        accumulate: accumulates, space)
      product(
        RETORT_TN, rank, map.inputs, rows, space.dInner(of: adapter, rank: rank), rank, ProductOperand(x), map.inputs,
        into: g + adapter.a, map.inputs, accumulate: accumulates, space)
    }
  }

  private var rank: Int { adapters?.rank ?? 0 }
}

extension Workspace {
  /// An adapter's inner activations (alpha / rank)·x·Aᵀ, `[n, rank]`.
  fileprivate func inner(of adapter: LinearMap.Adapter, layer: Int, rank: Int) -> UnsafeMutablePointer<Float> {
    layers[layer].inner + adapter.place * rows * rank
  }

  /// Their gradient (alpha / rank)·dy·B.
  fileprivate func dInner(of adapter: LinearMap.Adapter, rank: Int) -> UnsafeMutablePointer<Float> {
    dInner + adapter.place * rows * rank
  }
}
