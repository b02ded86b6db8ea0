import Testing
import Topics
import Training

@Suite("Recipes") struct TrainingRecipeTests {
  @Test("A recipe survives being written and read, digest included")
  func roundTrip() throws {
    let recipe = Fixture.recipe { $0.dropout = 0.125 }
    let copy = try TrainingRecipe(json: JSON.parse(recipe.json.text))
    #expect(copy == recipe)
    #expect(copy.digest == recipe.digest)
    #expect(TrainingRecipe().digest != recipe.digest)
  }

  @Test("What a recipe does not name keeps its default")
  func defaults() throws {
    let recipe = try TrainingRecipe(json: ["seed": 5, "learning_rate": 0.002])
    var expected = TrainingRecipe()
    expected.seed = 5
    expected.learningRate = 0.002
    #expect(recipe == expected)
    #expect(recipe.json.objectValue?.keys == TrainingRecipe.keys)
  }

  @Test(
    "A key that came later counts where it is not at its default: recipes and checkpoints of before stay what they were"
  )
  func laterKeys() throws {
    // Only another default of a key that is here already may change it.
    #expect(TrainingRecipe().digest.hex == "8af90585c281f6c0cc2b7f4eddcbf9881715b7db887c5f68331c06012c802eee")
    var recipe = TrainingRecipe()
    #expect(recipe.json["share_prefixes"] == 0)
    recipe.sharePrefixes = 1
    #expect(recipe.digest != TrainingRecipe().digest)
  }

  @Test("An unknown key is refused with the nearest known one")
  func unknownKey() throws {
    let error = #expect(throws: TrainingError.self) { try TrainingRecipe(json: ["learning_rat": 0.1]) }
    #expect(error?.code == .invalidRecipe)
    #expect(error?.description.contains("did you mean \"learning_rate\"?") == true)
  }

  @Test(
    "Values outside their ranges and of other types are refused",
    arguments: [
      ["batch_size": 0], ["batch_size": 1.5], ["dropout": 1], ["seed": -1], ["learning_rate": "fast"],
      ["hidden_size": 100], ["key_value_head_count": 5], ["feed_forward_size": 100], [1, 2],
      ["vocabulary_size": 300, "space_fused_pieces": 50],
    ] as [JSON])
  func ranges(json: JSON) {
    #expect(throws: TrainingError.self) { try TrainingRecipe(json: json) }
  }

  @Test("The trunk's rate rises and stays; a branch's falls to its last share")
  func schedule() {
    let schedule = LearningRateSchedule(peak: 0.01, warmupSteps: 4, finalShare: 0.1)
    #expect((0..<6).map { schedule.trunk(step: $0) } == [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])
    #expect(schedule.decay(step: 0, of: 5, from: 0.01) == 0.01)
    #expect(abs(schedule.decay(step: 4, of: 5, from: 0.01) - 0.001) < 1e-15)
    #expect(LearningRateSchedule(peak: 1, warmupSteps: 0, finalShare: 0).trunk(step: 0) == 1)
  }
}
