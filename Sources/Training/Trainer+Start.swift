import ModelFiles
import StudentModel
import Tokenization
import Topics

extension Trainer {
  /// A trunk from scratch: a tokenizer trained on these texts, and random weights, or random embeddings and layers that are a
  /// pretrained body's in part.
  static func makeTrunk(
    texts: [String], recipe: TrainingRecipe, functions: FunctionSet, body: PretrainedBody?
  ) throws -> Trunk {
    let structure = CallCodec.structureTokens(for: functions)
    let tokenizer = try Tokenizer.train(
      texts, vocabularySize: recipe.vocabularySize + structure.count, spaceFused: recipe.spaceFusedPieces,
      structure: structure)
    let student = try Student(
      configuration: recipe.configuration(vocabularySize: tokenizer.vocabularySize),
      seed: CounterRandom(seed: UInt64(recipe.seed), .initialization).bits(0),
      initialization: recipe.initialization, precision: recipe.precision)
    if let body {
      body.blend(into: student, share: Float(recipe.baseShare))
      EmbeddingRows(recipe).write(tokenizer, into: student.parameters(PretrainedBody.embedding(of: student)))
    }
    return try makeTrunk(student, tokenizer, recipe: recipe, functions: functions)
  }

  /// A trunk that continues a base model: all its weights, or adapters on it. It reads no further than it learns, as a student from
  /// scratch: what it would say there nobody has trained or measured, and room for it is memory.
  static func makeTrunk(_ base: BaseModel, recipe: TrainingRecipe, functions: FunctionSet) throws -> Trunk {
    var sizes = base.configuration
    sizes.maximumPositions = min(sizes.maximumPositions, recipe.maximumSequence)
    let student: Student
    if let adapters = recipe.adapters {
      let seed = CounterRandom(seed: UInt64(recipe.seed), .initialization).bits(0)
      student = try Student(
        configuration: sizes, adapters: adapters, seed: seed, base: base.copy(_:into:))
    } else {
      student = try Student(configuration: sizes, precision: recipe.precision, weights: base.copy(_:into:))
    }
    return try makeTrunk(student, base.tokenizer, recipe: recipe, functions: functions)
  }

  private static func makeTrunk(
    _ student: Student, _ tokenizer: Tokenizer, recipe: TrainingRecipe, functions: FunctionSet
  ) throws -> Trunk {
    let limit = min(recipe.maximumSequence, student.configuration.maximumPositions)
    let encoder = try SampleEncoder(tokenizer: tokenizer, functions: functions, maximumSequence: limit)
    student.follow(recipe)
    return Trunk(
      student: student, tokenizer: tokenizer, encoder: encoder,
      optimizer: AdamW(layout: student.layout, state: recipe.optimizerState))
  }
}
