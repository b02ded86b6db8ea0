import ArgumentParser
import Topics
import Training

/// `retort base`: the layers that students of this deployment's recipe start from, made before the first sample.
struct BaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "base", abstract: "Pre-train the layers that a new student starts from, from generated lessons alone.",
    discussion: """
      What it makes depends on the recipe's sizes, seed, base_steps, base_batch_size and base_learning_rate, and on nothing \
      else. It is kept in the state folder, where `retort train` looks for what its own recipe says; training makes it by \
      itself where it is missing and a student begins with at most base_until samples.
      """)

  @OptionGroup var global: GlobalOptions

  @Option(
    name: .long,
    help: ArgumentHelp("Steps of lessons, in place of the recipe's base_steps.", valueName: "steps"))
  var steps: Int?

  @Option(name: .long, help: ArgumentHelp("The folder to keep it in; the state folder's by default.", valueName: "dir"))
  var out: String?

  func run() async throws {
    let wiring = Wiring(try global.configuration())
    var recipe = try wiring.recipe()
    if let steps { recipe.baseSteps = steps }
    guard recipe.baseSteps > 0 else {
      throw ConfigurationError(
        "train.recipe: expected base_steps of at least 1, found \(recipe.baseSteps); set it, or give --steps")
    }
    let folder = out ?? wiring.bodies
    let line = ProgressLine("base")
    let body = try PretrainedBody.of(recipe, folder: folder) { step in
      line.show("step \(step.step) of \(step.steps), loss \(Figures.fixed(step.meanLoss, 3))")
    }
    line.end()
    let path = PretrainedBody.path(of: recipe, in: folder)
    if global.json {
      Output.print(["digest": .string(body.digest.hex), "file": .string(path)])
    } else {
      Output.print("base \(body.digest.hex)\nfile \(path)")
    }
  }
}
