import ModelFiles
import StudentModel
import Tokenization
public import Topics

/// The digests of what has not changed since it was written: full segments of the memory, and the frozen base of adapters.
struct SegmentCache: Sendable {
  var digests: [Int: Digest] = [:]
  var frozen: Digest?
}

extension Trainer {
  /// Writes everything that is needed to go on: weights, optimizer, counters, tokenizer and samples.
  ///
  /// The file is durable when this returns, and named by its bytes. Full segments of samples that were written before are
  /// not written again.
  ///
  /// - Throws: ``TrainingError`` `io`, a full disk for one; the checkpoints before are untouched then.
  @discardableResult
  public func checkpoint(to store: CheckpointStore) throws(TrainingError) -> CheckpointSummary {
    let full = memory.nextSequence / SampleMemory.segmentSpan
    for number in memory.takeTouchedSegments() { segments.digests[number] = nil }
    var names: [Digest] = []
    for number in 0..<full {
      if let known = segments.digests[number], store.contains(known) {
        names.append(known)
      } else {
        let digest = try store.put(memory.segment(number))
        segments.digests[number] = digest
        names.append(digest)
      }
    }
    let header = CheckpointHeader(
      recipe: recipe, functionsDigest: functions.digest, baseDigest: baseDigest, state: state,
      configuration: trunk?.student.configuration, optimizerStep: trunk?.optimizer.step ?? 0, segments: names,
      nextSequence: memory.nextSequence, learnedThrough: memory.learnedThrough, frozen: try writeFrozen(to: store))
    let parts = CheckpointParts(
      tail: full < memory.segmentCount ? memory.segment(full) : [],
      presentations: memory.learned.map { UInt32(clamping: $0.presentations) },
      tokenizer: trunk?.tokenizer.huggingFaceJSON ?? [], functions: functions.json.sorted)
    let (digest, bytes) = try parts.write(to: store, header: header, trunk: trunk)
    return CheckpointSummary(digest: digest, bytes: bytes, header: header)
  }

  /// Writes the frozen base of adapters, unless the store has it.
  private func writeFrozen(to store: CheckpointStore) throws(TrainingError) -> Digest? {
    guard let student = trunk?.student, let weights = student.frozenWeights else { return nil }
    if let known = segments.frozen, store.contains(known) { return known }
    defer { withExtendedLifetime(student) {} }
    var writer = SafetensorsWriter()
    do throws(ModelFileError) {
      try writer.add("frozen", type: .bf16, shape: [weights.count / 2], weights)
    } catch {
      throw TrainingError(error)
    }
    let digest = try store.put(writer).digest
    segments.frozen = digest
    return digest
  }

  /// A trainer that goes on where a checkpoint was taken.
  ///
  /// - Parameters:
  ///   - digest: The checkpoint's name; every byte is checked against it.
  ///   - store: Where it is.
  ///   - recipe: The recipe that is expected; `nil` takes the checkpoint's.
  ///   - functions: The functions that are expected; `nil` takes the checkpoint's.
  /// - Throws: ``TrainingError`` `checkpoint_not_found`, `checkpoint_damaged`, `checkpoint_mismatch` (recipe, functions,
  ///   numerics or format), `io`.
  public convenience init(
    restoring digest: Digest, from store: CheckpointStore, recipe: TrainingRecipe? = nil,
    functions: FunctionSet? = nil
  ) throws {
    let (file, header, _) = try store.open(digest)
    let path = store.path(of: digest)
    if let recipe, recipe.digest != header.recipe.digest {
      throw CheckpointHeader.mismatch(
        path, "the recipe \(recipe.digest.hex)",
        "\(header.recipe.digest.hex), which has \(header.recipe.differences(from: recipe).joined(separator: ", "))",
        "restore the recipe, or start over from the first sample with this one: `retort train --anew`")
    }
    if let functions, functions.digest != header.functionsDigest {
      throw CheckpointHeader.mismatch(
        path, "the functions \(functions.digest.hex)", header.functionsDigest.hex,
        "restore the functions, or start another student with these")
    }
    let parts = try CheckpointParts(file, path: path)
    let functions = try functions?.inCanonicalOrder() ?? FunctionSet(json: JSON.parse(parts.functions))
    var segments: [[UInt8]] = []
    for name in header.segments { segments.append(try store.segment(name)) }
    if header.nextSequence > segments.count * SampleMemory.segmentSpan { segments.append(parts.tail) }
    guard
      let memory = SampleMemory(
        segments: segments, learnedThrough: header.learnedThrough, nextSequence: header.nextSequence,
        presentations: parts.presentations.map(Int.init))
    else {
      throw TrainingError.damaged("\(path), memory", expected: "segments that fit together", found: "others")
    }
    self.init(
      recipe: header.recipe, functions: functions, baseDigest: header.baseDigest, state: header.state,
      memory: memory, trunk: try parts.trunk(file, header: header, functions: functions, store: store, path: path))
    self.segments.frozen = header.frozen
    for (number, name) in header.segments.enumerated() { self.segments.digests[number] = name }
  }
}

/// The tensors of a checkpoint that are not the trunk's.
private struct CheckpointParts {
  var tail: [UInt8]
  var presentations: [UInt32]
  var tokenizer: [UInt8]
  var functions: [UInt8]

