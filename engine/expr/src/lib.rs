//! CEL over JSON, as the labs' conditions, checks and answers use it.
//!
//! The language is the `cel` crate's, with its strings, lists, math and encoders extensions and optional
//! values. [`Environment::rules`] is what rules of custom resources may use: Kubernetes' libraries of lists and regular
//! expressions, and [`Expression::estimate`] in place of a type checker. An expression's size is bounded, and so is
//! what an evaluation costs: `budget`. Absent: Kubernetes' libraries of URLs, addresses, quantities and formats.
//!
//! Invariant: an evaluation is a pure function of its variables. Error texts name values as JSON, because
//! CEL's maps print in an order of their own.

mod budget;
mod estimate;
mod kubernetes;

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::common::types::CelOptional;
use cel::common::value::Val;
use serde_json::Value as Json;

pub use estimate::{Estimate, Type};

/// Longest expression, in bytes: what the recursive parser takes without care for the stack.
const SOURCE_MAX: usize = 4096;
/// Deepest nesting of brackets.
const NESTING_MAX: usize = 64;

/// What expressions may use: the standard library and the extensions.
#[derive(Clone)]
pub struct Environment {
    env: Arc<cel::Env>,
}

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<cel::Program>,
    /// As it is evaluated: its loops count their turns.
    root: Arc<cel::IdedExpr>,
    variables: Arc<[String]>,
    env: Arc<cel::Env>,
}

/// Why an expression does not compile, or has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    #[error("{message}")]
    Compile {
        message: String,
        /// Byte offset into the source, where the parser names one.
        offset: Option<usize>,
    },
    #[error("{0}")]
    Evaluate(String),
}

