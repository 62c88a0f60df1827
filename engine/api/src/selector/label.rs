//! `app=web,tier in (a,b),!legacy`. Counterparts: `k8s.io/apimachinery/pkg/labels`,
//! `metav1.LabelSelectorAsSelector`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::parser;
use crate::validation::{is_qualified_name, is_valid_label_value};

/// Requirements on labels, which must all hold; sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// One requirement on the label `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: BTreeSet<String>,
}

/// How a requirement relates a label to its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// `metav1.LabelSelector`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

/// `metav1.LabelSelectorRequirement`.
#[derive(Deserialize)]
struct Expression {
    #[serde(default)]
    key: String,
    #[serde(default)]
    operator: String,
    values: Option<BTreeSet<String>>,
}

impl LabelSelector {
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// What a null `labelSelector` in an object means.
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// Parses the text of `kubectl -l` and of the query parameter `labelSelector`.
    pub fn parse(text: &str) -> Result<LabelSelector, String> {
        parser::requirements(text).map(LabelSelector::of)
    }

    /// Reads `{matchLabels, matchExpressions}`. Null selects nothing, an empty object everything.
    pub fn from_value(match_labels_and_expressions: &Value) -> Result<LabelSelector, String> {
        if match_labels_and_expressions.is_null() {
            return Ok(LabelSelector::nothing());
        }
        let Shape { match_labels, match_expressions } =
            Shape::deserialize(match_labels_and_expressions).map_err(|error| error.to_string())?;
        let mut requirements = Vec::new();
        for (key, value) in match_labels.unwrap_or_default() {
            requirements.push(Requirement::new(&key, Operator::Equals, BTreeSet::from([value]))?);
        }
        for Expression { key, operator, values } in match_expressions.unwrap_or_default() {
            let operator = match operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            requirements.push(Requirement::new(&key, operator, values.unwrap_or_default())?);
        }
        Ok(LabelSelector::of(requirements))
    }

