// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

// External libraries, by the job they do here.
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let httpServer = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let httpServerCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let metricsTestKit = Target.Dependency.product(name: "MetricsTestKit", package: "swift-metrics")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let sqlite = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let yaml = Target.Dependency.product(name: "Yams", package: "Yams")

let topics = [
  "requests", "samples", "ledger", "deadletters", "checkpoints", "releases", "models", "artifacts", "adoptions",
  "feedback",
]

/// A module of the house: `Sources/<name>`.
func module(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

/// The tests of a module: `Tests/<name>Tests`.
func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.init(stringLiteral: name)] + dependencies, exclude: exclude,
    swiftSettings: strict)
}

let package = Package(
  name: "retort",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "retort", targets: ["retort"]),
    .library(name: "RetortClient", targets: ["RetortClient"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .target(
      name: "Topics", dependencies: [crypto], path: "topics",
      exclude: ["asyncapi.yaml"] + topics.map { "\($0)/examples" },
      resources: topics.map { .embedInCode("\($0)/\($0).schema.json") }, swiftSettings: strict),
    module("MessageLog", []),
    module("SQLiteLog", ["MessageLog", sqlite]),
    .systemLibrary(name: "CRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
    module("KafkaLog", ["MessageLog", "CRdKafka", logging, metrics]),
    .target(name: "CKernels"),
    module("ModelFiles", ["CKernels", "Topics", crypto]),
    module("Tokenization", ["Topics", "ModelFiles"]),
    module("StudentModel", ["CKernels", "ModelFiles"]),
    module("Inference", ["CKernels", "Topics", "ModelFiles", "Tokenization"]),
    module("Evaluation", ["Topics"]),
    module("Teacher", ["Topics", httpClient, sqlite, logging, nio, nioHTTP1]),
    module(
      "Training", ["CKernels", "Topics", "ModelFiles", "Tokenization", "StudentModel", "Inference", "Evaluation"]),
    module(
      "Compression",
      ["CKernels", "Topics", "ModelFiles", "Tokenization", "StudentModel", "Inference", "Evaluation", "Training"]),
    module("Releases", ["Topics", "Evaluation", crypto]),
    module(
      "RetortClient",
      [
        "Topics", "MessageLog", "ModelFiles", "Tokenization", "Inference", "Releases", httpClient, logging, nio,
        nioHTTP1,
      ]),
    module(
      "Serving",
      [
        "Topics", "MessageLog", "Tokenization", "Inference", "RetortClient", httpServer, httpServerCore, httpTypes,
        logging,
        metrics, lifecycle, nio, nioHTTPTypes, signals,
      ], resources: [.embedInCode("HTTP/page.html")]),
    module(
      "Pipeline",
      [
        "Topics", "MessageLog", "ModelFiles", "Tokenization", "StudentModel", "Inference", "Evaluation", "Teacher",
        "Training", "Compression", "Releases", "RetortClient", logging, metrics, lifecycle,
        signals,
      ]),
    module("DemoWorld", ["Topics", httpServer, lifecycle, logging, nio]),
    .executableTarget(
      name: "retort",
      dependencies: [
        "Topics", "MessageLog", "SQLiteLog", "KafkaLog", "ModelFiles", "Tokenization", "StudentModel", "Inference",
        "Evaluation", "Teacher", "Training", "Compression", "Releases", "RetortClient", "Serving", "Pipeline",
        "DemoWorld",
        arguments, httpClient, nio, nioHTTP1, logging, metrics, lifecycle, yaml,
      ],
      swiftSettings: strict),
    .target(
      name: "LogContract", dependencies: ["MessageLog"], path: "Tests/LogContract", swiftSettings: strict),
    .target(name: "PythonPeers", path: "Tests/PythonPeers", swiftSettings: strict),
    tests("Topics", [yaml], exclude: ["Goldens"]),
    tests("MessageLog"),
    tests("SQLiteLog", ["MessageLog", "LogContract", sqlite]),
    tests("KafkaLog", ["MessageLog", "LogContract", "CRdKafka", logging, metricsTestKit]),
    tests("CKernels"),
    tests("ModelFiles", ["Topics", "PythonPeers"], exclude: ["Goldens"]),
    tests("Tokenization", ["ModelFiles", "Topics", "PythonPeers"], exclude: ["Goldens"]),
    tests("StudentModel", ["CKernels", "ModelFiles"], exclude: ["Goldens"]),
    tests("Inference", ["CKernels", "Topics", "ModelFiles", "StudentModel", "Tokenization"], exclude: ["Goldens"]),
    tests("Evaluation", ["Topics"]),
    tests(
      "Teacher",
      [
        "Topics", "MessageLog", "SQLiteLog", "ModelFiles", "Tokenization", "StudentModel", "Training", "Pipeline",
        "RetortClient", sqlite, httpServer, httpTypes, lifecycle, logging, nio,
      ]),
    tests("Training", ["Topics", "ModelFiles", "StudentModel", "Tokenization"]),
    tests(
      "Compression", ["Topics", "PythonPeers", "Inference", "ModelFiles", "StudentModel", "Tokenization", "Training"]),
    tests("Releases", ["Topics"]),
    tests(
      "Serving",
      [
        "Topics", "MessageLog", "ModelFiles", "StudentModel", "Tokenization", "Inference", httpClient, logging, metrics,
        nio, nioHTTP1,
      ]),
    tests(
      "RetortClient",
      [
        "Topics", "MessageLog", "SQLiteLog", "ModelFiles", "Tokenization", "StudentModel", "Inference", "Compression",
        "Releases", logging,
      ]),
    tests(
      "Pipeline",
      [
        "Topics", "MessageLog", "ModelFiles", "Tokenization", "StudentModel", "Inference", "Compression", "Evaluation",
        "Training", "Releases", "RetortClient", "SQLiteLog", "Teacher", "DemoWorld", logging,
      ]),
    tests("DemoWorld", ["Topics", "Teacher", logging]),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "DemoWorld", "MessageLog", "RetortClient", "SQLiteLog", "Topics", "retort", httpClient, nio, nioHTTP1,
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
