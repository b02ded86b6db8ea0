import Foundation
import Synchronization

/// The model that is served now; swapped between requests.
///
/// Reading and swapping are one pointer under a lock. Whoever read a model keeps it until they let go of it, so a swap fails no
/// request.
public final class ModelSlot: Sendable {
  /// A model, and when it came here in milliseconds since 1970.
  typealias Placed = (model: ServedModel, since: Int64)

  private let box: Mutex<Placed?>
  private let obstacle = Mutex<String?>(nil)

  /// A slot, empty where no model is there yet.
  public init(_ model: ServedModel? = nil) {
    box = Mutex(model.map(Self.placedNow))
  }

  /// The model that a request which begins now is answered by; nil before the first.
  public var current: ServedModel? { placed?.model }

  /// The same model, with since when.
  var placed: Placed? { box.withLock { $0 } }

  private static func placedNow(_ model: ServedModel) -> Placed {
    (model, Int64(Date().timeIntervalSince1970 * 1_000))
  }

  /// Why the newest release is not served, if that is known.
  public var problem: String? {
    get { obstacle.withLock { $0 } }
    set { obstacle.withLock { $0 = newValue } }
  }

  /// Serves another model from now on.
  ///
  /// - Returns: the model before.
  @discardableResult
  public func swap(_ model: ServedModel) -> ServedModel? {
    box.withLock { current in
      let old = current
      current = Self.placedNow(model)
      return old?.model
    }
  }
}
