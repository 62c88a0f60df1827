//! What an expression may cost, and whether it speaks of fields that are not there: a walk over its tree with the types
//! and sizes of its variables. Counterparts: cel-go's checker and `checker.Cost`, as far as schemas of custom resources
//! need them.
//!
//! The same walk bounds an evaluation beforehand, with sizes taken from the values themselves: the evaluator cannot be
//! stopped, so what would take too long is not begun. An estimate is an upper bound: every loop, and every function that
//! can make much of little, is in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use serde_json::Value as Json;

/// What is known of a value before it is there.
#[derive(Debug, Clone)]
pub struct Type {
    form: Arc<Form>,
    /// Bytes of text and nodes of structure, at most.
    weight: f64,
    /// Elements of a list or a map, at most.
    count: f64,
}

#[derive(Debug)]
enum Form {
    Any,
    Text,
    Int,
    Double,
    Bool,
    /// With all of its fields.
    Object(BTreeMap<String, Type>),
    Map(Type),
    List(Type),
}

/// The bound of an expression, and what is known of its value.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// In cel-go's units: a step, or ten bytes of text looked at.
    pub cost: f64,
    pub value: Type,
}

/// What a walk refuses, and at which node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub id: u64,
    pub message: String,
}

impl Type {
    fn new(form: Form, weight: f64, count: f64) -> Type {
        Type { form: Arc::new(form), weight, count }
    }

    pub fn any(weight: f64) -> Type {
        Type::new(Form::Any, weight, weight)
    }

    pub fn text(bytes: f64) -> Type {
        Type::new(Form::Text, bytes, bytes)
    }

    pub fn int() -> Type {
        Type::new(Form::Int, 1.0, 0.0)
    }

    pub fn double() -> Type {
        Type::new(Form::Double, 1.0, 0.0)
    }

    pub fn bool() -> Type {
        Type::new(Form::Bool, 1.0, 0.0)
    }

    /// An object that has no other fields than these.
    pub fn object(fields: BTreeMap<String, Type>) -> Type {
        let weight = 1.0 + fields.values().map(|field| field.weight).sum::<f64>();
        let count = fields.len() as f64;
        Type::new(Form::Object(fields), weight, count)
    }

    pub fn map(value: Type, count: f64) -> Type {
        let weight = 1.0 + count * (value.weight + 1.0);
        Type::new(Form::Map(value), weight, count)
    }

    pub fn list(item: Type, count: f64) -> Type {
        let weight = 1.0 + count * item.weight;
        Type::new(Form::List(item), weight, count)
    }

    /// Of a value that is there. Fields that it lacks are not known to be lacking.
    pub fn of(value: &Json) -> Type {
        match value {
            Json::Null => Type::any(1.0),
            Json::Bool(_) => Type::bool(),
            Json::Number(number) if number.is_f64() => Type::double(),
            Json::Number(_) => Type::int(),
            Json::String(text) => Type::text(text.len() as f64),
            Json::Array(items) => {
                let item = items.iter().map(Type::of).reduce(Type::or).unwrap_or_else(|| Type::any(0.0));
                Type::list(item, items.len() as f64)
            }
            Json::Object(fields) => {
                let keys = fields.keys().map(String::len).sum::<usize>() as f64;
                let value = fields.values().map(Type::of).reduce(Type::or).unwrap_or_else(|| Type::any(0.0));
                let mut map = Type::map(value, fields.len() as f64);
                map.weight += keys;
                map
            }
        }
    }

    /// The same, known to weigh no more than that.
    pub fn at_most(mut self, weight: f64) -> Type {
        self.weight = self.weight.min(weight);
        self
    }

    /// What holds of both.
    fn or(self, other: Type) -> Type {
        let (weight, count) = (self.weight.max(other.weight), self.count.max(other.count));
        let form = match (&*self.form, &*other.form) {
            (Form::Text, Form::Text)
            | (Form::Int, Form::Int)
            | (Form::Double, Form::Double)
            | (Form::Bool, Form::Bool) => return Type { weight, count, ..self },
            (Form::Map(left), Form::Map(right)) => Form::Map(left.clone().or(right.clone())),
            (Form::List(left), Form::List(right)) => Form::List(left.clone().or(right.clone())),
            _ => Form::Any,
        };
        Type::new(form, weight, count)
    }

    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Whether it is known to be no truth value.
    pub fn is_no_bool(&self) -> bool {
        !matches!(*self.form, Form::Any | Form::Bool)
    }

    pub fn is_no_text(&self) -> bool {
        !matches!(*self.form, Form::Any | Form::Text)
    }

