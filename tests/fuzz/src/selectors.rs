//! Label and field selectors: what is parsed can be written, and means the same when it is read again.

use std::collections::BTreeMap;

use labkit_api::{FieldSelector, LabelSelector};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let labels: BTreeMap<String, String> =
        [("app", "a"), ("tier", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    if let Ok(selector) = LabelSelector::parse(text) {
        let again = LabelSelector::parse(&selector.to_string()).expect("what is written can be read");
        assert_eq!(selector.matches(&labels), again.matches(&labels), "{text:?} {selector}");
        assert_eq!(selector.to_string(), again.to_string());
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let _any_answer_will_do = selector.matches(|path| labels.get(path).cloned());
    }
}
