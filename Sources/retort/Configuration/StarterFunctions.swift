import DemoWorld
import Topics

/// The functions that `retort init` writes when it is given none: those of the demo's home.
enum StarterFunctions {
  static func set() throws -> FunctionSet { try HomeFunctions.functions() }
}
