//! Two documents, one a line: the second patches the first as a strategic merge of a Pod and of a Deployment. It is
//! carried out or refused; a patch that says nothing changes nothing.

use labkit_api::GroupVersionKind;
use labkit_api::patch::strategic_merge_patch;
use serde_json::json;

pub fn run(data: &[u8]) {
    let Some((target, patch)) = super::patches::documents(data) else { return };
    for gvk in [GroupVersionKind::new("", "v1", "Pod"), GroupVersionKind::new("apps", "v1", "Deployment")] {
        let mut patched = target.clone();
        let _refused_or_not = strategic_merge_patch(&gvk, &mut patched, &patch);
        if target.is_object() {
            let mut same = target.clone();
            strategic_merge_patch(&gvk, &mut same, &json!({})).expect("nothing is asked for");
            assert_eq!(same, target);
        }
    }
}
