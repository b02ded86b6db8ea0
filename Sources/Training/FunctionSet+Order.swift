package import Topics

extension FunctionSet {
  /// The same functions with the members of every object in canonical order.
  ///
  /// A set's digest does not see that order but the student's language does (keys whose values do not occur in the request
  /// stand in the schema's order); so training uses this form, and the digest names all that decides the weights.
  ///
  /// - Throws: What reading functions throws; never for a set that was read from JSON.
  package func inCanonicalOrder() throws -> FunctionSet { try FunctionSet(json: JSON.parse(json.sorted)) }
}
