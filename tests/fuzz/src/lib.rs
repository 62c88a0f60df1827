//! What the fuzz targets do with their input. The suite replays their corpora through the same functions.

pub mod patches;
pub mod paths;
pub mod selectors;
pub mod strategic_merge;
