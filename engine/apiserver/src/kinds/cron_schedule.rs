//! The syntax of a CronJob's schedule: five fields or a macro. Counterpart: `cron.ParseStandard` of robfig/cron.

/// The numbers that a field may have, and the words that stand for some.
struct Field {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field {
        min: 1,
        max: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const MACROS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Says what is wrong with a schedule.
pub(crate) fn check(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        let duration = schedule.strip_prefix("@every ").map(labkit_api::duration::parse_duration);
        return match duration {
            Some(Ok(_)) => Ok(()),
            Some(Err(why)) => Err(format!("failed to parse duration {schedule}: {why}")),
            None if MACROS.contains(&schedule) => Ok(()),
            None => Err(format!("unrecognized descriptor: {schedule}")),
        };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    FIELDS
        .iter()
        .zip(fields)
        .try_for_each(|(field, text)| text.split(',').try_for_each(|part| field.check(part)))
}

impl Field {
    /// `*`, `5`, `1-5`, `*/15`, `mon-fri`.
    fn check(&self, text: &str) -> Result<(), String> {
        let mut parts = text.split('/');
        let (range, step) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() {
            return Err(format!("too many slashes: {text}"));
        }
        let (mut start, mut end) = (self.min, self.max);
        if !matches!(range, "*" | "?") {
            let bounds: Vec<&str> = range.split('-').collect();
            start = self.number(bounds[0])?;
            end = match bounds.as_slice() {
                [_] if step.is_some() => self.max,
                [_] => start,
                [_, end] => self.number(end)?,
                _ => return Err(format!("too many hyphens: {text}")),
            };
        }
        let step = step.map_or(Ok(1), integer)?;
        if start < self.min {
            return Err(format!("beginning of range ({start}) below minimum ({}): {text}", self.min));
        }
        if end > self.max {
            return Err(format!("end of range ({end}) above maximum ({}): {text}", self.max));
        }
        if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
        Ok(())
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        named.map_or_else(|| integer(text), |index| Ok(self.min + index as u32))
    }
}

fn integer(text: &str) -> Result<u32, String> {
    let invalid = |why| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}");
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).map_err(|_| invalid("value out of range")),
        Err(_) => Err(invalid("invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuse(schedule: &str, why: &str) {
        assert_eq!(check(schedule), Err(why.to_owned()), "{schedule}");
    }

    #[test]
    fn schedules_are_five_fields_or_a_macro() {
        for schedule in
            ["* * * * *", "*/15 0-6,12 1 jan-MAR mon", "0 0 * * ?", "5/10 * * * *", "@daily", "@every 1h30m"]
        {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
        refuse("* * *", "expected exactly 5 fields, found 3: [* * *]");
        refuse("60 * * * *", "end of range (60) above maximum (59): 60");
        refuse("* * 0 * *", "beginning of range (0) below minimum (1): 0");
        refuse("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1");
        refuse("*/0 * * * *", "step of range should be a positive number: */0");
        refuse("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
        refuse("@noon", "unrecognized descriptor: @noon");
    }
}
