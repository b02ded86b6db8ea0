/// The version of this build, as `--version`, manifests and the user agent say it.
enum BuildVersion {
  static let text = "0.1.0"
}
