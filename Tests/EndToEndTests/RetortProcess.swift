import Foundation
import Topics

#if canImport(Glibc)
  import Glibc
#endif

/// Runs the built `retort` as a user would: another process, its own folder, its own exit status.
struct RetortProcess {
  /// What a finished process left behind.
  struct Result {
    let status: Int32
    let output: String
    let errors: String

    /// Standard output as JSON; the last line where there are several.
    func json() throws -> JSON {
      let lines = output.split(separator: "\n")
      guard let last = lines.last else { throw Failure("no output; standard error: \(errors)") }
      return try JSON.parse(Array(last.utf8))
    }
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  /// The executable that the build left beside the tests.
  static let executable: String = {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return package.appendingPathComponent(".build/release/retort").path
  }()

  /// Whether the tests may start a process under another user's id.
  static let canChangeUser =
    geteuid() == 0 && FileManager.default.isExecutableFile(atPath: setpriv)
  private static let setpriv = "/usr/bin/setpriv"

  let folder: String
  var environment: [String: String] = [:]
  /// The user it runs as; nil for the tests' own.
  var userID: UInt32?
  private var program = RetortProcess.executable

  init(folder: String, environment: [String: String] = [:]) {
    self.folder = folder
    self.environment = environment
  }

  /// Another program in its place, which may start it.
  func through(_ program: String) -> RetortProcess {
    var other = self
    other.program = program
    return other
  }

  /// Starts a process and returns at once.
  func start(_ arguments: [String], output: String? = nil) throws -> Process {
    let process = Process()
    if let userID {
      process.executableURL = URL(fileURLWithPath: Self.setpriv)
      process.arguments =
        ["--reuid", "\(userID)", "--regid", "\(userID)", "--clear-groups", program] + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: program)
      process.arguments = arguments
    }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("RETORT_") }
    variables.merge(environment) { $1 }
    process.environment = variables
    process.standardInput = FileHandle.nullDevice
    let file = output ?? "\(folder)/process-\(UInt32.random(in: 0 ... .max)).log"
    _ = FileManager.default.createFile(atPath: file + ".out", contents: nil)
    _ = FileManager.default.createFile(atPath: file + ".err", contents: nil)
    process.standardOutput = FileHandle(forWritingAtPath: file + ".out")
    process.standardError = FileHandle(forWritingAtPath: file + ".err")
    try process.run()
    return process
  }

  /// Runs a process to its end.
  func run(_ arguments: String...) async throws -> Result { try await run(arguments) }

  /// The same with the arguments in a list.
  func run(_ arguments: [String]) async throws -> Result {
    let file = "\(folder)/run-\(UInt32.random(in: 0 ... .max))"
    let process = try start(arguments, output: file)
    await Self.end(of: process)
    return Result(status: process.terminationStatus, output: Self.text(file + ".out"), errors: Self.text(file + ".err"))
  }

  /// Runs a process that must succeed and returns its JSON, whose keys must be those of the page that users read.
  func json(_ arguments: String...) async throws -> JSON {
    let file = "\(folder)/run-\(UInt32.random(in: 0 ... .max))"
    let process = try start(arguments + ["--json"], output: file)
    await Self.end(of: process)
    let result = Result(
      status: process.terminationStatus, output: Self.text(file + ".out"), errors: Self.text(file + ".err"))
    guard result.status == 0 else {
      throw Failure(
        "retort \(arguments.joined(separator: " ")) ended with \(result.status): \(result.errors.suffix(2_000))")
    }
    let json = try result.json()
    try JSONPage.check(json, of: arguments)
    return json
  }

  /// Every record of a topic, as `topics tail` prints it.
  func records(of topic: String) async throws -> [JSON] {
    let result = try await run("topics", "tail", topic, "--once")
    guard result.status == 0 else { throw Failure(result.errors) }
    return try result.output.split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
  }

  /// Version, digest and status of every release, in order.
  func releases() async throws -> [String] {
    let list = try await json("models", "list").arrayValue ?? []
    guard !list.isEmpty else { throw Failure("no releases") }
    return list.map {
      "\($0["version"]?.integerValue ?? -1) \($0["sha256"]?.stringValue ?? "") \($0["status"]?.stringValue ?? "")"
    }
  }

  /// Waits for a process without blocking the tests' threads.
  static func end(of process: Process) async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      Thread.detachNewThread {
        process.waitUntilExit()
        done.resume()
      }
    }
  }

  static func text(_ file: String) -> String {
    String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
  }
}

/// A temporary folder that goes away with its test.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("retort-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }
}
