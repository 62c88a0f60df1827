//! What is there against what is expected of it: the expected value names only what matters. Lists whose
//! items have a key, as Kubernetes merges them, are compared by that key and not by their order.

use serde_json::Value;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `spec.containers[name=web].image`
    pub path: String,
    pub expected: String,
    pub actual: String,
}

/// Every difference, and how many leaves were compared.
pub(crate) fn compare(expected: &Value, actual: &Value) -> (Vec<Difference>, u32) {
    let mut found = Comparison { differences: Vec::new(), leaves: 0 };
    found.value(String::new(), expected, Some(actual));
    (found.differences, found.leaves)
}

/// A partial object in few words: `spec.replicas: 2; spec.containers[name=web].image: "nginx"`.
pub(crate) fn in_words(expected: &Value) -> String {
    let mut leaves = Vec::new();
    collect_leaves("", expected, &mut leaves);
    leaves.join("; ")
}

fn collect_leaves(path: &str, value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect_leaves(&path, value, leaves);
            }
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let key =
                    MERGE_KEYS.iter().find_map(|key| Some(format!("{key}={}", item.get(key)?.as_str()?)));
                let key = key.unwrap_or_else(|| index.to_string());
                collect_leaves(&format!("{path}[{key}]"), item, leaves);
            }
        }
        leaf => leaves.push(format!("{path}: {leaf}")),
    }
}

/// Keys by which Kubernetes merges lists.
const MERGE_KEYS: [&str; 10] =
    ["name", "type", "containerPort", "port", "key", "ip", "uid", "mountPath", "devicePath", "topologyKey"];

struct Comparison {
    differences: Vec<Difference>,
    leaves: u32,
}

impl Comparison {
    fn value(&mut self, path: String, expected: &Value, actual: Option<&Value>) {
        match (expected, actual) {
            (Value::Object(expected), Some(Value::Object(actual))) => {
                for (name, expected) in expected {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.value(path, expected, actual.get(name));
                }
            }
            (Value::Array(expected), Some(Value::Array(actual))) => self.list(&path, expected, actual),
            _ => {
                self.leaves += 1;
                let same = match actual {
                    None => expected.is_null(),
                    Some(actual) => scalars_equal(expected, actual),
                };
                if !same {
                    let actual = actual.map_or_else(|| "absent".to_owned(), Value::to_string);
                    self.differences.push(Difference { path, expected: expected.to_string(), actual });
                }
            }
        }
    }

    fn list(&mut self, path: &str, expected: &[Value], actual: &[Value]) {
        if let Some(key) = merge_key(expected, actual) {
            for item in expected {
                let id = &item[key];
                let found = actual.iter().find(|actual| scalars_equal(id, &actual[key]));
                let name = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                let path = format!("{path}[{key}={name}]");
                match found {
                    Some(found) => self.value(path, item, Some(found)),
                    None => self.absent(path, item),
                }
            }
        } else if expected.iter().all(|item| !item.is_object() && !item.is_array()) {
            // Sets of plain values, such as finalizers: order says nothing.
            for (index, item) in expected.iter().enumerate() {
                self.leaves += 1;
                if !actual.iter().any(|actual| scalars_equal(item, actual)) {
                    let actual = Value::Array(actual.to_vec()).to_string();
                    self.differences.push(Difference {
                        path: format!("{path}[{index}]"),
                        expected: item.to_string(),
                        actual,
                    });
                }
            }
        } else {
            for (index, item) in expected.iter().enumerate() {
                let path = format!("{path}[{index}]");
                match actual.get(index) {
                    Some(actual) => self.value(path, item, Some(actual)),
                    None => self.absent(path, item),
                }
            }
        }
        if expected.is_empty() && !actual.is_empty() {
            self.leaves += 1;
            let actual = format!("{} items", actual.len());
            self.differences.push(Difference { path: path.to_owned(), expected: "[]".to_owned(), actual });
        }
    }

    fn absent(&mut self, path: String, expected: &Value) {
        self.leaves += 1;
        self.differences.push(Difference {
            path,
            expected: expected.to_string(),
            actual: "absent".to_owned(),
        });
    }
}

/// The first key that every item of both lists has, and by which no two of the expected are the same.
fn merge_key(expected: &[Value], actual: &[Value]) -> Option<&'static str> {
    MERGE_KEYS.into_iter().find(|key| {
        let scalar =
            |item: &Value| item.get(*key).is_some_and(|value| !value.is_object() && !value.is_array());
        let mut ids: Vec<String> = expected.iter().map(|item| item[*key].to_string()).collect();
        ids.sort();
        ids.dedup();
        !expected.is_empty() && ids.len() == expected.len() && expected.iter().chain(actual).all(scalar)
    })
}

/// Numbers are equal by value: 1 and 1.0.
fn scalars_equal(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(expected), Value::Number(actual)) => {
            expected == actual || expected.as_f64() == actual.as_f64()
        }
        (expected, actual) => expected == actual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(expected: Value, actual: Value, differences: &[&str]) {
        let (found, _) = compare(&expected, &actual);
        let found: Vec<String> =
            found.iter().map(|d| format!("{}: {} != {}", d.path, d.expected, d.actual)).collect();
        assert_eq!(found, differences);
    }

    #[test]
    fn a_partial_object_is_told_leaf_by_leaf() {
        let object = json!({
            "spec": {"replicas": 2, "containers": [{"name": "web", "image": "nginx"}, {"image": "x"}], "args": ["a"]},
            "status": {},
        });
        assert_eq!(
            in_words(&object),
            "spec.replicas: 2; spec.containers[name=web].name: \"web\"; spec.containers[name=web].image: \"nginx\"; \
             spec.containers[1].image: \"x\"; spec.args: [\"a\"]; status: {}"
        );
    }

    #[test]
    fn only_what_is_named_is_compared() {
        check(json!({"spec": {"replicas": 3}}), json!({"spec": {"replicas": 3, "paused": true}}), &[]);
        check(json!({"spec": {"replicas": 3}}), json!({"spec": {"replicas": 2}}), &["spec.replicas: 3 != 2"]);
        check(json!({"spec": {"nodeName": null}}), json!({"spec": {}}), &[]);
        check(json!({"a": 1, "b": 2}), json!({}), &["a: 1 != absent", "b: 2 != absent"]);
        check(json!({"weight": 1}), json!({"weight": 1.0}), &[]);
    }

    #[test]
    fn keyed_lists_are_compared_by_key() {
        let actual =
            json!({"containers": [{"name": "log", "image": "busybox"}, {"name": "web", "image": "nginx"}]});
        check(json!({"containers": [{"name": "web", "image": "nginx"}]}), actual.clone(), &[]);
        let expected = json!({"containers": [{"name": "web", "image": "httpd"}, {"name": "db"}]});
        let differences = [
            r#"containers[name=web].image: "httpd" != "nginx""#,
            r#"containers[name=db]: {"name":"db"} != absent"#,
        ];
        check(expected, actual, &differences);
        let conditions = json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]});
        check(json!({"conditions": [{"type": "Ready", "status": "True"}]}), conditions, &[]);
    }

    #[test]
    fn plain_lists_are_sets_and_other_lists_are_in_order() {
        check(json!(["b"]), json!(["a", "b"]), &[]);
        check(json!(["c"]), json!(["a"]), &[r#"[0]: "c" != ["a"]"#]);
        check(json!([]), json!(["a"]), &[": [] != 1 items"]);
        check(json!([{"x": 1}, {"x": 2}]), json!([{"x": 2}, {"x": 1}]), &["[0].x: 1 != 2", "[1].x: 2 != 1"]);
    }
}
