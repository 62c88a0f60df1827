//! Reports of bounded size, whatever a student's texts and objects hold.

use serde_json::Value;

use super::Report;

/// Bytes of the longest text of a student's report.
const TEXT_MAX: usize = 2048;
/// Items of the longest list in its evidence.
const ITEMS_MAX: usize = 200;

impl Report {
    /// The report with its long texts cut, each telling how much is left out.
    pub(crate) fn shortened(mut self) -> Report {
        for check in self.tasks.iter_mut().flat_map(|task| &mut task.checks) {
            cut(&mut check.expected);
            cut(&mut check.actual);
            check.error.iter_mut().for_each(cut);
            if let Some(korean) = &mut check.in_korean {
                cut(&mut korean.expected);
                cut(&mut korean.actual);
            }
            cut_all(&mut check.evidence);
        }
        for step in &mut self.steps {
            cut(&mut step.command);
            cut(&mut step.output);
            step.error.iter_mut().for_each(cut);
        }
        for fault in &mut self.faults {
            cut(&mut fault.target);
            fault.error.iter_mut().for_each(cut);
        }
        self.bugs.iter_mut().for_each(cut);
        cut_all(&mut self.tables.answers);
        for entry in &mut self.timeline {
            cut(&mut entry.text);
            cut_all(&mut entry.fields);
        }
        self
    }
}

/// A text that is no longer than any student's report needs it.
pub(crate) fn shortened(mut text: String) -> String {
    const STEP_MAX: usize = 64 << 10;
    cut_to(&mut text, STEP_MAX);
    text
}

fn cut(text: &mut String) {
    cut_to(text, TEXT_MAX);
}

fn cut_to(text: &mut String, longest: usize) {
    if text.len() > longest {
        let end = text.floor_char_boundary(longest);
        let more = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… (+{more} bytes)"));
        text.shrink_to_fit();
    }
}

fn cut_all(value: &mut Value) {
    match value {
        Value::String(text) => cut(text),
        Value::Array(items) => {
            items.truncate(ITEMS_MAX);
            items.iter_mut().for_each(cut_all);
        }
        Value::Object(fields) => {
            let kept = std::mem::take(fields).into_iter().take(ITEMS_MAX);
            *fields = kept
                .map(|(mut name, mut field)| {
                    cut(&mut name);
                    cut_all(&mut field);
                    (name, field)
                })
                .collect();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_texts_are_cut_at_a_character_and_say_so() {
        let mut value = json!({"a": ["가".repeat(1000), "short"], "b": vec![0; 1000]});
        cut_all(&mut value);
        assert_eq!(value["a"][0].as_str().unwrap(), format!("{}… (+954 bytes)", "가".repeat(682)));
        assert_eq!(value["a"][1], "short");
        assert_eq!(value["b"].as_array().unwrap().len(), ITEMS_MAX);
    }
}
