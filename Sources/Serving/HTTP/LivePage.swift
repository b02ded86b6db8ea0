import HTTPTypes
import Hummingbird
import NIOCore
import Topics

/// The page at `/`, for whoever runs the server: one file, to which nothing is added here, that asks `/status` every two seconds.
enum LivePage {
  static var reply: Response { Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: body)) }

  private static let body = ByteBuffer(bytes: PackageResources.page_html)
  private static let headers: HTTPFields = [
    .contentType: "text/html; charset=utf-8", .cacheControl: "no-store", .contentSecurityPolicy: policy,
  ]

  /// The file's own script and style, requests to this server, and nothing else.
  private static let policy = [
    "default-src 'none'", "script-src \(source(of: "script"))", "style-src \(source(of: "style"))",
    "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
  ].joined(separator: "; ")

  /// An element of the file as the policy names it: by the digest of what is in it.
  ///
  /// Reference: W3C Content Security Policy Level 3, section 2.3.1, hash-source.
  private static func source(of element: String) -> String {
    let html = String(decoding: PackageResources.page_html, as: UTF8.self)
    guard let start = html.firstRange(of: "<\(element)>")?.upperBound,
      let end = html.firstRange(of: "</\(element)>")?.lowerBound
    else { return "'none'" }
    return "'sha256-\(Base64.encode(Array(Digest.sha256(String(html[start..<end])).bytes)))'"
  }
}
