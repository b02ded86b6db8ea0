import FoundationEssentials
import Releases
import Testing
import Topics

@Suite("Signatures and keys")
struct SigningTests {
  /// The public key of RFC 8032, section 7.1, test 1, with which the examples are signed (by Python's cryptography, over
  /// Python's own canonical JSON).
  private static let rfcPublicKey = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

  @Test("The examples' signatures, made elsewhere, hold over our canonical JSON")
  func examples() throws {
    let key = try Fixtures.withFolder { folder in
      let json: JSON = ["key_id": "rfc8032-test-1", "algorithm": "ed25519", "public": .string(Self.rfcPublicKey)]
      try Data(json.bytes).write(to: URL(filePath: folder + "/key.json"))
      return try PublicKey.load(folder + "/key.json")
    }
    for name in ["manifest-signed", "manifest-of-a-newer-minor"] {
      let manifest = try Manifest(json: try Fixtures.example("releases", name)["manifest"] ?? nil)
      let signature = try #require(manifest.signature)
      #expect(key.verifies(signature.value, over: manifest.signingBytes), "\(name)")
    }
    for name in ["promote-signed", "rollback-signed", "unknown-fields"] {
      let deployment = try DeploymentRecord(json: try Fixtures.example("models", name))
      let signature = try #require(deployment.signature)
      #expect(key.verifies(signature.value, over: deployment.signingBytes), "\(name)")
    }
  }

  @Test("What a key signs its public key verifies, through JSON and whatever the order of members")
  func signAndVerify() throws {
    let key = SigningKey.generate()
    let trusted = TrustedKeys([key.publicKey])
    var deployment = try Fixtures.deployment(epoch: 1)
    deployment.manifest = try key.sign(deployment.manifest)
    let signed = try key.sign(deployment)
    #expect(signed.signature?.keyID == key.id)
    try trusted.verify(signed)
    try trusted.verify(try DeploymentRecord(json: try JSON.parse(signed.json.canonical)))
    #expect(trusted.ids == [key.id])
    #expect(SigningKey.generate().id != key.id)
  }

  @Test("No signature, an unknown key, and every changed field are told apart")
  func refused() throws {
    let key = SigningKey.generate()
    let trusted = TrustedKeys([key.publicKey])
    let manifest = try key.sign(try Fixtures.manifest())
    try trusted.verify(manifest)

    var unsigned = manifest
    unsigned.signature = nil
    #expect(Fixtures.code { try trusted.verify(unsigned) } == .unsigned)
    let stranger = try SigningKey.generate().sign(manifest)
    #expect(Fixtures.code { try trusted.verify(stranger) } == .unknownKey)
    #expect(Fixtures.code { try TrustedKeys([]).verify(manifest) } == .unknownKey)

    let changes: [(inout Manifest) -> Void] = [
      { $0.version += 1 }, { $0.files[0].bytes += 1 }, { $0.evidence[0].value = 1 }, { $0.extra["x"] = 1 },
      { $0.lineage.seed &+= 1 }, { $0.confidenceThreshold = nil }, { $0.signature?.value[0] ^= 1 },
      { $0.signature?.value = [] },
    ]
    for change in changes {
      var changed = manifest
      change(&changed)
      #expect(Fixtures.code { try trusted.verify(changed) } == .badSignature)
    }
  }

  @Test("A deployment whose manifest somebody else signed is refused")
  func innerSignature() throws {
    let key = SigningKey.generate()
    var deployment = try Fixtures.deployment(epoch: 1)
    deployment.manifest = try SigningKey.generate().sign(deployment.manifest)
    let signed = try key.sign(deployment)
    #expect(Fixtures.code { try TrustedKeys([key.publicKey]).verify(signed) } == .unknownKey)
  }

  @Test("Key files are for their owner alone, are never replaced, and give the same key again")
  func keyFiles() throws {
    try Fixtures.withFolder { folder in
      let key = SigningKey.generate()
      try key.save(folder + "/private.json")
      try key.publicKey.save(folder + "/public.json")
      let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/private.json")
      let permissions = attributes[.posixPermissions].map { "\($0)" }
      #expect(permissions == "\(0o600)")
      #expect(try SigningKey.load(folder + "/private.json").id == key.id)
      #expect(try PublicKey.load(folder + "/public.json").id == key.id)
      #expect(try TrustedKeys.load([folder + "/public.json"]).ids == [key.id])
      #expect(Fixtures.code { try key.save(folder + "/private.json") } == .keyFile)
      #expect(Fixtures.code { _ = try SigningKey.load(folder + "/public.json") } == .keyFile)
      #expect(Fixtures.code { _ = try PublicKey.load(folder + "/private.json") } == .keyFile)
      #expect(Fixtures.code { _ = try SigningKey.load(folder + "/none.json") } == .keyFile)
      for bad in ["", "{", "[]", #"{"private":"x"}"#, #"{"private":"AAAA"}"#] {
        try Data(bad.utf8).write(to: URL(filePath: folder + "/bad.json"))
        #expect(Fixtures.code { _ = try SigningKey.load(folder + "/bad.json") } == .keyFile)
      }
    }
  }
}
