//! Durations as people read and write them. Counterparts: `k8s.io/apimachinery/pkg/util/duration`, Go's
//! `time.ParseDuration` and `time.Duration.String`.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// An age as kubectl's AGE column shows it: two or three significant figures, such as `5d3h`.
pub fn human_duration(age: Duration) -> String {
    let seconds = age.as_secs();
    let (unit, name, rest) = match seconds {
        _ if seconds < 2 * MINUTE => return format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => (MINUTE, "m", Some((1, "s"))),
        _ if seconds < 3 * HOUR => (MINUTE, "m", None),
        _ if seconds < 8 * HOUR => (HOUR, "h", Some((MINUTE, "m"))),
        _ if seconds < 2 * DAY => (HOUR, "h", None),
        _ if seconds < 8 * DAY => (DAY, "d", Some((HOUR, "h"))),
        _ if seconds < 2 * YEAR => (DAY, "d", None),
        _ if seconds < 8 * YEAR => (YEAR, "y", Some((DAY, "d"))),
        _ => (YEAR, "y", None),
    };
    let whole = seconds / unit;
    match rest.map(|(small, small_name)| (seconds % unit / small, small_name)) {
        Some((more, small_name)) if more > 0 => format!("{whole}{name}{more}{small_name}"),
        _ => format!("{whole}{name}"),
    }
}

/// Parses Go's notation: `1m30s`, `1.5h`, `300ms`. Negative durations are refused.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_length);
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_length);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(invalid());
        }
        let nanos_per_unit = match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => {
                unit_nanos(unit).ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?
            }
        };
        let part = scaled(whole, fraction, nanos_per_unit).ok_or_else(invalid)?;
        nanos = nanos.checked_add(part).filter(|sum| *sum <= i64::MAX as u128).ok_or_else(invalid)?;
        rest = next;
    }
    Ok(Duration::from_nanos_u128(nanos))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `whole.fraction` times the unit; what is finer than a nanosecond is cut off.
fn scaled(whole: &str, fraction: &str, nanos_per_unit: u128) -> Option<u128> {
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(nanos_per_unit)?;
    let mut place = nanos_per_unit * 1_000;
    let mut thousandths = 0;
    for digit in fraction.bytes() {
        place /= 10;
        thousandths += place * u128::from(digit - b'0');
    }
    nanos = nanos.checked_add(thousandths / 1_000)?;
    Some(nanos)
}

/// Go's notation of a duration, as messages have it: `40s`, `5m0s`, `1h0m0s`, `1.5s`, `250ms`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return match duration.subsec_nanos() {
            0 => "0s".to_owned(),
            nanos if nanos < 1_000 => format!("{nanos}ns"),
            nanos if nanos < 1_000_000 => decimal(u64::from(nanos / 1_000), nanos % 1_000, 3, "µs"),
            nanos => decimal(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6, "ms"),
        };
    }
    let (hours, minutes) = (seconds / HOUR, seconds % HOUR / MINUTE);
    let last = decimal(seconds % MINUTE, duration.subsec_nanos(), 9, "s");
    match (hours, minutes) {
        (0, 0) => last,
        (0, _) => format!("{minutes}m{last}"),
        _ => format!("{hours}h{minutes}m{last}"),
    }
}

fn decimal(whole: u64, fraction: u32, digits: usize, unit: &str) -> String {
    let fraction = format!("{fraction:0digits$}");
    match fraction.trim_end_matches('0') {
        "" => format!("{whole}{unit}"),
        digits => format!("{whole}.{digits}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_human(seconds: u64, expected: &str) {
        assert_eq!(human_duration(Duration::from_secs(seconds)), expected);
    }

    #[test]
    fn ages_read_as_in_kubectl() {
        check_human(0, "0s");
        check_human(119, "119s");
        check_human(120, "2m");
        check_human(135, "2m15s");
        check_human(599, "9m59s");
        check_human(600, "10m");
        check_human(179 * 60 + 59, "179m");
        check_human(3 * HOUR, "3h");
        check_human(7 * HOUR + 59 * 60, "7h59m");
        check_human(8 * HOUR + 59 * 60, "8h");
        check_human(47 * HOUR, "47h");
        check_human(2 * DAY, "2d");
        check_human(5 * DAY + 3 * HOUR, "5d3h");
        check_human(8 * DAY + 3 * HOUR, "8d");
        check_human(729 * DAY, "729d");
        check_human(2 * YEAR, "2y");
        check_human(2 * YEAR + DAY, "2y1d");
        check_human(8 * YEAR + DAY, "8y");
    }

    #[track_caller]
    fn check_parse(text: &str, expected: Result<u64, &str>) {
        assert_eq!(
            parse_duration(text),
            expected.map(Duration::from_millis).map_err(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn durations_are_parsed_as_by_go() {
        check_parse("0", Ok(0));
        check_parse("40s", Ok(40_000));
        check_parse("1m30s", Ok(90_000));
        check_parse("1.5h", Ok(5_400_000));
        check_parse(".5s", Ok(500));
        check_parse("1.s", Ok(1_000));
        check_parse("1h0m0.25s", Ok(3_600_250));
        check_parse("300ms", Ok(300));
        check_parse("", Err("time: invalid duration \"\""));
        check_parse("-5s", Err("time: invalid duration \"-5s\""));
        check_parse("5", Err("time: missing unit in duration \"5\""));
        check_parse("1d", Err("time: unknown unit \"d\" in duration \"1d\""));
        check_parse("s", Err("time: invalid duration \"s\""));
        check_parse("1.2.3s", Err("time: invalid duration \"1.2.3s\""));
        check_parse("10000000000h", Err("time: invalid duration \"10000000000h\""));
    }

    #[test]
    fn durations_are_written_as_by_go() {
        for text in ["0s", "40s", "5m0s", "2m40s", "1h0m0s", "1.5s", "250ms", "1.000000001s", "3µs", "7ns"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}
