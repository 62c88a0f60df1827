//! The fixed words of reports, in each language.

use super::Verdict;
use crate::text::Language;

pub(super) struct Words {
    pub points: &'static str,
    pub expected: &'static str,
    pub actual: &'static str,
    pub error: &'static str,
    pub hint: &'static str,
    pub faults: &'static str,
    pub healed: &'static str,
    pub bugs: &'static str,
    pub steps: &'static str,
    pub check: &'static str,
    pub student: &'static str,
    pub result: &'static str,
    pub took: &'static str,
    pub all_passed: &'static str,
}

const ENGLISH: Words = Words {
    points: "points",
    expected: "expected",
    actual: "actual",
    error: "error",
    hint: "hint",
    faults: "Faults",
    healed: "healed",
    bugs: "Engine or lab trouble (not your doing)",
    steps: "Steps",
    check: "Check",
    student: "Student",
    result: "Result",
    took: "virtual time",
    all_passed: "All checks passed.",
};

const KOREAN: Words = Words {
    points: "점",
    expected: "기대",
    actual: "실제",
    error: "오류",
    hint: "힌트",
    faults: "주입된 장애",
    healed: "복구",
    bugs: "엔진 또는 실습 자체의 문제(여러분의 잘못이 아닙니다)",
    steps: "수행한 단계",
    check: "검사 항목",
    student: "학생",
    result: "결과",
    took: "가상 시간",
    all_passed: "모든 검사를 통과했습니다.",
};

pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &ENGLISH,
        Language::Ko => &KOREAN,
    }
}

impl Verdict {
    /// The word for people.
    pub fn word(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::En, Verdict::Passed) => "passed",
            (Language::En, Verdict::Failed) => "failed",
            (Language::En, Verdict::Skipped) => "skipped",
            (Language::En, Verdict::NotYet) => "not yet",
            (Language::En, Verdict::SoFar) => "so far so good",
            (Language::Ko, Verdict::Passed) => "통과",
            (Language::Ko, Verdict::Failed) => "실패",
            (Language::Ko, Verdict::Skipped) => "건너뜀",
            (Language::Ko, Verdict::NotYet) => "아직",
            (Language::Ko, Verdict::SoFar) => "지금까지 정상",
        }
    }

    pub(super) fn mark(self) -> char {
        match self {
            Verdict::Passed => '✓',
            Verdict::Failed => '✗',
            Verdict::Skipped => '-',
            Verdict::NotYet => '…',
            Verdict::SoFar => '~',
        }
    }
}
