#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A connection to a server on loopback that sends what no HTTP client would.
final class ClientSocket {
  private let handle: Int32

  struct Failure: Error {}

  init(port: Int) throws {
    #if canImport(Glibc)
      handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      handle = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
    let result = withUnsafeBytes(of: &address) { bytes in
      connect(handle, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
    }
    guard result == 0 else { throw Failure() }
  }

  deinit { close(handle) }

  func send(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(handle, $0.baseAddress, $0.count) }
  }

  /// The first line that comes.
  func line() -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while bytes.count < 1_000, read(handle, &byte, 1) == 1, byte != 0x0A { if byte != 0x0D { bytes.append(byte) } }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Whether something comes within this many milliseconds.
  func hasAnswer(within milliseconds: Int32) -> Bool {
    var ready = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
    return poll(&ready, 1, milliseconds) == 1
  }

  /// Whether the other side closes it within this many milliseconds.
  func isClosed(within milliseconds: Int32) -> Bool {
    var ready = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
    var byte: UInt8 = 0
    return poll(&ready, 1, milliseconds) == 1 && read(handle, &byte, 1) <= 0
  }
}
