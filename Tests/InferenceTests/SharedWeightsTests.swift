import CKernels
import Foundation
import Inference
import ModelFiles
import StudentModel
import Testing
import Topics

@Suite("Weights that processes share")
struct SharedWeightsTests {
  /// A folder with a student's file `model.gguf` and room for what is shared.
  private final class Place {
    let path: String
    var model: String { path + "/model.gguf" }
    var shared: SharedWeights { SharedWeights(folder: path + "/packed") }
    var files: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path + "/packed")) ?? []).sorted() }
    var file: String { get throws { path + "/packed/" + (try #require(files.first { $0.hasSuffix(".derived") })) } }

    init(_ type: ElementType = .q8_0, ties: Bool = true) throws {
      path = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try write(type, ties: ties)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ type: ElementType = .q8_0, ties: Bool = true, seed: UInt64 = 4, firstWeight: Float = 0.1) throws {
      let functions = try TinyModels.functions()
      let tokenizer = try TinyModels.tokenizer(functions)
      let student = try TinyModels.student(TinyModels.configuration(tokenizer, ties: ties), seed: seed)
      student.parameters[0] = firstWeight
      try TinyModels.write(student, tokenizer, functions, type: type, to: model)
    }

    func logits() throws -> [[Float]] { try DecoderModel(gguf: model).logits(tokens: [1, 2, 3, 4]) }

    /// The logits with shared weights, which must be shared.
    func sharedLogits() throws -> [[Float]] {
      let model = try DecoderModel(gguf: model, shared: shared)
      #expect(model.placement == .shared(path: try file))
      return try model.logits(tokens: [1, 2, 3, 4])
    }
  }

  @Test(
    "They give the bits of a process's own, for who packs them and for who finds them packed",
    arguments: [ElementType.f32, .bf16, .q8_0, .q4_0], [true, false])
  func bits(_ type: ElementType, _ ties: Bool) throws {
    let place = try Place(type, ties: ties)
    let own = try place.logits()
    for _ in 0..<2 { #expect(try place.sharedLogits() == own) }
    #expect(place.files.count == 1)
  }

  @Test("A file that is damaged, cut, another's, a link, or open to others is made again")
  func badFiles() throws {
    let place = try Place()
    let own = try place.logits()
    #expect(try place.sharedLogits() == own)
    let (file, whole) = (try place.file, try Data(contentsOf: URL(fileURLWithPath: place.file)))
    func put(_ bytes: Data) throws { try bytes.write(to: URL(fileURLWithPath: file), options: .atomic) }
    let damages: [() throws -> Void] = [
      { try put(Data()) }, { try put(whole.prefix(20)) }, { try put(whole.dropLast()) }, { try put(whole + [0]) },
      {
        var bytes = whole
        bytes[bytes.count / 2] ^= 1
        try put(bytes)
      },
      {
        // Whole, but of another heading: another layout, or another model's weights under this name.
        var bytes = whole.dropLast(32)
        bytes[0] ^= 1
        try put(bytes + Digest.sha256(Array(bytes)).bytes)
      },
      { try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: file) },
      {
        try FileManager.default.moveItem(atPath: file, toPath: place.path + "/elsewhere")
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: place.path + "/elsewhere")
      },
    ]
    for (index, damage) in damages.enumerated() {
      try damage()
      #expect(try place.sharedLogits() == own, "damage \(index)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == whole, "damage \(index)")
      let attributes = try FileManager.default.attributesOfItem(atPath: file)
      #expect(attributes[.type] as? FileAttributeType == .typeRegular)
      #expect((attributes[.posixPermissions] as? NSNumber).map { $0.intValue & 0o022 } == 0)
    }
  }

  @Test("Who opens at once gets the same file, and it is packed once")
  func atOnce() async throws {
    let place = try Place()
    let (path, own) = (place.path, try place.logits())
    let found = try await withThrowingTaskGroup(of: (WeightPlacement, [[Float]]).self) { group in
      for _ in 0..<6 {
        group.addTask {
          let model = try DecoderModel(gguf: path + "/model.gguf", shared: SharedWeights(folder: path + "/packed"))
          return (model.placement, try model.logits(tokens: [1, 2, 3, 4]))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(found.map(\.0)) == [.shared(path: try place.file)])
    #expect(found.allSatisfy { $0.1 == own })
    #expect(place.files.count == 1)
  }

  @Test("Where they cannot be shared, a process has its own and says why; bad weights stay an error")
  func withoutFolder() throws {
    let place = try Place()
    let own = try place.logits()
    let model = try DecoderModel(gguf: place.model, shared: SharedWeights(folder: place.model + "/packed"))
    guard case .unshared(let reason) = model.placement else {
      Issue.record("\(model.placement)")
      return
    }
    #expect(reason.contains("model.gguf"))
    #expect(try model.logits(tokens: [1, 2, 3, 4]) == own)
    try place.write(.f32, firstWeight: .nan)
    #expect(throws: InferenceError.self) { try DecoderModel(gguf: place.model, shared: place.shared) }
    #expect(place.files.isEmpty)
  }

  @Test("A process that keeps the folder locked is not waited for without end")
  func locked() throws {
    let place = try Place()
    let own = try place.logits()
    do {
      let hold = try #require(try FolderHold(.exclusive, on: place.path + "/packed", name: nil))
      defer { withExtendedLifetime(hold) {} }
      let shared = SharedWeights(folder: place.path + "/packed", patience: .zero)
      let model = try DecoderModel(gguf: place.model, shared: shared)
      guard case .unshared(let reason) = model.placement else {
        Issue.record("\(model.placement)")
        return
      }
      #expect(reason.contains("another process that holds it"))
      #expect(try model.logits(tokens: [1, 2, 3, 4]) == own)
      #expect(place.files.isEmpty)
    }
    #expect(try place.sharedLogits() == own)
  }

  @Test("The newest few files stay, those of models before go, and so does what killed processes left")
  func retirement() throws {
    let place = try Place()
    let first = try DecoderModel(gguf: place.model, shared: place.shared)
    let logits = try first.logits(tokens: [1, 2, 3, 4])
    for seed in 5..<9 {
      try place.write(seed: UInt64(seed))
      let time = Date(timeIntervalSinceNow: Double(seed - 100))
      for file in place.files {
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: place.path + "/packed/" + file)
      }
      _ = FileManager.default.createFile(atPath: place.path + "/packed/.left.partial", contents: Data([1]))
      #expect(try DecoderModel(gguf: place.model, shared: place.shared).placement != .own)
    }
    #expect(place.files.count == 3)
    // What has been deleted is still there for who has mapped it.
    #expect(try first.logits(tokens: [1, 2, 3, 4]) == logits)
  }

  @Test("How weights are packed is what the layout's version says: a change of either needs one of the other")
  func layout() throws {
    var digests = Digest.Stream()
    for type in [
      RETORT_WEIGHT_F32, RETORT_WEIGHT_BF16, RETORT_WEIGHT_Q8_0, RETORT_WEIGHT_Q4_0, RETORT_WEIGHT_Q4_K,
      RETORT_WEIGHT_Q6_K,
    ] {
      let (rows, columns) = (40, 256)
      let weights = (0..<rows * retort_weight_row_size(type, columns)).map {
        UInt8(truncatingIfNeeded: retort_random_bits(7, UInt64(type.rawValue), UInt64($0)))
      }
      var packed = [UInt8](repeating: 0, count: retort_linear_packed_size(type, rows, columns))
      retort_linear_pack(type, rows, columns, weights, &packed)
      digests.update(packed)
    }
    #expect("\(SharedWeights.layoutVersion) \(digests.digest.hex.prefix(16))" == "1 187d360a00df8623")
  }
}
