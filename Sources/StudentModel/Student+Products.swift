import CKernels

/// One operand of a product: floats, or bfloat16 numbers that do not learn.
struct ProductOperand {
  let start: UnsafeRawPointer
  let isBFloat: Bool

  init(_ floats: UnsafePointer<Float>) { (start, isBFloat) = (UnsafeRawPointer(floats), false) }
  init(_ floats: UnsafeMutablePointer<Float>) { (start, isBFloat) = (UnsafeRawPointer(floats), false) }
  init(_ halves: UnsafeMutablePointer<UInt16>) { (start, isBFloat) = (UnsafeRawPointer(halves), true) }
}

/// One term A·B of a product.
extension retort_term {
  init(
    _ layout: retort_layout, k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: ProductOperand, _ ldb: Int
  ) {
    self.init(layout: layout, k: k, a: a, lda: lda, b: b.start, b_is_bfloat: b.isBFloat ? 1 : 0, ldb: ldb)
  }
}

extension Student {
  /// C `[m, n]` = start + A·B in this student's precision; the arguments are `retort_gemm`'s.
  func product(
    _ layout: retort_layout, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int,
    _ b: ProductOperand, _ ldb: Int, into c: UnsafeMutablePointer<Float>, _ ldc: Int, accumulate: Bool = false,
    _ space: Workspace
  ) {
    product(m, n, [retort_term(layout, k: k, a, lda, b, ldb)], into: c, ldc, accumulate: accumulate, space)
  }

  /// C `[m, n]` = start + the sum of some A·B, one chain through all of them in order.
  private func product(
    _ m: Int, _ n: Int, _ terms: [retort_term], into c: UnsafeMutablePointer<Float>, _ ldc: Int,
    bias: UnsafePointer<Float>? = nil, accumulate: Bool = false, _ space: Workspace
  ) {
    retort_product(
      precision == .bf16 ? 1 : 0, m, n, terms, terms.count, c, ldc, bias, accumulate ? 1 : 0, space.productScratch)
  }

  /// y = x·Wᵀ + bias, adapters included; x `[rows, in]` without gaps, y with row distance `ldy`. The adapters' inner activations
  /// stay with the layer, for its backward pass.
  func apply(
    _ map: LinearMap, layer: Int, rows: Int, to x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ ldy: Int, _ space: Workspace
  ) {
    for (columns, adapter) in map.stretches {
      let weights = matrix(map.weight + columns.lowerBound * map.inputs)
      var terms = [retort_term(RETORT_NT, k: map.inputs, x, map.inputs, weights, map.inputs)]
      if let adapter {
        let inner = space.inner(of: adapter, layer: layer, rank: rank)
        product(
          RETORT_NT, rows, rank, map.inputs, x, map.inputs, learned(adapter.a), map.inputs, into: inner, rank, space)
        retort_scale(rows * rank, adapters?.scale ?? 0, inner)
        terms.append(retort_term(RETORT_NT, k: rank, inner, rank, learned(adapter.b), rank))
      }
      product(
        rows, columns.count, terms, into: y + columns.lowerBound, ldy,
        bias: map.bias.map { vector(at: $0) + columns.lowerBound }, space)
    }
  }

  /// dx = Σ dy·W over maps that read the same x, adapters included; leaves the gradients of their inner activations for
  /// ``addGradients(of:layer:rows:input:gradient:_:_:)``.
  func applyBackward(
    _ outputs: [(map: LinearMap, dy: UnsafeMutablePointer<Float>)], rows: Int, _ ldy: Int,
    into dx: UnsafeMutablePointer<Float>, _ space: Workspace
  ) {
    guard let width = outputs.first?.map.inputs else { return }
    var terms: [retort_term] = []
    for (map, dy) in outputs {
      terms.append(retort_term(RETORT_NN, k: map.outputs, dy, ldy, matrix(map.weight), width))
      for adapter in map.adapters {
        let dInner = space.dInner(of: adapter, rank: rank)
        product(
          RETORT_NN, rows, rank, adapter.width, dy + adapter.column, ldy, learned(adapter.b), rank, into: dInner, rank,
          space)
        retort_scale(rows * rank, adapters?.scale ?? 0, dInner)
        terms.append(retort_term(RETORT_NN, k: rank, dInner, rank, learned(adapter.a), width))
      }
    }
    product(rows, width, terms, into: dx, width, space)
  }

  /// The gradients of W and the bias, or of the adapters where W is frozen; called once for each map in a pass, after
  /// ``applyBackward(_:rows:_:into:_:)``.
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

  /// A matrix of an adapter, by its offset in ``parameters``.
  private func learned(_ offset: Int) -> ProductOperand { ProductOperand(parameters.pointer + offset) }
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
