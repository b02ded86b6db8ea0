import Foundation

/// The functions of the C library by names that nothing hides.
enum TestMath {
  static func exp(_ value: Double) -> Double { Foundation.exp(value) }
  static func log(_ value: Double) -> Double { Foundation.log(value) }
}
