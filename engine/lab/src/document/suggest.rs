//! What the author may have meant.

use crate::text::{Text, text};

/// Bytes of the longest word that may be a slip of the pen.
const NAME_MAX: usize = 64;

/// The candidate nearest to `word`, if it is near enough.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > NAME_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let near = (word.chars().count() / 3).max(1);
    let scored =
        candidates.into_iter().map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate));
    scored.filter(|(distance, _)| *distance <= near).min_by_key(|(distance, _)| *distance).map(|(_, c)| c)
}

/// The candidate that may have been meant, or all there are.
pub(crate) fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Text {
    match did_you_mean(word, candidates.clone()) {
        Some(near) => text!("did you mean `{near}`?", "`{near}` 인가요?"),
        None => {
            let known = list_of(candidates);
            text!("there are {known}", "있는 것: {known}", known)
        }
    }
}

/// "`a`, `b` and `c`"; at most a dozen of them.
pub(crate) fn list_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Text {
    const SHOWN_MAX: usize = 16;
    let names: Vec<&str> = names.into_iter().collect();
    let quoted: Vec<String> = names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    match (quoted.as_slice(), names.len()) {
        ([], _) => Text::new("none", "없음"),
        ([one], _) => Text::plain(one.clone()),
        (shown, all) if all > SHOWN_MAX => {
            let (shown, more) = (shown.join(", "), all - SHOWN_MAX);
            text!("{shown} and {more} more", "{shown} 외 {more}개")
        }
        ([first @ .., last], _) => {
            let first = first.join(", ");
            text!("{first} and {last}", "{first}, {last}")
        }
    }
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let fields = ["minutes", "cluster", "tasks", "title"];
        assert_eq!(did_you_mean("minuets", fields), Some("minutes"));
        assert_eq!(did_you_mean("Task", fields), Some("tasks"));
        assert_eq!(did_you_mean("network", fields), None);
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(list_of(["a", "b", "c"]), Text::new("`a`, `b` and `c`", "`a`, `b`, `c`"));
        assert_eq!(list_of([]).en, "none");
    }
}
