import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTPTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the servers of this process let their clients hold.
enum ConnectionLimits {
  /// Closes connections whose client has sent nothing for this long and is not waiting for an answer.
  static func server(idleTimeout: Duration) -> HTTPServerBuilder {
    .http1(
      configuration: .init(additionalChannelHandlers: [ContinueHandler()], idleTimeout: TimeAmount(idleTimeout)))
  }

  /// Answers `Expect: 100-continue`, so that clients which wait for that send their body at once (RFC 9110, section 10.1.1): not while
  /// an earlier request of the connection is being answered, and not where the body will be refused by its length.
  private final class ContinueHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var unanswered = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if case .head(let head) = unwrapInboundIn(data) {
        let length = head.headerFields[.contentLength].flatMap { Int($0) } ?? 0
        if unanswered == 0, length <= ChatRequest.maximumBytes,
          head.headerFields[.expect]?.lowercased() == "100-continue"
        {
          context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
        }
        unanswered += 1
      }
      context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
      if case .end = unwrapOutboundIn(data) { unanswered -= 1 }
      context.write(data, promise: promise)
    }
  }

  /// As many connections as the process may open files, less those it needs itself; more wait until others are closed. Without it
  /// accepting fails again and again once the files have run out, and nobody is served.
  static var available: MaximumAvailableConnections {
    var limit = rlimit()
    #if canImport(Glibc)
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    #else
      getrlimit(RLIMIT_NOFILE, &limit)
    #endif
    return MaximumAvailableConnections(max(16, Int(clamping: limit.rlim_cur) - 128))
  }
}
