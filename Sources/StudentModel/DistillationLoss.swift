/// How far a student's distribution of the next token is from a teacher's.
///
/// With ``top``, the tokens that the teacher thinks most likely are kept apart, and all others are one class, the tail, whose
/// mass in each distribution is the sum of its tokens': the divergence of two distributions over top + 1 classes. So the
/// student is free in how it divides the tail, and nothing is lost by knowing only the teacher's best.
///
/// Reference: Hinton et al. 2015, arXiv 1503.02531, at temperature 1 (forward); Gu et al. 2023, arXiv 2306.08543, and Agarwal
/// et al. 2023, arXiv 2306.13649 (reverse).
public struct DistillationLoss: Sendable, Hashable {
  /// Which way the divergence is taken.
  public enum Direction: String, Sendable, Hashable, CaseIterable {
    /// KL(teacher ‖ student): the student covers all that the teacher may say.
    case forward
    /// KL(student ‖ teacher): the student avoids what the teacher would not say.
    case reverse
  }

  /// The most tokens that can be kept apart.
  public static let topLimit = 256

  /// Which way; default forward.
  public var direction: Direction
  /// How many tokens are kept apart from the tail, 1…256; 0, the default: all, there is no tail. Tokens that the teacher
  /// finds as likely as the last of them are kept apart too.
  public var top: Int

  /// A divergence.
  public init(_ direction: Direction = .forward, top: Int = 0) {
    self.direction = direction
    self.top = top
  }
}
