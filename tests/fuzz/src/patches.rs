//! Two documents, one a line: the second patches the first, as a merge patch (RFC 7396). Applied twice it is applied
//! once. As kubectl's apply it changes nothing where nothing was changed.

use labkit_api::GroupVersionKind;
use labkit_api::patch::{apply_patch, merge_patch, strategic_merge_patch, with_last_applied};
use serde_json::Value;

pub fn run(data: &[u8]) {
    let Some((target, patch)) = documents(data) else { return };
    let mut once = target.clone();
    merge_patch(&mut once, &patch);
    let mut twice = once.clone();
    merge_patch(&mut twice, &patch);
    assert_eq!(once, twice);
    if target.is_object() {
        let gvk = GroupVersionKind::new("apps", "v1", "Deployment");
        let modified = with_last_applied(&target);
        let patch = apply_patch(&gvk, &target, &modified, &modified);
        let mut applied = modified.clone();
        if strategic_merge_patch(&gvk, &mut applied, &patch).is_ok() {
            assert_eq!(applied, modified, "{patch}");
        }
    }
}

/// The two lines, if both are JSON.
pub(crate) fn documents(data: &[u8]) -> Option<(Value, Value)> {
    let text = std::str::from_utf8(data).ok()?;
    let (target, patch) = text.split_once('\n')?;
    Some((serde_json::from_str(target).ok()?, serde_json::from_str(patch).ok()?))
}
