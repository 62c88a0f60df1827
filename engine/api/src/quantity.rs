//! Amounts of resources: `500m`, `1.5Gi`, `12e6`. Counterpart: `k8s.io/apimachinery/pkg/api/resource`.
//!
//! An amount is held exactly in steps of 10⁻⁹, the finest that Kubernetes knows; finer ones round away from
//! zero, as upstream does, so that who asks for a little gets a little.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

const NANOS: i128 = 1_000_000_000;
const FORMAT_WRONG: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const NUMBER_WRONG: &str = "unable to parse numeric part of quantity";
const SUFFIX_WRONG: &str = "unable to parse quantity's suffix";

const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// An amount, and the family of suffixes in which it was written. Equality and order go by the amount alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    DecimalSi,
    BinarySi,
    DecimalExponent,
}

impl Quantity {
    /// A whole amount, written with decimal suffixes.
    pub fn new(value: i64) -> Quantity {
        Quantity { nanos: i128::from(value) * NANOS, format: Format::DecimalSi }
    }

    /// An amount in thousandths, such as CPUs, written with decimal suffixes.
    pub fn from_milli(milli: i64) -> Quantity {
        Quantity { nanos: i128::from(milli) * (NANOS / 1_000), format: Format::DecimalSi }
    }

    /// Parses `500m`, `1.5Gi`, `12e6`. Amounts past ±1.7·10²⁹ are refused.
    pub fn parse(text: &str) -> Result<Quantity, String> {
        let (number, suffix) = split(text).ok_or(FORMAT_WRONG)?;
        let (format, base, exponent) = suffix_meaning(suffix).ok_or(SUFFIX_WRONG)?;
        let (negative, digits) = match number.as_bytes().first() {
            Some(b'-') => (true, &number[1..]),
            Some(b'+') => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if fraction.contains('.') {
            return Err(FORMAT_WRONG.to_owned());
        }
        let mut nanos = to_nanos(whole, fraction, base, exponent).ok_or(NUMBER_WRONG)?;
        if format == Format::BinarySi {
            nanos = nanos.min(i128::from(i64::MAX) * NANOS);
        }
        let format = if format == Format::BinarySi && nanos < NANOS { Format::DecimalSi } else { format };
        Ok(Quantity { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// Reads a JSON string or number; manifests may have either.
    pub fn from_value(value: &Value) -> Result<Quantity, String> {
        match value {
            Value::String(text) => Quantity::parse(text.trim()),
            Value::Number(number) => Quantity::parse(&number.to_string()),
            _ => Err(FORMAT_WRONG.to_owned()),
        }
    }

    /// The amount in thousandths, rounded away from zero.
    pub fn milli(&self) -> i128 {
        div_away_from_zero(self.nanos, NANOS / 1_000)
    }

    /// The amount in whole units, rounded away from zero.
    pub fn value(&self) -> i128 {
        div_away_from_zero(self.nanos, NANOS)
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    fn combine(self, other: Quantity, nanos: i128) -> Quantity {
        Quantity { nanos, format: if self.is_zero() { other.format } else { self.format } }
    }
}

/// The number and the suffix, if the text has the form of a quantity.
fn split(text: &str) -> Option<(&str, &str)> {
    let signed = usize::from(text.starts_with(['+', '-']));
    let unsigned = &text[signed..];
    let number_length = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    if !unsigned[..number_length].contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (number, suffix) = text.split_at(signed + number_length);
    let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    exponent.bytes().all(|byte| byte.is_ascii_digit()).then_some((number, suffix))
}

/// Format, base and exponent of a suffix.
fn suffix_meaning(suffix: &str) -> Option<(Format, i128, i32)> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::DecimalSi, 10, *exponent));
    }
    if let Some(index) = BINARY_SUFFIXES.iter().position(|name| *name == suffix) {
        return Some((Format::BinarySi, 1024, index as i32 + 1));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Format::DecimalExponent, 10, exponent))
}

/// `whole.fraction · base^exponent` in nanos, rounded up; `None` if it is too large.
fn to_nanos(whole: &str, fraction: &str, base: i128, exponent: i32) -> Option<i128> {
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let mut mantissa: i128 = digits.parse().ok()?;
    let mut decimal_exponent = 9_i64 - fraction.len() as i64;
    if base == 10 {
        decimal_exponent += i64::from(exponent);
    } else {
        mantissa = mantissa.checked_mul(base.checked_pow(exponent.unsigned_abs())?)?;
    }
    if decimal_exponent >= 0 {
        mantissa.checked_mul(10_i128.checked_pow(u32::try_from(decimal_exponent).ok()?)?)
    } else {
        let divisor = u32::try_from(-decimal_exponent).ok().and_then(|power| 10_i128.checked_pow(power));
        Some(divisor.map_or(1, |divisor| div_away_from_zero(mantissa, divisor)))
    }
}