    fn name(&self) -> Option<&'static str> {
        match &*self.form {
            Form::Text => Some("string"),
            Form::Int => Some("int"),
            Form::Double => Some("double"),
            Form::Bool => Some("bool"),
            _ => None,
        }
    }

    /// An element, of whatever this has elements.
    fn element(&self) -> Type {
        match &*self.form {
            Form::List(item) | Form::Map(item) => item.clone(),
            _ => Type::any(self.weight),
        }
    }
}

/// The variables, the innermost last.
pub(crate) struct Walk {
    pub variables: Vec<(String, Type)>,
    /// Whether what cel-go does without looking at every byte counts, too.
    pub counts_bytes: bool,
}

const FREE: f64 = 0.0;
const STEP: f64 = 1.0;
const PER_BYTE: f64 = 0.1;

impl Walk {
    pub fn expression(&mut self, node: &IdedExpr) -> Result<Estimate, Refusal> {
        let known = |cost: f64, value: Type| Ok(Estimate { cost, value });
        match &node.expr {
            Expr::Unspecified => known(FREE, Type::any(0.0)),
            Expr::Literal(literal) => known(FREE, of_literal(literal)),
            Expr::Ident(name) => match self.variables.iter().rev().find(|(own, _)| own == name) {
                Some((_, value)) => known(STEP, value.clone()),
                // Types stand for themselves: `type(x) == string`.
                None if is_type(name) => known(STEP, Type::any(1.0)),
                None => {
                    let message = format!("undeclared reference to '{name}' (in container '')");
                    Err(Refusal { id: node.id, message })
                }
            },
            Expr::Select(select) => {
                if let Expr::Ident(namespace) = &select.operand.expr
                    && matches!(
                        namespace.as_str(),
                        "google" | "optional" | "math" | "strings" | "sets" | "base64"
                    )
                    && !self.variables.iter().any(|(name, _)| name == namespace)
                {
                    return known(STEP, Type::any(1.0));
                }
                let operand = self.expression(&select.operand)?;
                let field = field_of(&operand.value, &select.field);
                let field = self.permitted(node.id, field, || Type::any(operand.value.weight))?;
                known(operand.cost + STEP, if select.test { Type::bool() } else { field })
            }
            Expr::List(list) => {
                let mut cost = 10.0;
                let mut all: Option<Type> = None;
                let mut weight = 1.0;
                for element in &list.elements {
                    let element = self.expression(element)?;
                    cost += element.cost;
                    weight += element.value.weight;
                    all = Some(match all {
                        Some(all) => all.or(element.value),
                        None => element.value,
                    });
                }
                let mut value = Type::list(all.unwrap_or_else(|| Type::any(0.0)), list.elements.len() as f64);
                value.weight = weight;
                known(cost, value)
            }
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr), 30.0),
            Expr::Struct(of) => self.entries(of.entries.iter().map(|entry| &entry.expr), 40.0),
            Expr::Comprehension(loops) => self.comprehension(loops),
            Expr::Call(call) => self.call(node.id, call),
        }
    }

    fn entries<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a EntryExpr>,
        base: f64,
    ) -> Result<Estimate, Refusal> {
        let (mut cost, mut weight) = (base, 1.0);
        for entry in entries {
            let parts = match entry {
                EntryExpr::StructField(field) => vec![&field.value],
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            };
            for part in parts {
                let part = self.expression(part)?;
                cost += part.cost;
                weight += part.value.weight;
            }
        }
        Ok(Estimate { cost, value: Type::any(weight) })
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Result<Estimate, Refusal> {
        let range = self.expression(&loops.iter_range)?;
        let start = self.expression(&loops.accu_init)?;
        let rounds = range.value.count;
        let depth = self.variables.len();
        let is_map = matches!(*range.value.form, Form::Map(_) | Form::Object(_));
        let (first, second) = match (&loops.iter_var2, is_map) {
            (None, true) => (Type::text(range.value.weight), None),
            (None, false) => (range.value.element(), None),
            (Some(_), true) => (Type::text(range.value.weight), Some(range.value.element())),
            (Some(_), false) => (Type::int(), Some(range.value.element())),
        };
        self.variables.push((loops.iter_var.clone(), first));
        if let (Some(name), Some(second)) = (&loops.iter_var2, second) {
            self.variables.push((name.clone(), second));
        }
        self.variables.push((loops.accu_var.clone(), start.value.clone()));
        let condition = self.expression(&loops.loop_cond)?;
        let step = self.expression(&loops.loop_step)?;
        // What a round adds, all rounds add.
        let grown = |from: f64, to: f64| from + rounds * (to - from).max(0.0);
        let mut value = step.value.clone();
        value.weight = grown(start.value.weight, step.value.weight);
        value.count = grown(start.value.count, step.value.count);
        self.variables.pop();
        self.variables.push((loops.accu_var.clone(), value));
        let result = self.expression(&loops.result)?;
        self.variables.truncate(depth);
        let cost = range.cost + start.cost + rounds * (condition.cost + step.cost) + result.cost;
        Ok(Estimate { cost, value: result.value })
    }

    /// With the values at hand nothing is refused: the evaluation itself finds what does not fit.
    fn permitted<T>(
        &self,
        id: u64,
        found: Result<T, String>,
        otherwise: impl FnOnce() -> T,
    ) -> Result<T, Refusal> {
        match found {
            Err(_) if self.counts_bytes => Ok(otherwise()),
            found => found.map_err(|message| Refusal { id, message }),
        }
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Result<Estimate, Refusal> {
        let is_namespace = |node: &IdedExpr| {
            matches!(&node.expr, Expr::Ident(name)
                if matches!(name.as_str(), "optional" | "math" | "strings" | "sets" | "base64" | "lists"))
        };
        let target = call.target.as_deref().filter(|target| !is_namespace(target));
        let mut arguments = Vec::new();
        let mut cost = STEP;
        for argument in target.into_iter().chain(&call.args) {
            let argument = self.expression(argument)?;
            cost += argument.cost;
            arguments.push(argument.value);
        }
        if self.counts_bytes {
            cost += arguments.iter().map(Type::weight).sum::<f64>() * PER_BYTE;
        }
        let function = call.func_name.as_str();
        let weight: f64 = arguments.iter().map(Type::weight).sum();
        let outcome = outcome(function, &arguments);
        let (extra, value) = self.permitted(id, outcome, || (weight, Type::any(weight)))?;
        Ok(Estimate { cost: cost + extra, value })
    }
}

/// What a function costs beside its arguments, and what it gives.
fn outcome(function: &str, arguments: &[Type]) -> Result<(f64, Type), String> {
    let weight: f64 = arguments.iter().map(|argument| argument.weight).sum();
    let scanned = weight * PER_BYTE;
    Ok(match (function, arguments) {
        (operators::CONDITIONAL, [_, yes, no]) => (FREE, yes.clone().or(no.clone())),
        (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => (FREE, Type::bool()),
        (operators::NOT_STRICTLY_FALSE, _) => (FREE, Type::bool()),
        (
            operators::EQUALS
            | operators::NOT_EQUALS
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            [left, right],
        ) => {
            is_comparable(function, left, right)?;
            (left.weight.min(right.weight) * PER_BYTE, Type::bool())
        }
        (operators::IN, [_, of]) => (of.weight, Type::bool()),
        (operators::ADD, [left, right]) => {
            is_comparable(function, left, right)?;
            let mut sum = left.clone().or(right.clone());
            if !matches!(*sum.form, Form::Int | Form::Double) {
                sum.weight = left.weight + right.weight;
                sum.count = left.count + right.count;
            }
            (scanned, sum)
        }
        (
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
            [left, right],
        ) => {
            is_comparable(function, left, right)?;
            (FREE, left.clone().or(right.clone()))
        }
        (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, [of, _]) => (FREE, of.element()),
        (operators::NEGATE, [number]) => (FREE, number.clone()),
        ("size" | "int", _) => (FREE, Type::int()),
        ("indexOf" | "lastIndexOf", _) => (scanned, Type::int()),
        ("startsWith" | "endsWith", [_, part]) => (part.weight * PER_BYTE, Type::bool()),
        ("double", _) => (FREE, Type::double()),
        ("bool" | "hasValue" | "contains" | "isSorted", _) => (scanned, Type::bool()),
        ("matches" | "find" | "findAll", [text, pattern]) => {
            let cost = (1.0 + text.weight * PER_BYTE) * (1.0 + pattern.weight * 0.25);
            match function {
                "matches" => (cost, Type::bool()),
                "find" => (cost, Type::text(text.weight)),
                _ => (cost, Type::list(Type::text(text.weight), text.weight)),
            }
        }
        ("replace", [text, _, by, ..]) => {
            let weight = (text.weight + 1.0) * (by.weight + 1.0);
            (weight * PER_BYTE, Type::text(weight))
        }
        ("join", [list]) => (scanned, Type::text(list.weight)),
        ("join", [list, by]) => {
            let weight = list.weight + list.count * by.weight;
            (weight * PER_BYTE, Type::text(weight))
        }
        ("split", [text, ..]) => {
            let mut list = Type::list(Type::text(text.weight), text.weight + 1.0);
            list.weight = 2.0 * text.weight + 2.0;
            (scanned, list)
        }
        ("quote" | "format", _) => (scanned, Type::text(weight * 4.0 + 64.0)),
        ("string" | "substring" | "trim" | "lowerAscii" | "upperAscii" | "reverse" | "charAt", _) => {
            (scanned, Type::any(weight + 32.0))
        }
        _ => (scanned + weight, Type::any(weight * 2.0 + 64.0)),
    })
}

/// Types that are known to differ have no operator between them; numbers compare whatever they are.
fn is_comparable(operator: &str, left: &Type, right: &Type) -> Result<(), String> {
    let (Some(first), Some(second)) = (left.name(), right.name()) else { return Ok(()) };
    let is_number = |name: &str| matches!(name, "int" | "double");
    let orders = matches!(
        operator,
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS
    );
    if first == second || orders && is_number(first) && is_number(second) {
        return Ok(());
    }
    Err(format!("found no matching overload for '{operator}' applied to '({first}, {second})'"))
}

fn field_of(of: &Type, name: &str) -> Result<Type, String> {
    match &*of.form {
        Form::Object(fields) => fields.get(name).cloned().ok_or_else(|| format!("undefined field '{name}'")),
        Form::Map(value) => Ok(value.clone()),
        Form::Any => Ok(Type::any(of.weight)),
        _ => Err("type does not support field selection".to_owned()),
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::bool(),
        LiteralValue::Double(_) => Type::double(),
        LiteralValue::Int(_) => Type::int(),
        LiteralValue::String(text) => Type::text(text.inner().len() as f64),
        LiteralValue::Bytes(_) | LiteralValue::UInt(_) | LiteralValue::Null => Type::any(1.0),
    }
}

fn is_type(name: &str) -> bool {
    const TYPES: [&str; 11] = [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "optional_type",
        "string",
        "type",
        "uint",
    ];
    TYPES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, ExprError};
    use serde_json::json;

    fn items(count: f64) -> Type {
        let item = Type::object(BTreeMap::from([("name".to_owned(), Type::text(10.0))]));
        let fields = [("items", Type::list(item, count)), ("size", Type::int()), ("text", Type::text(100.0))];
        Type::object(fields.into_iter().map(|(name, of)| (name.to_owned(), of)).collect())
    }

    fn estimate(source: &str, count: f64) -> Result<f64, String> {
        let compiled = Environment::rules().compile(source).map_err(|error| error.to_string())?;
        match compiled.estimate(&[("self", items(count))]) {
            Ok(found) => Ok(found.cost),
            Err(ExprError::Compile { message, offset }) => {
                Err(format!("{message} at {}", offset.unwrap_or_default()))
            }
            Err(other) => Err(other.to_string()),
        }
    }

    #[test]
    fn loops_multiply() {
        let once = estimate("self.items.all(x, x.name != '')", 100.0).unwrap();
        assert!((200.0..2_000.0).contains(&once), "{once}");
        let twice = estimate("self.items.all(x, self.items.all(y, x.name != y.name))", 100.0).unwrap();
        assert!((20_000.0..200_000.0).contains(&twice), "{twice}");
        assert!(estimate("self.size > 1", 1e9).unwrap() < 10.0);
    }

    #[test]
    fn what_makes_much_of_little_is_seen() {
        let doubled = format!("[self.text]{}.size() > 1", ".map(x, x + x)".repeat(60));
        assert!(estimate(&doubled, 1.0).unwrap() > 1e12);
        let replaced = format!("self.text{} == ''", ".replace('a', 'aaaaaaaaaa')".repeat(30));
        assert!(estimate(&replaced, 1.0).unwrap() > 1e12);
    }

    #[test]
    fn what_is_not_there_is_told_with_its_place() {
        let check = |source: &str, expected: &str| assert_eq!(estimate(source, 1.0).unwrap_err(), expected);
        check("self.sise > 1", "undefined field 'sise' at 4");
        check("self.items.exists(x, x.nam == 'a')", "undefined field 'nam' at 22");
        check("other > 1", "undeclared reference to 'other' (in container '') at 0");
        check("self.size == 'a'", "found no matching overload for '_==_' applied to '(int, string)' at 10");
        check("self.size.x", "type does not support field selection at 9");
        assert!(estimate("has(self.size) && type(self.size) == int", 1.0).is_ok());
        assert!(estimate("self.items.map(x, x.name).exists_one(n, n == 'a')", 1.0).is_ok());
    }

    #[test]
    fn a_value_is_its_own_bound() {
        let value = json!({"a": [{"b": "xyz"}, {"b": "x", "c": 1}], "d": 2});
        let of = Type::of(&value);
        assert!(of.weight >= 5.0 && of.weight < 100.0, "{of:?}");
        let compiled = Environment::rules().compile("self.a.all(x, has(x.c) && x.zap == 1)").unwrap();
        assert!(compiled.estimate(&[("self", of)]).unwrap().cost < 100.0);
    }
}
