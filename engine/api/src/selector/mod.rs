//! Selectors: which objects a list, a watch, a service or a controller means.

mod field;
mod label;
mod lexer;
mod parser;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};
