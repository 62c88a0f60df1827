//! Kubernetes' own functions for rules: of lists and of regular expressions.
//! Counterpart: `k8s.io/apiserver/pkg/cel/library`.

use cel::common::types::{CelBool, CelInt, CelString, DYN_TYPE, LIST_TYPE, STRING_TYPE};
use cel::common::value::{CowVal, Val};
use cel::objects::Value;
use cel::{DeclarationError, Env, ExecutionError};
use regex::RegexBuilder;

/// The most memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

type Found<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(crate) fn extend(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload("isSorted", "list_is_sorted", LIST_TYPE, vec![], is_sorted)?;
    env.add_member_overload("sum", "list_sum", LIST_TYPE, vec![], sum)?;
    env.add_member_overload("min", "list_min", LIST_TYPE, vec![], min)?;
    env.add_member_overload("max", "list_max", LIST_TYPE, vec![], max)?;
    env.add_member_overload("indexOf", "list_index_of", LIST_TYPE, vec![DYN_TYPE], index_of)?;
    env.add_member_overload("lastIndexOf", "list_last_index_of", LIST_TYPE, vec![DYN_TYPE], last_index_of)?;
    env.add_member_overload("find", "string_find", STRING_TYPE, vec![STRING_TYPE], find)?;
    env.add_member_overload("findAll", "string_find_all", STRING_TYPE, vec![STRING_TYPE], find_all)
}

fn failed(function: &str, why: &str) -> ExecutionError {
    ExecutionError::function_error(function, why)
}

/// The elements of the list that a function is called on.
fn items(arguments: &[CowVal<'_, '_>]) -> Result<Vec<Value>, ExecutionError> {
    match Value::try_from(arguments[0].as_ref())? {
        Value::List(items) => Ok(items.to_vec()),
        _ => Err(failed("list", "is no list")),
    }
}

fn text(arguments: &[CowVal<'_, '_>], index: usize) -> Result<String, ExecutionError> {
    match Value::try_from(arguments[index].as_ref())? {
        Value::String(text) => Ok(text.to_string()),
        _ => Err(failed("string", "is no string")),
    }
}

fn given<'b, 'v>(value: Value) -> Found<'b, 'v> {
    let value: Box<dyn Val> = value.try_into()?;
    Ok(CowVal::Owned(value))
}

fn is_sorted<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    let items = items(&arguments)?;
    let sorted =
        items.windows(2).all(|pair| pair[0].partial_cmp(&pair[1]).is_some_and(|order| order.is_le()));
    Ok(CowVal::owned(CelBool::from(sorted)))
}

fn sum<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    let mut total = Value::Int(0);
    for (index, item) in items(&arguments)?.into_iter().enumerate() {
        total = match (total, item) {
            (_, first) if index == 0 => first,
            (Value::Int(left), Value::Int(right)) => {
                Value::Int(left.checked_add(right).ok_or_else(|| failed("sum", "integer overflow"))?)
            }
            (Value::Float(left), Value::Float(right)) => Value::Float(left + right),
            _ => return Err(failed("sum", "no such overload")),
        };
    }
    given(total)
}

fn extreme(
    name: &str,
    arguments: &[CowVal<'_, '_>],
    wanted: std::cmp::Ordering,
) -> Result<Value, ExecutionError> {
    let mut all = items(arguments)?.into_iter();
    let mut best = all.next().ok_or_else(|| failed(name, &format!("{name} called on empty list")))?;
    for item in all {
        if item.partial_cmp(&best) == Some(wanted) {
            best = item;
        }
    }
    Ok(best)
}

fn min<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    given(extreme("min", &arguments, std::cmp::Ordering::Less)?)
}

fn max<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    given(extreme("max", &arguments, std::cmp::Ordering::Greater)?)
}

fn place(found: Option<usize>) -> i64 {
    found.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
}

fn index_of<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    let wanted = Value::try_from(arguments[1].as_ref())?;
    Ok(CowVal::owned(CelInt::from(place(items(&arguments)?.iter().position(|item| *item == wanted)))))
}

fn last_index_of<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    let wanted = Value::try_from(arguments[1].as_ref())?;
    Ok(CowVal::owned(CelInt::from(place(items(&arguments)?.iter().rposition(|item| *item == wanted)))))
}

fn pattern(arguments: &[CowVal<'_, '_>]) -> Result<regex::Regex, ExecutionError> {
    let pattern = text(arguments, 1)?;
    let built = RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|_| failed("find", &format!("Illegal regex: {pattern}")))
}

fn find<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    let (pattern, text) = (pattern(&arguments)?, text(&arguments, 0)?);
    let found = pattern.find(&text).map_or("", |found| found.as_str());
    Ok(CowVal::owned(CelString::from(found.to_owned())))
}

fn find_all<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Found<'b, 'v> {
    let (pattern, text) = (pattern(&arguments)?, text(&arguments, 0)?);
    let found = pattern.find_iter(&text).map(|found| Value::from(found.as_str().to_owned()));
    given(Value::List(found.collect::<Vec<Value>>().into()))
}

#[cfg(test)]
mod tests {
    use crate::{Binding, Environment};
    use serde_json::json;

    #[track_caller]
    fn check(source: &str, expected: serde_json::Value) {
        let compiled = Environment::rules().compile(source).unwrap();
        let value = json!({"numbers": [3, 1, 2], "names": ["a", "b", "a"], "text": "a1b22"});
        assert_eq!(compiled.eval_rule(&[("self", Binding::Value(&value))]).unwrap(), expected, "{source}");
    }

    #[test]
    fn kubernetes_functions_work_on_lists_and_text() {
        check("self.numbers.sum()", json!(6));
        check("self.numbers.min() == 1 && self.numbers.max() == 3", json!(true));
        check("self.numbers.isSorted()", json!(false));
        check(
            "self.names.indexOf('a') == 0 && self.names.lastIndexOf('a') == 2 && self.names.indexOf('z') == -1",
            json!(true),
        );
        check("self.text.find('[0-9]+')", json!("1"));
        check("self.text.findAll('[0-9]+')", json!(["1", "22"]));
        check("self.names.map(n, n.upperAscii()).join(',')", json!("A,B,A"));
    }

    #[test]
    fn an_old_value_may_be_optional() {
        let compiled = Environment::rules().compile("oldSelf.optMap(o, o + 1).orValue(0) == 3").unwrap();
        let old = json!(2);
        assert_eq!(compiled.eval_rule(&[("oldSelf", Binding::Optional(Some(&old)))]).unwrap(), json!(true));
        let compiled = Environment::rules().compile("oldSelf.hasValue()").unwrap();
        assert_eq!(compiled.eval_rule(&[("oldSelf", Binding::Optional(None))]).unwrap(), json!(false));
    }

    #[test]
    fn bombs_are_refused_when_they_are_compiled() {
        assert!(Environment::rules().compile("'%.1000000000f'.format([1.0]) == ''").is_err());
        assert!(Environment::rules().compile(&"(".repeat(1000)).is_err());
        assert!(Environment::rules().compile("self.text.find('((a{500}){500}){500}') == ''").is_ok());
    }
}
