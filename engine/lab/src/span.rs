//! Durations and rates as they stand in lab files.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use labkit_api::duration::{format_duration, parse_duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{Text, text};

/// The longest span that a lab file may name: a month of virtual time would keep a grader busy for minutes.
pub const SPAN_MAX: Duration = Duration::from_secs(2 * 3600);

/// A duration in Kubernetes' notation, such as `500ms`, `40s` or `1m30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    pub fn parse(text: &str) -> Result<Span, Text> {
        let duration = parse_duration(text).map_err(|_| {
            text!(
                "`{text}` is no duration; write it as `500ms`, `40s` or `1m30s`",
                "`{text}`: 시간 길이가 아닙니다. `500ms`, `40s`, `1m30s` 처럼 씁니다"
            )
        })?;
        let longest = format_duration(SPAN_MAX);
        match duration > SPAN_MAX {
            true => Err(text!(
                "{text} is longer than {longest}, the longest that a lab may name",
                "{text}: 실습에 쓸 수 있는 가장 긴 시간인 {longest} 보다 깁니다"
            )),
            false => Ok(Span(duration)),
        }
    }

    pub const fn seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

/// A duration, or one the other way: `10m`, `-30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    pub by: Span,
    pub is_back: bool,
}

impl Offset {
    pub fn parse(text: &str) -> Result<Offset, Text> {
        let (is_back, span) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        match Span::parse(span)? {
            Span(Duration::ZERO) => Err(text!("`{text}` is no difference", "`{text}`: 차이가 없습니다")),
            by => Ok(Offset { by, is_back }),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_back { "-" } else { "" }, self.by)
    }
}

/// So many per second, such as `100/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
}

impl Rate {
    pub fn parse(text: &str) -> Result<Rate, Text> {
        let number = text.strip_suffix("/s").and_then(|number| number.parse().ok());
        match number {
            Some(per_second @ 1..=1000) => Ok(Rate { per_second }),
            _ => Err(text!(
                "`{text}` is no rate; write it as `100/s`, from 1/s to 1000/s",
                "`{text}`: 빈도가 아닙니다. `100/s` 처럼 1/s 부터 1000/s 까지 씁니다"
            )),
        }
    }

    /// The time from one to the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second)
    }
}

macro_rules! text_of {
    ($Type:ident, $format:literal) => {
        impl Serialize for $Type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $Type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$Type, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                $Type::parse(&text).map_err(|error| serde::de::Error::custom(error.en))
            }
        }

        impl JsonSchema for $Type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($Type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": $format})
            }
        }
    };
}

text_of!(Span, "duration");
text_of!(Offset, "offset");
text_of!(Rate, "rate");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_bounded_and_rates_too() {
        assert_eq!(Span::parse("1m30s").unwrap().0.as_secs(), 90);
        assert!(Span::parse("3h").unwrap_err().en.contains("longest"));
        assert_eq!(
            Span::parse("soon").unwrap_err().en,
            "`soon` is no duration; write it as `500ms`, `40s` or `1m30s`"
        );
        let offset = Offset::parse("-1m30s").unwrap();
        assert!(offset.is_back && offset.by == Span::seconds(90));
        assert_eq!(
            (offset.to_string(), Offset::parse("+10m").unwrap().to_string()),
            ("-1m30s".into(), "10m0s".into())
        );
        assert!(
            Offset::parse("--1s").is_err() && Offset::parse("0s").is_err() && Offset::parse("-3h").is_err()
        );
        assert_eq!(Rate::parse("100/s").unwrap().interval(), Duration::from_millis(10));
        assert!(Rate::parse("0/s").is_err());
        assert!(Rate::parse("100").is_err());
    }
}