fn div_away_from_zero(value: i128, divisor: i128) -> i128 {
    value / divisor + if value % divisor == 0 { 0 } else { value.signum() }
}

/// The canonical form: no fraction, the largest suffix that allows it.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi
            && self.nanos % NANOS == 0
            && self.nanos.unsigned_abs() >= 1024 * NANOS as u128
        {
            let (number, exponent) = factored(self.nanos / NANOS, 1024, BINARY_SUFFIXES.len() as i32);
            let suffix = if exponent == 0 { "" } else { BINARY_SUFFIXES[exponent as usize - 1] };
            return write!(f, "{number}{suffix}");
        }
        if self.format == Format::DecimalExponent {
            let (number, thousands) = factored(self.nanos, 1_000, i32::MAX);
            let exponent = thousands * 3 - 9;
            return if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") };
        }
        let (number, thousands) = factored(self.nanos, 1_000, DECIMAL_SUFFIXES.len() as i32 - 1);
        write!(f, "{number}{}", DECIMAL_SUFFIXES[thousands as usize].0)
    }
}

/// Moves factors of `base`, at most `exponent_max` of them, from the number to an exponent.
fn factored(mut number: i128, base: i128, exponent_max: i32) -> (i128, i32) {
    let mut exponent = 0;
    while number % base == 0 && exponent < exponent_max {
        number /= base;
        exponent += 1;
    }
    (number, exponent)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// Sums and differences stop at the largest amount.
impl Add for Quantity {
    type Output = Quantity;

    fn add(self, other: Quantity) -> Quantity {
        self.combine(other, self.nanos.saturating_add(other.nanos))
    }
}

impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        self.combine(other, self.nanos.saturating_sub(other.nanos))
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Quantity, String> {
        Quantity::parse(text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
        Quantity::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = Quantity::parse(text).map(|quantity| quantity.to_string());
        assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn quantities_show_in_canonical_form() {
        for canonical in
            ["0", "1", "500m", "1k", "128Mi", "1Gi", "1500m", "100", "12e6", "-5", "1n", "3Ei", "2E"]
        {
            check(canonical, Ok(canonical));
        }
        check("0.5", Ok("500m"));
        check("1.5", Ok("1500m"));
        check("1000m", Ok("1"));
        check("1024Mi", Ok("1Gi"));
        check("1.5Gi", Ok("1536Mi"));
        check("0.5Gi", Ok("512Mi"));
        check("0.5Mi", Ok("512Ki"));
        check("1000", Ok("1k"));
        check("1000Ki", Ok("1000Ki"));
        check("0Mi", Ok("0"));
        check("1.", Ok("1"));
        check("+5", Ok("5"));
        check("007", Ok("7"));
        check("1E3", Ok("1e3"));
        check("1200e-2", Ok("12"));
        check("1e4", Ok("10e3"));
        check("0.1Ki", Ok("102400m"));
        check("1.1Ki", Ok("1126400m"));
        check("0.0000000001", Ok("1n"));
        check("1e-100", Ok("1e-9"));
        check("100Ei", Ok("9223372036854775807"));
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_upstreams_words() {
        for text in ["", "m", "1 ", "1.2.3", "a1", "1m1m", ".", "-", "1,5"] {
            check(text, Err(FORMAT_WRONG));
        }
        for text in ["1mm", "1K", "1ki", "1i", "1e", "1Mi5"] {
            check(text, Err(SUFFIX_WRONG));
        }
        check("1e100", Err(NUMBER_WRONG));
    }

    #[test]
    fn values_round_away_from_zero() {
        let quantity = |text| Quantity::parse(text).unwrap();
        assert_eq!(quantity("1500m").value(), 2);
        assert_eq!(quantity("-1500m").value(), -2);
        assert_eq!(quantity("1u").milli(), 1);
        assert_eq!(quantity("2").milli(), 2000);
        assert_eq!(quantity("1Gi").value(), 1 << 30);
    }

    #[test]
    fn amounts_compare_add_and_subtract_across_formats() {
        let quantity = |text| Quantity::parse(text).unwrap();
        assert_eq!(quantity("1000m"), quantity("1"));
        assert!(quantity("1Gi") > quantity("1G"));
        assert_eq!((quantity("1Gi") + quantity("512Mi")).to_string(), "1536Mi");
        assert_eq!((Quantity::default() + quantity("1Gi")).to_string(), "1Gi");
        assert_eq!((quantity("1") - quantity("250m")).to_string(), "750m");
    }

    #[test]
    fn json_strings_and_numbers_are_quantities() {
        assert_eq!(serde_json::from_str::<Quantity>("\"2\"").unwrap(), Quantity::new(2));
        assert_eq!(serde_json::from_str::<Quantity>("0.5").unwrap(), Quantity::from_milli(500));
        assert_eq!(serde_json::to_string(&Quantity::from_milli(500)).unwrap(), "\"500m\"");
    }
}
