import HTTPTypes
import Hummingbird
import NIOCore
import Topics

/// Replies as the API writes them.
enum HTTPReplies {
  static func json(_ status: HTTPResponse.Status, _ json: JSON, _ headers: HTTPFields = [:]) -> Response {
    var headers = headers
    headers[.contentType] = "application/json"
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: json.bytes)))
  }

  static func text(_ text: String, type: String) -> Response {
    Response(
      status: .ok, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  /// OpenAI's error object, with one sentence.
  static func error(_ error: ServingError, _ headers: HTTPFields = [:]) -> Response {
    var headers = headers
    if error.isRetriable { headers[.retryAfter] = error.code == .busy ? "1" : "2" }
    let kind: JSON =
      switch error.code {
      case .busy: "rate_limit_error"
      case .notReady, .stopping, .failed, .folder, .address: "server_error"
      case .invalidRequest, .tooLarge, .tooSlow, .modelNotFound, .notFound, .methodNotAllowed: "invalid_request_error"
      }
    return json(
      status(of: error.code),
      [
        "error": [
          "message": .string(error.description), "type": kind, "param": error.parameter.map { .string($0) } ?? .null,
          "code": .string(error.code.rawValue),
        ]
      ], headers)
  }

  private static func status(of code: ServingError.Code) -> HTTPResponse.Status {
    switch code {
    case .invalidRequest: .badRequest
    case .tooLarge: .contentTooLarge
    case .tooSlow: .requestTimeout
    case .modelNotFound, .notFound: .notFound
    case .methodNotAllowed: .methodNotAllowed
    case .busy: .tooManyRequests
    case .notReady, .stopping: .serviceUnavailable
    case .folder, .failed, .address: .internalServerError
    }
  }

  /// Server-sent events: one a chunk, then `[DONE]`.
  static func events(_ chunks: [JSON], _ headers: HTTPFields) -> Response {
    var headers = headers
    headers[.contentType] = "text/event-stream"
    headers[.cacheControl] = "no-cache"
    let body = ResponseBody { writer in
      for chunk in chunks { try await writer.write(ByteBuffer(string: "data: \(chunk.text)\n\n")) }
      try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
      try await writer.finish(nil)
    }
    return Response(status: .ok, headers: headers, body: body)
  }
}
