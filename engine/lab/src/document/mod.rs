//! A YAML file as a tree that knows where everything stands, and its check against a schema.

mod schema;
mod suggest;
mod tree;

pub(crate) use schema::Checker;
pub use suggest::did_you_mean;
pub(crate) use suggest::{list_of, suggestion};
pub(crate) use tree::{Document, PROBLEMS_MAX, Part, excess};
