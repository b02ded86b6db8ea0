import CKernels
import ModelFiles
import StudentModel
import Testing

/// Options of a pass: bf16 products, activations computed again, gradients handed over, adapters.
@Suite(.serialized) struct PrecisionTests {
  static func bits(_ student: Student, _ batch: PackedBatch) throws -> ([UInt32], LossReport) {
    let report = try student.forwardBackward(batch, dropout: Dropout(rate: 0.1, seed: 5, step: 2))
    return (student.gradients.map(\.bitPattern), report)
  }

  static let adapters = AdapterSettings(rank: 5, alpha: 7)

  /// A student with adapters that are not at their start, where half of the gradients are zero.
  static func adapted(_ settings: AdapterSettings = adapters) throws -> Student {
    let student = try Student(configuration: Small.configuration, adapters: settings, seed: 11)
    for entry in student.layout.entries {
      retort_fill_normal(entry.count, 3, UInt64(entry.offset), 0.2, student.parameters(entry).baseAddress)
    }
    return student
  }

  static func students() throws -> [(String, Student)] {
    let recomputing = try Student(configuration: Small.configuration, seed: 11)
    recomputing.recomputesActivations = true
    return [
      ("bf16", try Student(configuration: Small.configuration, seed: 11, precision: .bf16)),
      ("recomputed", recomputing),
      ("adapters", try adapted()),
    ]
  }

  @Test("every option has the same bits with 1, 2, 3 and 5 threads, and at every level this machine has")
  func determinism() throws {
    let (threads, level) = (KernelPool.threads, retort_kernels_level())
    defer {
      KernelPool.setThreads(threads)
      retort_kernels_select(level)
    }
    let batch = Small.batch([61, 5, 33, 17, 29, 64, 1, 40, 90, 7])
    for (name, student) in try Self.students() {
      KernelPool.setThreads(1)
      let expected = try Self.bits(student, batch)
      for count in [2, 3, 5] {
        KernelPool.setThreads(count)
        let found = try Self.bits(student, batch)
        #expect(found.0 == expected.0 && found.1 == expected.1, "\(name), \(count) threads")
      }
      for level in [RETORT_LEVEL_PORTABLE, RETORT_LEVEL_AVX2, RETORT_LEVEL_AVX512, RETORT_LEVEL_AVX512_BF16]
      where level.rawValue <= retort_kernels_best().rawValue {
        retort_kernels_select(level)
        let found = try Self.bits(student, batch)
        #expect(found.0 == expected.0 && found.1 == expected.1, "\(name), level \(level.rawValue)")
      }
      retort_kernels_select(level)
    }
  }

  @Test("activations computed again give the bits of activations that are kept")
  func recomputation() throws {
    let students = [try Student(configuration: Small.configuration, seed: 11), try Self.adapted()]
    for (student, batch) in students.flatMap({ student in
      [Small.batch(), Small.batch([5, 9, 1])].map { (student, $0) }
    }) {
      student.recomputesActivations = false
      let expected = try Self.bits(student, batch)
      student.recomputesActivations = true
      let found = try Self.bits(student, batch)
      #expect(found.0 == expected.0 && found.1 == expected.1)
      func inputs() throws -> [LinearInput: [Float]] {
        var inputs: [LinearInput: [Float]] = [:]
        try student.observeInputs(batch) { input, values, _ in inputs[input] = Array(values) }
        return inputs
      }
      let shown = try inputs()
      #expect(student.recomputesActivations)
      student.recomputesActivations = false
      #expect(try inputs() == shown)
    }
  }

  @Test("gradients that are handed over have the bits of whole gradients, each stretch once", arguments: [true, false])
  func handedOver(ties: Bool) throws {
    var sizes = Small.configuration
    sizes.tiesEmbeddings = ties
    let (batch, mask) = (Small.batch(), Dropout(rate: 0.1, seed: 5, step: 2))
    let student = try Student(configuration: sizes, seed: 11)
    let report = try student.forwardBackward(batch, dropout: mask)
    let expected = student.gradients.map(\.bitPattern)
    var found = [UInt32?](repeating: nil, count: expected.count)
    let second = try student.forwardBackward(batch, dropout: mask) { range, gradient in
      for index in range {
        #expect(found[index] == nil)
        found[index] = gradient[index - range.lowerBound].bitPattern
        // What has been handed over is not read again.
        student.parameters[index] = .nan
      }
    }
    #expect(found == expected.map(Optional.some))
    #expect(second == report)
  }

  @Test(
    "logits and loss of bf16 products are those of PyTorch in fp32 to 1 %, gradients to 3 %",
    arguments: ["tied", "untied"])
  func golden(name: String) throws {
    let golden = try Golden.read(name)
    let student = try Student(
      configuration: golden.configuration, parameters: try Golden.floats("\(name).parameters.f32"), precision: .bf16)
    let logits = try student.forward(golden.batch)
    #expect(relativeNorm(logits, try Golden.floats("\(name).logits.f32")) < 1e-2)
    // PyTorch's own bf16 logits are 1.2 % from its fp32 logits: it rounds what every product puts out, too.
    #expect(relativeNorm(logits, try Golden.floats("\(name).bf16.f32")) < 2e-2)
    let report = try student.forwardBackward(golden.batch)
    #expect(abs(report.meanLoss - golden.loss) < 1e-2 * golden.loss)
    #expect(relativeNorm(student.gradients, try Golden.floats("\(name).gradients.f32")) < 3e-2)
  }

