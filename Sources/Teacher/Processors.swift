internal import Foundation
internal import NIOCore

/// The processors that this process may use.
public enum Processors {
  /// How many: those it is bound to, or as many as its container's limit stands for, rounded up, where that is less.
  ///
  /// Foundation knows which processors a thread may run on, NIO the limits of cgroups (Kubernetes' `limits.cpu`, Compose's `cpus`):
  /// more threads than these use the time up by spinning, and stand still for the rest of it.
  public static var count: Int { max(1, min(ProcessInfo.processInfo.activeProcessorCount, System.coreCount)) }
}
