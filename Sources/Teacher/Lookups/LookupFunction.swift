public import Topics

/// A function that is executed while labelling; its result goes back to the teacher.
public struct LookupFunction: Sendable {
  /// What the teacher is told about it, and the schema its arguments must fit.
  public let definition: FunctionDefinition
  /// How it is executed.
  public let binding: LookupBinding

  /// Binds a function.
  public init(definition: FunctionDefinition, binding: LookupBinding) {
    self.definition = definition
    self.binding = binding
  }
}

/// How a lookup function is executed.
///
/// In every case arguments are data: nothing is ever pasted into a URL, a command line, or a query.
public enum LookupBinding: Sendable, Hashable {
  /// An HTTP request. `POST`, `PUT` and `PATCH` carry the arguments as a JSON object; `GET` carries them as
  /// query items (strings as they are, everything else as JSON). Redirects are not followed. The body of a 2xx
  /// answer is the result; 3xx, 401, 403, 407, 429, 5xx, no answer in time and no connection are waited out, save where the
  /// same arguments fail again and again while others are answered; any other 4xx rejects the record. Calls are repeated:
  /// they must change nothing.
  case http(url: String, method: String = "POST", headers: [String: String] = [:], timeout: Duration = .seconds(10))
  /// A program, started directly (never through a shell), with the arguments as one JSON object on standard
  /// input. What it writes on standard output is the result; any other exit status than 0 and no end in time reject the
  /// record. One that cannot be started is waited for.
  case command([String], timeout: Duration = .seconds(10))
  /// One reading query on a SQLite file, with the arguments as `:named` parameters (missing ones are NULL,
  /// arrays and objects are bound as JSON text). The result is an array of objects, one a row; a query that fails (also
  /// because the file is locked for longer than 5 s) or does not end in time rejects the record.
  case sql(databasePath: String, query: String, maximumRows: Int = 100, timeout: Duration = .seconds(5))
}
