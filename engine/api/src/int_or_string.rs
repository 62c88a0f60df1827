//! Fields that are a number or a percentage, such as `maxSurge`. Counterpart:
//! `k8s.io/apimachinery/pkg/util/intstr`.

use serde_json::Value;

/// The number, or the percentage of `total`, rounded up or down. Fails on any other string.
pub fn scaled_value(int_or_percent: &Value, total: i64, round_up: bool) -> Result<i64, String> {
    let text = match int_or_percent {
        Value::Number(number) if number.is_i64() => return Ok(number.as_i64().unwrap_or_default()),
        Value::String(text) => text,
        _ => return Err("invalid value for IntOrString: invalid type: neither int nor percentage".to_owned()),
    };
    let Some(digits) = text.strip_suffix('%') else {
        return Err("invalid value for IntOrString: invalid type: string is not a percentage".to_owned());
    };
    let percent: i64 = digits.parse().map_err(|_| {
        format!("invalid value for IntOrString: invalid value {text:?}: strconv.Atoi: parsing {digits:?}: invalid syntax")
    })?;
    let hundredths = i128::from(percent) * i128::from(total);
    let scaled = if round_up { -(-hundredths).div_euclid(100) } else { hundredths.div_euclid(100) };
    i64::try_from(scaled).map_err(|_| format!("invalid value for IntOrString: invalid value {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: Value, round_up: bool, expected: Result<i64, &str>) {
        assert_eq!(scaled_value(&value, 3, round_up), expected.map_err(str::to_owned));
    }

    #[test]
    fn numbers_stay_and_percentages_scale() {
        check(json!(2), true, Ok(2));
        check(json!("25%"), true, Ok(1));
        check(json!("25%"), false, Ok(0));
        check(json!("100%"), false, Ok(3));
        check(json!("0%"), true, Ok(0));
        check(
            json!("2"),
            true,
            Err("invalid value for IntOrString: invalid type: string is not a percentage"),
        );
    }
}