  func write(
    to store: CheckpointStore, header: CheckpointHeader, trunk: Trunk?
  ) throws(TrainingError) -> (digest: Digest, bytes: Int) {
    let counts = presentations.map(\.littleEndian)
    let result: Result<(digest: Digest, bytes: Int), TrainingError> = counts.withUnsafeBytes { counts in
      tail.withUnsafeBytes { tail in
        tokenizer.withUnsafeBytes { tokenizer in
          functions.withUnsafeBytes { functions in
            Result { () throws(TrainingError) in
              var writer = SafetensorsWriter()
              writer.metadata[CheckpointHeader.metadataKey] = header.json.text
              do throws(ModelFileError) {
                try Self.add(trunk, to: &writer)
                for (name, bytes) in [("memory.tail", tail), ("tokenizer", tokenizer), ("functions", functions)]
                where !bytes.isEmpty {
                  try writer.add(name, type: .u8, shape: [bytes.count], bytes)
                }
                if !counts.isEmpty {
                  try writer.add("memory.presentations", type: .u32, shape: [counts.count / 4], counts)
                }
              } catch {
                throw TrainingError(error)
              }
              return try store.put(writer)
            }
          }
        }
      }
    }
    return try result.get()
  }

  private static func add(_ trunk: Trunk?, to writer: inout SafetensorsWriter) throws(ModelFileError) {
    guard let trunk else { return }
    let count = trunk.student.layout.count
    try writer.add("trunk.parameters", shape: [count], UnsafeBufferPointer(trunk.student.parameters))
    for (name, moment) in [("first", trunk.optimizer.first), ("second", trunk.optimizer.second)] {
      let bytes = UnsafeRawBufferPointer(moment.bytes)
      if moment.storage == .fp32 {
        try writer.add(
          "trunk.\(name)_moment", type: .f32, shape: [count], UnsafeRawBufferPointer(rebasing: bytes[..<(count * 4)]))
      } else {
        try writer.add("trunk.\(name)_moment", type: .u8, shape: [bytes.count], bytes)
      }
    }
  }
}

extension CheckpointParts {
  fileprivate init(_ file: SafetensorsFile, path: String) throws(TrainingError) {
    func bytes(_ name: String) throws(TrainingError) -> [UInt8] {
      guard file.names.contains(name) else { return [] }
      do throws(ModelFileError) { return Array(try file.tensor(name).bytes) } catch { throw TrainingError(error) }
    }
    tail = try bytes("memory.tail")
    tokenizer = try bytes("tokenizer")
    functions = try bytes("functions")
    let counts = try bytes("memory.presentations")
    presentations = stride(from: 0, to: counts.count - 3, by: 4).map { start in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(counts[start + $1]) << UInt32(8 * $1) }
    }
  }

  fileprivate func trunk(
    _ file: SafetensorsFile, header: CheckpointHeader, functions: FunctionSet, store: CheckpointStore, path: String
  ) throws -> Trunk? {
    guard let configuration = header.configuration else { return nil }
    let tokenizer = try Tokenizer(huggingFace: self.tokenizer)
    let recipe = header.recipe
    let layout =
      recipe.adapters.map { ParameterLayout(configuration, adapters: $0) } ?? ParameterLayout(configuration)
    do {
      let student = try self.student(file, configuration, header: header, store: store, path: path)
      student.follow(recipe)
      let optimizer = AdamW(layout: student.layout, step: header.optimizerStep, state: recipe.optimizerState)
      for (name, moment) in [("first", optimizer.first), ("second", optimizer.second)] {
        let bytes = try file.tensor("trunk.\(name)_moment").bytes
        let expected = moment.storage == .fp32 ? student.layout.count * 4 : moment.bytes.count
        guard bytes.count == expected else {
          throw TrainingError.damaged(
            "\(path), trunk.\(name)_moment", expected: "\(expected) bytes", found: "\(bytes.count)")
        }
        moment.bytes.copyMemory(from: bytes)
      }
      let encoder = try SampleEncoder(
        tokenizer: tokenizer, functions: functions,
        maximumSequence: min(header.recipe.maximumSequence, configuration.maximumPositions))
      return Trunk(student: student, tokenizer: tokenizer, encoder: encoder, optimizer: optimizer)
    } catch let error as TrainingError {
      throw error
    } catch {
      throw TrainingError.damaged(
        "\(path), the trunk", expected: "\(layout.count) parameters and a tokenizer", found: "\(error)")
    }
  }

  private func student(
    _ file: SafetensorsFile, _ configuration: DecoderConfiguration, header: CheckpointHeader, store: CheckpointStore,
    path: String
  ) throws -> Student {
    let parameters = try file.tensor("trunk.parameters").floats()
    guard let adapters = header.recipe.adapters else {
      return try Student(
        configuration: configuration, parameters: parameters, precision: header.recipe.precision)
    }
    guard let digest = header.frozen else {
      throw TrainingError.damaged("\(path), the frozen base", expected: "its digest", found: "none")
    }
    let frozen = try store.frozen(digest)
    return try Student(
      configuration: configuration, adapters: adapters, frozenWeights: try frozen.tensor("frozen").bytes,
      parameters: parameters)
  }
}
