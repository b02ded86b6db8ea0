import ArgumentParser
import Foundation
import Releases
import Topics

/// `retort keys`: the keys that sign releases.
struct KeysCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "Look after the keys that sign releases.", subcommands: [New.self])

  /// `retort keys new`: a new Ed25519 key pair.
  struct New: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a new Ed25519 key pair; give the public file to your subscribers.")

    @OptionGroup var global: GlobalOptions

    @Option(name: .long, help: ArgumentHelp("Where the keys go; the state folder by default.", valueName: "dir"))
    var out: String?

    func run() async throws {
      let configuration = try global.configuration()
      let folder = out ?? configuration.path("state") + "/keys"
      let files = try KeyFolder(folder).makeNew()
      if global.json {
        Output.print([
          "key_id": .string(files.keyID), "private": .string(files.privateFile), "public": .string(files.publicFile),
        ])
      } else {
        Output.print("key \(files.keyID)\nprivate \(files.privateFile)\npublic  \(files.publicFile)")
      }
    }
  }
}