    /// Selects objects that have all these labels, like `spec.selector` of a Service. No label: everything.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> LabelSelector {
        let equals = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: BTreeSet::from([value.clone()]),
        };
        LabelSelector::of(labels.iter().map(equals).collect())
    }

    fn of(mut requirements: Vec<Requirement>) -> LabelSelector {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        LabelSelector { requirements, nothing: false }
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Requirement {
    /// Checks key, number of values and their syntax.
    pub fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Requirement, String> {
        let mut errors = Vec::new();
        let key_errors = is_qualified_name(key);
        if !key_errors.is_empty() {
            errors.push(format!("key: Invalid value: {key:?}: {}", key_errors.join("; ")));
        }
        if let Some(error) = operator.wrong_count(values.len()) {
            errors.push(format!("values: Invalid value: {}: {error}", go_list(&values)));
        }
        for (index, value) in values.iter().enumerate() {
            let is_order = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if is_order && value.parse::<i64>().is_err() {
                let error = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(format!("values[{index}]: Invalid value: {value:?}: {error}"));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let value_errors = is_valid_label_value(value);
            if !value_errors.is_empty() {
                let error = value_errors.join("; ");
                errors.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {error}"));
            }
        }
        match errors.as_slice() {
            [] => Ok(Requirement { key: key.to_owned(), operator, values }),
            [error] => Err(error.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let order = |holds: fn(&i64, &i64) -> bool| {
            let label = value.and_then(|value| value.parse().ok());
            let bound = self.values.first().and_then(|bound| bound.parse().ok());
            label.zip(bound).is_some_and(|(label, bound)| holds(&label, &bound))
        };
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => {
                value.is_some_and(|value| self.values.contains(value))
            }
            Operator::NotEquals | Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => order(i64::gt),
            Operator::LessThan => order(i64::lt),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl Operator {
    fn wrong_count(self, count: usize) -> Option<&'static str> {
        match self {
            Operator::In | Operator::NotIn => {
                (count == 0).then_some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
                (count != 1).then_some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist => {
                (count != 0).then_some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan => {
                (count != 1).then_some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
        }
    }
}

/// A Go slice of strings as upstream's messages print it.
fn go_list(values: &BTreeSet<String>) -> String {
    if values.is_empty() {
        return "[]string(nil)".to_owned();
    }
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = LabelSelector::parse(text).map(|selector| selector.to_string());
        assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn selectors_are_shown_sorted_by_key() {
        check("", Ok(""));
        check("x=a,y=b,z=c", Ok("x=a,y=b,z=c"));
        check("z=c , x==a", Ok("x==a,z=c"));
        check("env in (b, a),tier!=db,!legacy,x", Ok("env in (a,b),!legacy,tier!=db,x"));
        check("x notin ()", Ok("x notin ()"));
        check("x in (a,,b)", Ok("x in (,a,b)"));
        check("x in (,a)", Ok("x in (,a)"));
        check("x in (a,)", Ok("x in (,a)"));
        check("x=", Ok("x="));
        check("x>1,y<3", Ok("x>1,y<3"));
        check("in in (in)", Ok("in in (in)"));
        check("app.kubernetes.io/name=web", Ok("app.kubernetes.io/name=web"));
    }

    #[test]
    fn what_is_no_selector_is_refused_in_upstreams_words() {
        check("x,", Err("found '', expected: identifier after ','"));
        check("x=a b", Err("found 'b', expected: ',' or 'end of string'"));
        check(",x", Err("found ',', expected: !, identifier, or 'end of string'"));
        check("x in a", Err("unable to parse requirement: found 'a' expected: '('"));
        check("x in (a", Err("unable to parse requirement: found '', expected: ',' or ')'"));
        check("x=(", Err("unable to parse requirement: found '(', expected: identifier"));
        check("!", Err("unable to parse requirement: found '', expected: identifier"));
        check("x y", Err("unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"));
        check(
            "x>a",
            Err(
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the \
                 value must be an integer",
            ),
        );
        let error = LabelSelector::parse("_x=a").unwrap_err();
        assert!(
            error.starts_with("unable to parse requirement: <nil>: Invalid value: \"_x\": name part must")
        );
        let error = LabelSelector::parse("x=a_").unwrap_err();
        assert!(
            error.starts_with(
                "unable to parse requirement: values[0][x]: Invalid value: \"a_\": a valid label"
            )
        );
    }

    #[track_caller]
    fn check_match(selector: &str, matches: bool) {
        let labels = BTreeMap::from([("app", "web"), ("tier", "2")]);
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(LabelSelector::parse(selector).unwrap().matches(&labels), matches, "{selector}");
    }

    #[test]
    fn every_operator_matches_as_it_says() {
        check_match("", true);
        check_match("app=web", true);
        check_match("app==api", false);
        check_match("app!=api,other!=x", true);
        check_match("app in (api,web)", true);
        check_match("app notin (web)", false);
        check_match("other notin (web)", true);
        check_match("other in (web)", false);
        check_match("app,!other", true);
        check_match("!app", false);
        check_match("tier>1,tier<3", true);
        check_match("tier>2", false);
        check_match("app>2", false);
    }

    #[test]
    fn selectors_of_objects_are_read() {
        let selector = LabelSelector::from_value(&json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "x", "operator": "DoesNotExist"}]
        }));
        assert_eq!(selector.unwrap().to_string(), "app=web,tier in (a,b),!x");
        assert!(LabelSelector::from_value(&json!({})).unwrap().is_everything());
        let nothing = LabelSelector::from_value(&Value::Null).unwrap();
        assert!(!nothing.matches(&BTreeMap::new()) && !nothing.is_everything());
        for wrong in [json!("app=web"), json!({"matchLabels": {"app": 1}}), json!({"matchExpressions": {}})] {
            LabelSelector::from_value(&wrong).unwrap_err();
        }
        assert_eq!(
            LabelSelector::from_value(&json!({"matchExpressions": [{"key": "x", "operator": "in"}]}))
                .unwrap_err(),
            "\"in\" is not a valid label selector operator"
        );
        assert_eq!(
            LabelSelector::from_value(&json!({"matchExpressions": [{"key": "x", "operator": "In"}]}))
                .unwrap_err(),
            "values: Invalid value: []string(nil): for 'in', 'notin' operators, values set can't be empty"
        );
    }
}
