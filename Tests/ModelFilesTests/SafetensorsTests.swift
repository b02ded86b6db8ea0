import Foundation
import ModelFiles
import Testing
import Topics

@Suite("safetensors")
struct SafetensorsTests {
  @Test("a file that Python wrote is read")
  func readsGolden() throws {
    let file = try SafetensorsFile(bytes: golden("tiny.safetensors"))
    #expect(file.metadata == ["format": "pt"])
    #expect(Set(file.names) == ["b.weight", "a.half", "scalar", "a.weight", "empty", "bytes"])
    let weight = try file.tensor("b.weight")
    #expect(weight.shape == [2, 3])
    #expect(try weight.floats() == (0..<6).map { Float($0) / 7 })
    #expect(try file.tensor("a.half").floats() == [1, -2.5, 65504, 0x1p-24])
    #expect(try file.tensor("scalar").shape == [])
    #expect(try file.tensor("empty").floats() == [])
    #expect(throws: ModelFileError.self) { try file.tensor("bytes").floats() }
    #expect(throws: ModelFileError.self) { try file.tensor("nothing") }
  }

  @Test("the same tensors give the bytes that Python writes")
  func writesGolden() throws {
    let bytes = try golden("tiny.safetensors")
    let file = try SafetensorsFile(bytes: bytes)
    var writer = SafetensorsWriter()
    writer.metadata = file.metadata
    for tensor in file.tensors.reversed() {
      try writer.add(tensor.name, type: tensor.type, shape: tensor.shape, tensor.bytes)
    }
    try withFolder { folder in
      let written = try writer.write(to: "\(folder)/copy.safetensors")
      #expect(Array(try Data(contentsOf: URL(fileURLWithPath: written.path))) == bytes)
      #expect(written.bytes == bytes.count)
      #expect(written.digest == Digest.sha256(bytes))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["copy.safetensors"])
    }
  }

  @Test("damaged files give an error or a checked file, and never stop the process")
  func fuzz() throws {
    let bytes = try golden("tiny.safetensors")
    var refused = 0
    for copy in damaged(bytes, header: 400, flips: 3_000, seed: 1) {
      do {
        for tensor in try SafetensorsFile(bytes: copy).tensors where tensor.type == .f32 { _ = try tensor.floats() }
      } catch {
        refused += 1
      }
    }
    #expect(refused > 1_500)
  }

  @Test(
    "headers that contradict themselves are refused",
    arguments: [
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
      #"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F9","shape":[2],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}"#,
      "{\"\u{E9}\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        + "\"e\u{301}\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]}}",
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}}"#,
      #"{"__metadata__":{"a":1},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      #"[]"#, #"{}"#, #"{"a":7}"#, #"{"a""#,
    ])
  func refuses(_ header: String) {
    let length = UInt64(header.utf8.count)
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) } + Array(header.utf8)
    #expect(throws: ModelFileError.self) { try SafetensorsFile(bytes: bytes + [UInt8](repeating: 0, count: 8)) }
  }

  @Test(
    "a header length beyond the file or beyond reason is refused",
    arguments: [
      UInt64.max, UInt64(Int64.max), 1 << 40, 1 << 20, 9, 1, 0,
    ])
  func refusesLengths(_ length: UInt64) {
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) } + Array("{}      ".utf8)
    #expect(throws: ModelFileError.self) { try SafetensorsFile(bytes: bytes) }
  }

  @Test("a missing file, a folder and an empty file are told apart")
  func files() throws {
    try withFolder { folder in
      #expect { try SafetensorsFile(path: "\(folder)/none") } throws: { ($0 as? ModelFileError)?.code == .notFound }
      #expect { try SafetensorsFile(path: folder) } throws: { ($0 as? ModelFileError)?.code == .io }
      try Data().write(to: URL(fileURLWithPath: "\(folder)/empty"))
      #expect { try SafetensorsFile(path: "\(folder)/empty") } throws: { ($0 as? ModelFileError)?.code == .truncated }
      #expect { try AtomicFile.write([1], to: "\(folder)/none/file") } throws: {
        ($0 as? ModelFileError)?.code == .notFound
      }
    }
  }

  @Test("what is no regular file does not give way to one")
  func keepsDevices() throws {
    try withFolder { folder in
      let link = "\(folder)/link"
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/dev/null")
      for path in [link, folder] {
        #expect { try AtomicFile.write([1], to: path) } throws: { ($0 as? ModelFileError)?.code == .io }
      }
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "/dev/null")
    }
  }

  @Test("an abandoned writing leaves the old file and nothing else")
  func abandoned() throws {
    try withFolder { folder in
      _ = try AtomicFile.write(Array("old".utf8), to: "\(folder)/file")
      do {
        let file = try AtomicFile(path: "\(folder)/file")
        try file.write([UInt8](repeating: 1, count: 1 << 20))
        #expect(file.position == 1 << 20)
      }
      #expect(try String(contentsOfFile: "\(folder)/file", encoding: .utf8) == "old")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
    }
  }
}