  @Test("new adapters compute what the base computes; merged ones what they compute")
  func adapterForward() throws {
    let batch = Small.batch()
    let fresh = try Student(configuration: Small.configuration, adapters: Self.adapters, seed: 11)
    let base = fresh.merged()
    #expect(try fresh.forward(batch) == base.forward(batch))
    let plain = try Student(configuration: Small.configuration, seed: 11)
    #expect(relativeNorm(base.parameters, plain.parameters) < 4e-3)
    let student = try Self.adapted()
    let difference = relativeNorm(try student.forward(batch), try student.merged().forward(batch))
    #expect(difference < 2e-2, "\(difference)")
    #expect(relativeNorm(try student.forward(batch), try base.forward(batch)) > 0.1)
    #expect(plain.merged() === plain && plain.frozenWeights == nil)
    for student in [student, plain] {
      let merged = student.merged()
      for entry in merged.layout.entries {
        let weights = [Float](unsafeUninitializedCapacity: entry.count) { buffer, count in
          if let start = buffer.baseAddress { student.writeMerged(entry, into: start) }
          count = entry.count
        }
        #expect(weights == Array(merged.parameters(entry)), "\(entry.name)")
      }
    }
  }

  @Test("adapters' gradients are the chain rule's from the gradients of the merged weights")
  func adapterGradients() throws {
    let targets: [Set<AdapterSettings.Target>] = [Set(AdapterSettings.Target.allCases), [.q, .v], [.up, .down]]
    for targets in targets {
      let settings = AdapterSettings(rank: 3, alpha: 6, targets: targets)
      let student = try Self.adapted(settings)
      let batch = Small.batch([5, 9, 12])
      _ = try student.forwardBackward(batch)
      let full = student.merged()
      _ = try full.forwardBackward(batch)
      #expect(student.layout.entries.count == 2 * targets.count * Small.configuration.layerCount)
      var (found, expected): ([Float], [Float]) = ([], [])
      for entry in student.layout.entries where entry.name.hasSuffix("lora_A.weight") {
        let stem = entry.name.dropLast("lora_A.weight".count)
        let other = try #require(student.layout[stem + "lora_B.weight"])
        let dW = full.gradients[try #require(full.layout[stem + "weight"]).range]
        let (r, inputs, outputs) = (settings.rank, entry.shape[1], other.shape[0])
        let (a, b) = (student.parameters(entry), student.parameters(other))
        var (dA, dB) = ([Float](repeating: 0, count: r * inputs), [Float](repeating: 0, count: outputs * r))
        for o in 0..<outputs {
          for i in 0..<inputs {
            let d = dW[dW.startIndex + o * inputs + i] * Float(settings.alpha) / Float(r)
            for j in 0..<r {
              dA[j * inputs + i] += b[o * r + j] * d
              dB[o * r + j] += a[j * inputs + i] * d
            }
          }
        }
        for (adapter, wanted) in [(entry, dA), (other, dB)] {
          // The merged weights are rounded to bf16 anew, so that each tensor differs by the rounding of two models.
          let difference = relativeNorm(student.gradients[adapter.range], wanted)
          #expect(difference < 6e-2, "\(adapter.name) differs by \(difference)")
          found += student.gradients[adapter.range]
          expected += wanted
        }
      }
      let difference = relativeNorm(found, expected)
      #expect(difference < 3e-2, "all adapters together differ by \(difference)")
    }
  }

  @Test("adapters' gradients match PyTorch's", arguments: ["tied", "untied"])
  func adapterGolden(name: String) throws {
    let golden = try Golden.read(name)
    let parameters = try Golden.floats("\(name).parameters.f32")
    let student = try Student(
      configuration: golden.configuration, adapters: AdapterSettings(rank: 4, alpha: 8), seed: 1
    ) { entry, weights in
      parameters.withUnsafeBufferPointer {
        if let start = $0.baseAddress { weights.update(from: start + entry.offset, count: entry.count) }
      }
    }
    _ = student.parameters.update(fromContentsOf: try Golden.floats("\(name).adapters.f32"))
    _ = try student.forwardBackward(golden.batch)
    let expected = try Golden.floats("\(name).adapters.gradients.f32")
    try #require(expected.count == student.layout.count)
    for entry in student.layout.entries {
      let difference = relativeNorm(student.gradients[entry.range], expected[entry.range])
      #expect(difference < 4e-2, "\(entry.name) differs by \(difference)")
    }
  }

  @Test("adapters whose settings do not fit are refused")
  func refused() {
    for settings in [
      AdapterSettings(rank: 0, alpha: 1), AdapterSettings(rank: 37, alpha: 1), AdapterSettings(rank: 2, alpha: 0),
      AdapterSettings(rank: 2, alpha: 1, targets: []),
    ] {
      #expect(throws: StudentError.self) {
        try Student(configuration: Small.configuration, adapters: settings, seed: 1)
      }
    }
  }
}

/// ‖a − b‖ / ‖b‖.
func relativeNorm(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Double {
  guard a.count == b.count else { return .infinity }
  var (difference, size) = (0.0, 0.0)
  for (x, y) in zip(a, b) {
    difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
    size += Double(y) * Double(y)
  }
  return (difference / max(size, 1e-300)).squareRoot()
}
