import Foundation

/// The Python that the tests of other programs' readers use: `RETORT_PYTHON`, else `python3`.
package enum Python {
  package static let path = ProcessInfo.processInfo.environment["RETORT_PYTHON"] ?? "python3"

  /// Whether all the modules are installed; they are not imported, which can take seconds.
  package static func has(_ modules: String...) -> Bool {
    let program = "import sys, importlib.util as u; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
    return (try? run(program, modules))?.status == 0
  }

  /// Runs a program; arguments are in `sys.argv[1:]`.
  package static func run(_ program: String, _ arguments: [String] = []) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [path, "-c", program] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"]
    ) { $1 }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }
}
