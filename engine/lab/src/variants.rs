//! Values that differ from student to student, so that neighbours cannot copy, yet each can be regraded.

use std::collections::BTreeMap;
use std::time::Duration;

use labkit_api::duration::format_duration;
use labkit_sim::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::span::Span;

/// One value, drawn by the lab's and the student's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("x-one-of-fields" = {"what": "variant", "fields": ["duration", "choice", "integer"]}))]
pub struct Variant {
    /// A duration between these two, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<[Span; 2]>,
    /// One of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub choice: Option<Vec<Value>>,
    /// A whole number between these two, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer: Option<[i64; 2]>,
}

impl Variant {
    fn corner(&self, index: usize) -> Value {
        let end = index % 2;
        if let Some(ends) = self.duration {
            return Value::from(ends[end].to_string());
        }
        if let Some(ends) = self.integer {
            return Value::from(ends[end]);
        }
        let choices = self.choice.as_deref().unwrap_or_default();
        choices.get(index % choices.len().max(1)).cloned().unwrap_or(Value::Null)
    }

    fn draw(&self, seed: Seed) -> Value {
        let between = |low: u64, high: u64| low + seed.0 % (high.saturating_sub(low) + 1).max(1);
        if let Some([low, high]) = self.duration {
            let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
            let drawn = Duration::from_millis(between(millis(low), millis(high)));
            return Value::from(format_duration(drawn));
        }
        if let Some([low, high]) = self.integer {
            let offset = between(0, high.saturating_sub(low).unsigned_abs());
            return Value::from(low.saturating_add_unsigned(offset));
        }
        let choices = self.choice.as_deref().unwrap_or_default();
        let index = usize::try_from(between(0, choices.len().saturating_sub(1) as u64)).unwrap_or(0);
        choices.get(index).cloned().unwrap_or(Value::Null)
    }
}

/// The value of each variant for that seed.
pub(crate) fn draw(variants: &BTreeMap<String, Variant>, lab: &str, seed: Seed) -> BTreeMap<String, Value> {
    let of = |name: &str| Seed(scramble(seed.derive(&format!("variant/{lab}/{name}")).0));
    variants.iter().map(|(name, variant)| (name.clone(), variant.draw(of(name)))).collect()
}

/// Corners of what can be drawn: the low ends, the high ends, and each choice at least once.
pub(crate) fn samples(variants: &BTreeMap<String, Variant>) -> Vec<BTreeMap<String, Value>> {
    let choices =
        variants.values().filter_map(|variant| variant.choice.as_ref()).map(Vec::len).max().unwrap_or(0);
    let count = if variants.is_empty() { 1 } else { choices.clamp(2, 32) };
    let sample =
        |index: usize| variants.iter().map(|(name, variant)| (name.clone(), variant.corner(index))).collect();
    (0..count).map(sample).collect()
}

/// The variants of a file that may have errors elsewhere: those that can be read.
pub(crate) fn readable(lab: &Value) -> BTreeMap<String, Variant> {
    let variants = lab.get("variants").and_then(Value::as_object);
    let read =
        |(name, value): (&String, &Value)| Some((name.clone(), serde_json::from_value(value.clone()).ok()?));
    variants.into_iter().flatten().filter_map(read).collect()
}

/// The seed of a student's lab, by both names: the same whenever and wherever it is graded.
pub fn student_seed(lab: &str, student: &str) -> u64 {
    labkit_sim::seed::fnv1a(format!("{lab}/{student}").as_bytes())
}

/// Mixes all bits (SplitMix64's last steps), because neighbouring seeds must not give neighbouring values.
fn scramble(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn draws_are_in_range_spread_and_reproducible() {
        let variants = serde_json::from_value(json!({
            "killAt": {"duration": ["2s", "6s"]}, "n": {"integer": [-3, 3]}, "node": {"choice": ["worker1", "worker2"]}
        }))
        .unwrap();
        let draws: Vec<_> = (0..100).map(|seed| draw(&variants, "lab", Seed(seed))).collect();
        assert_eq!(draws[7], draw(&variants, "lab", Seed(7)));
        for drawn in &draws {
            let kill_at = Span::parse(drawn["killAt"].as_str().unwrap()).unwrap();
            assert!((Span::seconds(2)..=Span::seconds(6)).contains(&kill_at));
            assert!((-3..=3).contains(&drawn["n"].as_i64().unwrap()));
        }
        assert!(
            draws.iter().any(|drawn| drawn["node"] == "worker1")
                && draws.iter().any(|drawn| drawn["node"] == "worker2")
        );
        assert!((-3..=3).all(|n| draws.iter().any(|drawn| drawn["n"] == n)));
    }
}
