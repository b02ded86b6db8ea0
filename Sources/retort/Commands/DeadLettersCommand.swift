import ArgumentParser
import MessageLog
import Pipeline
import Topics

/// `retort deadletters`: requests without a label.
struct DeadLettersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deadletters", abstract: "Requests that got no label: look at them, put them back.",
    subcommands: [List.self, Show.self, Redrive.self])

  /// `retort deadletters list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "One line for each dead letter.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let entries = try await DeadLetters.list(log: log, names: wiring.names)
      try await log.close()
      if global.json {
        Output.print(.array(entries.map(\.summary)))
      } else {
        var table = Table(["offset", "code", "request", "attempts", "redriven", "message"])
        for entry in entries {
          table.add([
            "\(entry.offset)", entry.letter.code,
            entry.requestKey.count > 60 ? entry.requestKey.prefix(59) + "…" : entry.requestKey,
            "\(entry.letter.attempts)",
            entry.isRedriven ? "yes" : "", String(entry.letter.message.prefix(100)),
          ])
        }
        Output.print(table.text)
      }
    }
  }

  /// `retort deadletters show OFFSET`.
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Everything about one dead letter.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The offset, as `list` shows it.")
    var offset: Int64

    func run() async throws {
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      let entries = try await DeadLetters.list(log: log, names: wiring.names)
      try await log.close()
      guard let entry = entries.first(where: { $0.offset == offset }) else {
        throw PipelineError(
          .notFound, "the dead letters", expected: "one at offset \(offset)", found: "none",
          advice: "choose one of `retort deadletters list`")
      }
      if global.json {
        Output.print(entry.letter.json)
      } else {
        let letter = entry.letter
        Output.print("code      \(letter.code)\nmessage   \(letter.message)\nattempts  \(letter.attempts)")
        Output.print("request   \(letter.source.topic)/\(letter.source.partition) at offset \(letter.source.offset)")
        if let answer = letter.answer { Output.print("answer    \(answer)") }
        Output.print(String(decoding: (letter.value ?? []).prefix(4_096), as: UTF8.self))
      }
    }
  }

  /// `retort deadletters redrive`.
  struct Redrive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put dead letters back into requests, each once and only once.")

    @OptionGroup var global: GlobalOptions

    @Argument(
      help: ArgumentHelp(
        "Offsets, as `list` shows them, or request keys; a number is always an offset.", valueName: "id"))
    var ids: [String] = []

    @Option(name: .long, help: "All dead letters with this code.")
    var code: String?

    @Flag(name: .long, help: "All dead letters.")
    var all = false

    func run() async throws {
      guard [all, code != nil, !ids.isEmpty].count(where: { $0 }) == 1 else {
        throw ConfigurationError("redrive: name dead letters by offset or key, or give --code CODE, or --all")
      }
      let wiring = Wiring(try global.configuration())
      let log = try await wiring.openExistingLog()
      var unknown = Set(ids)
      var cut = 0
      let count = try await DeadLetters.redrive(log: log, names: wiring.names) { entry in
        let named = ids.filter { entry.isCalled($0) }
        unknown.subtract(named)
        let isChosen = all || entry.letter.code == code || !named.isEmpty
        if isChosen, entry.letter.isCut { cut += 1 }
        return isChosen
      }
      try await log.close()
      if global.json {
        Output.print(["redriven": .integer(Int64(count))])
      } else {
        Output.print("put back \(count) requests")
      }
      if cut > 0 {
        Output.complain(
          "\(cut) dead letters hold only the beginning of their request, which was too large; send it again from where it came"
        )
        throw ExitStatus.failed
      }
      if let first = unknown.sorted().first {
        throw PipelineError(
          .notFound, "the dead letters",
          expected: Int64(first) == nil ? "one of key \(first)" : "one at offset \(first)",
          found: "none",
          advice: "choose one of `retort deadletters list`")
      }
    }
  }
}

extension DeadLetters.Entry {
  /// A number is an offset, anything else a request's key.
  fileprivate func isCalled(_ id: String) -> Bool {
    Int64(id).map { $0 == offset } ?? (letter.key == Array(id.utf8))
  }

  fileprivate var requestKey: String { String(decoding: letter.key ?? [], as: UTF8.self) }

  fileprivate var summary: JSON {
    [
      "offset": .integer(offset), "code": .string(letter.code), "key": .string(requestKey),
      "attempts": .integer(Int64(letter.attempts)), "redriven": .bool(isRedriven), "message": .string(letter.message),
      "source": letter.source.json,
    ]
  }
}
