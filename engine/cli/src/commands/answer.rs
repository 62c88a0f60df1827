//! `labkit answer`: what the student found out.

use serde_json::{Value, json};

use crate::arguments::AnswerArguments;
use crate::commands::check::questions;
use crate::commands::live::ask;
use crate::control::replies::Checked;
use crate::control::{Request, choose};
use crate::failure::{Exit, Outcome};
use crate::screen::{Screen, say};

pub fn run(screen: &Screen, arguments: AnswerArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let (Some(id), Some(value)) = (arguments.id, arguments.value) else {
        return list(screen, ask(screen, &lab, &Request::Check {})?);
    };
    let value = typed(&value);
    let request = Request::Answer { id: id.clone(), value: value.clone() };
    let () = ask(screen, &lab, &request)?;
    if screen.json {
        screen.print_json(&json!({ "id": id, "value": value }));
        return Ok(Exit::Passed);
    }
    screen.print(&say!(
        screen.language,
        "Noted: {id} is {value}. labkit check says whether it is right.",
        "적었습니다: {id} = {value}. 맞는지는 labkit check 가 알려 줍니다."
    ));
    Ok(Exit::Passed)
}

fn list(screen: &Screen, checked: Checked) -> Outcome {
    if screen.json {
        screen.print_json(&checked.questions);
    } else if checked.questions.is_empty() {
        screen.print(&say!(screen.language, "This lab asks no questions.", "이 실습에는 질문이 없습니다."));
    } else if checked.questions.iter().all(|question| question.is_right) {
        screen.print(&say!(screen.language, "Every question is answered.", "모든 질문에 답했습니다."));
    } else {
        questions(screen, &checked.questions).iter().for_each(|line| screen.print(line));
    }
    Ok(Exit::Passed)
}

/// An answer as typed: JSON where it is JSON, a list as a submission writes one (its words need no quotes), else
/// the text itself.
fn typed(text: &str) -> Value {
    let list = || text.trim_start().starts_with('[').then(|| serde_yaml::from_str(text).ok()).flatten();
    serde_json::from_str(text).ok().or_else(list).unwrap_or_else(|| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_where_it_can_be() {
        assert_eq!(typed("43"), json!(43));
        assert_eq!(typed("etcd2"), json!("etcd2"));
        assert_eq!(typed(r#"["a", "b"]"#), json!(["a", "b"]));
        assert_eq!(typed("[kubectl, 3]"), json!(["kubectl", 3]));
        assert_eq!(typed("[a, b"), json!("[a, b"));
    }
}
