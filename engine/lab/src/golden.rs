//! Golden texts beside their data; `LABKIT_BLESS=1` rewrites them.

/// Compares with the file, or rewrites it.
#[track_caller]
pub(crate) fn check(path: &str, actual: &str) {
    if std::env::var_os("LABKIT_BLESS").is_some() {
        std::fs::write(path, actual).expect("the golden file can be written");
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{path} differs; LABKIT_BLESS=1 rewrites it");
}