impl Default for Environment {
    fn default() -> Environment {
        Environment::new()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl Environment {
    pub fn new() -> Environment {
        use cel::extensions::{encoders, lists, math, strings};
        let mut env = cel::Env::stdlib();
        let added = env
            .add_extension(strings)
            .and_then(|_| env.add_extension(lists))
            .and_then(|_| env.add_extension(math))
            .and_then(|_| env.add_extension(encoders));
        added.map(drop).expect("the extensions do not overlap");
        Environment { env: Arc::new(env) }
    }

    /// What the rules of custom resources may use. Nothing in it makes a large value of a number.
    pub fn rules() -> Environment {
        let mut env = cel::Env::stdlib();
        let added = env.add_extension(cel::extensions::strings).and_then(|_| kubernetes::extend(&mut env));
        added.expect("the extensions do not overlap");
        Environment { env: Arc::new(env) }
    }

    pub fn compile(&self, source: &str) -> Result<Expression, ExprError> {
        let refused = |message: String| Err(ExprError::Compile { message, offset: None });
        if source.trim().is_empty() {
            return refused("the expression is empty".to_owned());
        }
        if source.len() > SOURCE_MAX {
            return refused(format!(
                "the expression has {} bytes; at most {SOURCE_MAX} are allowed",
                source.len()
            ));
        }
        if nesting(source) > NESTING_MAX {
            return refused(format!("brackets are nested more than {NESTING_MAX} deep"));
        }
        if wide_format(source) {
            return refused("a format asks for more digits than a number has".to_owned());
        }
        let program = self.env.compile(source).map_err(|errors| compile_error(source, &errors))?;
        let references = program.references();
        let named = references.variables().into_iter().filter(|name| !name.starts_with('@'));
        let mut variables: Vec<String> = named.map(str::to_owned).collect();
        variables.sort();
        let root = Arc::new(budget::metered(program.expression().clone()));
        Ok(Expression {
            source: source.to_owned(),
            program: Arc::new(program),
            root,
            variables: variables.into(),
            env: self.env.clone(),
        })
    }
}

impl Expression {
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables that occur, sorted; those that `map` or `all` bind are among them.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Whether the expression can see that field of a variable: not if it takes other fields only.
    pub fn reads(&self, variable: &str, field: &str) -> bool {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        self.source.match_indices(variable).any(|(at, _)| {
            let (before, after) = (&self.source[..at], &self.source[at + variable.len()..]);
            if before.ends_with(|letter| is_word(letter) || letter == '.') || after.starts_with(is_word) {
                return false;
            }
            let name = after.strip_prefix('.').filter(|rest| rest.starts_with(is_word));
            let taken = name.map(|rest| &rest[..rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())]);
            taken.is_none_or(|taken| taken == field)
        })
    }

    /// What the expression costs at most with variables of these types. Refused where it speaks of what is not there.
    pub fn estimate(&self, variables: &[(&str, Type)]) -> Result<Estimate, ExprError> {
        let variables = variables.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
        let found = estimate::Walk { variables, counts_bytes: false }.expression(self.program.expression());
        found.map_err(|refusal| {
            let start = self.program.source_info().offset_for(refusal.id).map(|(start, _)| start as usize);
            ExprError::Compile { message: refusal.message, offset: start }
        })
    }

    /// What an evaluation with variables of these sizes costs at most; infinite where that is not known.
    pub fn bound(&self, variables: &[(&str, Type)]) -> f64 {
        let variables = variables.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
        let found = estimate::Walk { variables, counts_bytes: true }.expression(self.program.expression());
        found.map_or(f64::INFINITY, |estimate| estimate.cost)
    }

    /// The value of a rule of a custom resource, with upstream's words where there is none.
    pub fn eval_rule(&self, variables: &[(&str, Binding<'_>)]) -> Result<Json, ExprError> {
        let mut context = cel::Context::with_env(self.env.clone());
        for (name, binding) in variables {
            match binding {
                Binding::Value(value) => context.add_variable_from_value(*name, to_cel(value)),
                Binding::Optional(value) => {
                    let held = value.and_then(|value| Box::<dyn Val>::try_from(to_cel(value)).ok());
                    let optional = held.map_or_else(CelOptional::none, CelOptional::of);
                    context.add_variable_as_val(*name, Box::new(optional));
                }
            }
        }
        let value =
            self.program.execute(&context).map_err(|error| ExprError::Evaluate(upstream_error(&error)))?;
        value.json().map_err(|_| ExprError::Evaluate("the value has no JSON form".to_owned()))
    }

    /// The expression's value with these variables.
    pub fn eval(&self, variables: &BTreeMap<String, Json>) -> Result<Json, ExprError> {
        self.eval_within(variables, budget::TURNS_MAX)
    }

    fn eval_within(&self, variables: &BTreeMap<String, Json>, turns: u64) -> Result<Json, ExprError> {
        let mut context = cel::Context::with_env(self.env.clone());
        for (name, value) in variables {
            context.add_variable_from_value(name.clone(), to_cel(value));
        }
        budget::grant(&mut context, turns);
        let value = cel::Value::resolve(&self.root, &context)
            .map_err(|error| ExprError::Evaluate(evaluate_error(&error)))?;
        value.json().map_err(|_| ExprError::Evaluate("the value has no JSON form".to_owned()))
    }
}

/// What a variable of a rule stands for.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    Value(&'a Json),
    Optional(Option<&'a Json>),
}

/// Whether a number is to be written with hundreds of digits: `%.1000f`.
fn wide_format(source: &str) -> bool {
    source.match_indices("%.").any(|(at, _)| {
        let digits = source[at + 2..].bytes().take_while(u8::is_ascii_digit).count();
        digits > 2
    })
}

/// cel-go's words.
fn upstream_error(error: &cel::ExecutionError) -> String {
    use cel::ExecutionError as E;
    match error {
        E::NoSuchKey(key) => format!("no such key: {key}"),
        E::NoSuchOverload(_) | E::UnsupportedBinaryOperator(..) | E::ValuesNotComparable(..) => {
            "no such overload".to_owned()
        }
        E::DivisionByZero(_) => "division by zero".to_owned(),
        E::RemainderByZero(_) => "modulus by zero".to_owned(),
        E::Overflow(..) => "integer overflow".to_owned(),
        E::IndexOutOfBounds(index) => format!("index out of bounds: {}", show(index)),
        other => evaluate_error(other),
    }
}

fn nesting(source: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for character in source.chars() {
        match character {
            '(' | '[' | '{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn compile_error(source: &str, errors: &cel::ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else {
        return ExprError::Compile { message: "not a CEL expression".to_owned(), offset: None };
    };
    let (line, column) =
        (usize::try_from(first.pos.0).unwrap_or(1), usize::try_from(first.pos.1).unwrap_or(1));
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let offset = (before + column.saturating_sub(1)).min(source.len());
    let message = first.msg.lines().next().unwrap_or_default().to_owned();
    ExprError::Compile { message, offset: Some(offset) }
}

/// The crate's own text, but never a map in its random order.
fn evaluate_error(error: &cel::ExecutionError) -> String {
    use cel::ExecutionError as E;
    match error {
        _ if budget::is_used_up(error) => budget::USED_UP.to_owned(),
        E::NoSuchKey(key) => format!("there is no field {key}"),
        E::UndeclaredReference(name) => format!("{name} is not known here"),
        E::NoSuchOverload(overload) => overload.to_string(),
        E::UnexpectedType { got, want } => format!("{want} is wanted where there is {got}"),
        E::FunctionError { function, message } => format!("{function}: {message}"),
        E::InvalidArgumentCount { expected, actual } => {
            format!("{expected} arguments are wanted, {actual} are given")
        }
        E::UnsupportedBinaryOperator(operator, left, right) => {
            format!("{operator} does not go between {} and {}", show(left), show(right))
        }
        E::ValuesNotComparable(left, right) => {
            format!("{} cannot be compared to {}", show(left), show(right))
        }
        E::DivisionByZero(_) | E::RemainderByZero(_) => "division by zero".to_owned(),
        _ => "the expression has no value for these inputs".to_owned(),
    }
}

fn show(value: &cel::objects::Value) -> String {
    value.json().map_or_else(|_| "a value".to_owned(), |json| json.to_string())
}

/// JSON to CEL. Whole numbers become `int`, never `uint`, so that arithmetic with literals works.
fn to_cel(value: &Json) -> cel::objects::Value {
    use cel::objects::Value;
    match value {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Json::Object(fields) => {
            #[expect(
                clippy::disallowed_types,
                reason = "the cel crate's map is one; nothing iterates it for output"
            )]
            let map: std::collections::HashMap<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), to_cel(field))).collect();
            map.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(source: &str, expected: Json) {
        let variables = BTreeMap::from([(
            "etcd".to_owned(),
            json!({"leader": {"name": "etcd2"}, "term": 3, "members": [{"name": "etcd1"}, {"name": "etcd2"}]}),
        )]);
        let compiled = Environment::new().compile(source).unwrap();
        assert_eq!(compiled.eval(&variables).unwrap(), expected, "{source}");
    }

    #[test]
    fn expressions_see_json() {
        check("etcd.leader.name", json!("etcd2"));
        check("etcd.term + 1", json!(4));
        check("etcd.term > 2 && etcd.members.exists(m, m.name == 'etcd1')", json!(true));
        check("etcd.members.map(m, m.name)", json!(["etcd1", "etcd2"]));
        check("etcd.?follower.orValue('none')", json!("none"));
        check("'a,b'.split(',')", json!(["a", "b"]));
    }

    #[test]
    fn variables_are_listed_in_order() {
        let compiled = Environment::new().compile("etcd.members.all(m, m.name != answers.leader)").unwrap();
        assert_eq!(compiled.variables(), ["answers", "etcd", "m"]);
    }

    #[test]
    fn a_field_is_read_where_it_is_named_or_the_whole_is_taken() {
        let reads = |source: &str| Environment::new().compile(source).unwrap().reads("etcd", "term");
        assert!(reads("etcd.term > 1") && reads("[1].map(m, etcd)[0].term > 1") && reads("etcd['term'] > 1"));
        assert!(reads("etcd.revision > 1 && etcd.term > 1"));
        assert!(!reads("etcd.terms > 1 && m.etcd.x == 1 && my_etcd == 1 && etcdctl == 1"));
    }

    #[test]
    fn a_bad_expression_says_where() {
        let error = Environment::new().compile("etcd.term >").unwrap_err();
        let ExprError::Compile { message, offset } = error else { panic!("compiled") };
        assert!(!message.is_empty());
        assert!(offset.is_some());
    }

    #[test]
    fn a_missing_field_is_named() {
        let compiled = Environment::new().compile("etcd.leader").unwrap();
        let error = compiled.eval(&BTreeMap::from([("etcd".to_owned(), json!({}))])).unwrap_err();
        assert_eq!(error.to_string(), "there is no field leader");
    }

    #[test]
    fn an_expression_that_runs_away_is_ended() {
        let list = json!((0..100).collect::<Vec<_>>());
        let variables = BTreeMap::from([("l".to_owned(), list)]);
        let environment = Environment::new();
        for source in [
            "l.all(a, l.all(b, l.all(c, a + b + c >= 0)))",
            "l.exists(a, l.exists(b, l.exists(c, a + b + c < 0)))",
            "l.map(a, l.map(b, l.map(c, a + b + c))).size() > 0",
            "l.filter(a, l.filter(b, a + b < 0).size() > 0).size() > 0",
            "l.exists_one(a, l.exists_one(b, a * b == 7))",
            "{'k': [l.map(a, l.filter(b, b > a).size())]}.size() == 1",
        ] {
            let error = environment.compile(source).unwrap().eval_within(&variables, 2_000).unwrap_err();
            assert_eq!(error.to_string(), budget::USED_UP, "{source}");
        }
        let fits = environment.compile("l.filter(a, a % 2 == 0).map(a, a + 1).exists(a, a == 99)").unwrap();
        assert_eq!(fits.eval_within(&variables, 2_000).unwrap(), json!(true));
    }

    #[test]
    fn oversized_and_deep_sources_are_refused() {
        let environment = Environment::new();
        assert!(environment.compile(&"1+".repeat(5000)).is_err());
        assert!(environment.compile(&format!("{}1{}", "(".repeat(100), ")".repeat(100))).is_err());
    }
}
