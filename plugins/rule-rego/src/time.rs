//! Dates in UTC: of the call, and the functions of Rego that need no table of time zones.

use std::fmt;

use regorus::Value;

/// Functions of one argument, by name: nanoseconds since 1970 in all but the last, alone or as `[ns, "UTC"]`.
pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("time.clock", |value| clock(nanoseconds(value)?)),
    ("time.date", |value| date(nanoseconds(value)?)),
    ("time.weekday", |value| weekday(nanoseconds(value)?)),
    ("time.parse_rfc3339_ns", |value| {
        let text = value.as_string().map_err(|_| Wrong("time.parse_rfc3339_ns takes a string"))?;
        Ok(Value::from(parse(text).ok_or(Wrong("time.parse_rfc3339_ns: not a date of RFC 3339"))?))
    }),
];
type Function = fn(&Value) -> Result<Value, Wrong>;

const NS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong(&'static str);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Wrong {}

fn nanoseconds(value: &Value) -> Result<i64, Wrong> {
    let ns = match value {
        Value::Array(parts) => {
            let zone = parts.get(1).and_then(|zone| zone.as_string().ok());
            if parts.len() != 2 || !zone.is_some_and(|zone| matches!(&**zone, "" | "UTC")) {
                return Err(Wrong(
                    "a time is a number of nanoseconds, or [nanoseconds, \"UTC\"]: other zones are not known here",
                ));
            }
            parts.first().cloned().unwrap_or(Value::Undefined)
        }
        other => other.clone(),
    };
    ns.as_i64().map_err(|_| Wrong("a time is a whole number of nanoseconds since 1970"))
}

fn clock(ns: i64) -> Result<Value, Wrong> {
    let second = ns.div_euclid(NS).rem_euclid(DAY);
    Ok(Value::from(vec![Value::from(second / 3600), Value::from(second / 60 % 60), Value::from(second % 60)]))
}

fn date(ns: i64) -> Result<Value, Wrong> {
    let days = u64::try_from(ns.div_euclid(NS * DAY)).map_err(|_| Wrong("dates before 1970 are not known here"))?;
    let (year, month, day) = civil(days);
    Ok(Value::from(vec![Value::from(year), Value::from(month), Value::from(day)]))
}

fn weekday(ns: i64) -> Result<Value, Wrong> {
    const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let day = usize::try_from(ns.div_euclid(NS * DAY).rem_euclid(7)).unwrap_or_default();
    Ok(Value::from(WEEKDAYS.get(day).copied().unwrap_or_default()))
}

/// Nanoseconds since 1970 of a date and time as RFC 3339 section 5.6 writes it, from 1970 to 2261. A leap second is taken
/// for the one after it.
fn parse(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let mark = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|byte| marks.contains(byte));
    let apart = mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt ") && mark(13, b":") && mark(16, b":");
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fits = (1970..=2261).contains(&year) && (1..=12).contains(&month) && (1..=length).contains(&day);
    if !apart || !fits || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let written = after.get(..digits).filter(|written| !written.is_empty())?;
        fraction = format!("{written:0<9}").get(..9)?.parse().ok()?;
        rest = after.get(digits..)?;
    }
    let offset = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let part = |from: usize, to: usize| {
                let digits = rest.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
                digits.parse::<i64>().ok()
            };
            let (hours, minutes) = (part(1, 3)?, part(4, 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(NS)?.checked_add(fraction)
}

/// The number of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`, for years from 0 on).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A moment in the words a policy compares with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) rfc3339: String,
    pub(crate) date: String,
    /// `monday` to `sunday`.
    pub(crate) weekday: &'static str,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
}

impl Moment {
    pub(crate) fn of(unix_ms: u64) -> Self {
        const WEEKDAYS: [&str; 7] = ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];
        let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let date = format!("{year:04}-{month:02}-{day:02}");
        let rfc3339 = format!("{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000);
        let weekday = WEEKDAYS.get((days % 7) as usize).copied().unwrap_or_default();
        Self { rfc3339, date, weekday, hour, minute }
    }
}

/// Year, month and day of the day with this number since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`, for days from 1970 on).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_told_apart() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20.123Z", 1_700_000_000_123),
            ("2023-11-14T23:43:20.123+01:30", 1_700_000_000_123),
            ("2024-02-29t00:00:00z", 1_709_164_800_000),
            ("2099-12-31T19:59:59.999-04:00", 4_102_444_799_999),
            ("1970-01-01T00:30:00+01:00", -1_800_000),
        ] {
            assert_eq!(parse(text), Some(ms * 1_000_000), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00.1234567891Z"), Some(123_456_789));
        for bad in [
            "",
            "now",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:00",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00+1:00",
            "2023-01-01T00:00:00+24:00",
            "2023-01-01",
            "+023-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "2023-01-01T00:00:00Zä",
            "2023-01-01T00:00:0ä",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let moment = Value::from(1_700_000_000_123_000_000_i64);
        let call = |name: &str, value: &Value| {
            let (_, function) = FUNCTIONS.iter().find(|(known, _)| *known == name).unwrap();
            function(value).map(|value| value.to_string())
        };
        for (name, expected) in
            [("time.clock", "[22,13,20]"), ("time.date", "[2023,11,14]"), ("time.weekday", "\"Tuesday\"")]
        {
            let told = call(name, &moment).unwrap().replace(' ', "");
            assert_eq!(told, expected);
            let with_zone = Value::from(vec![moment.clone(), Value::from("UTC")]);
            assert_eq!(call(name, &with_zone).unwrap().replace(' ', ""), expected);
            let elsewhere = Value::from(vec![moment.clone(), Value::from("Europe/Berlin")]);
            for wrong in [&elsewhere, &Value::Null, &Value::from("x"), &Value::from(Vec::<Value>::new())] {
                assert!(call(name, wrong).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn known_moments() {
        for (ms, rfc3339, weekday) in [
            (0, "1970-01-01T00:00:00.000Z", "thursday"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z", "tuesday"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z", "thursday"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z", "thursday"),
        ] {
            let moment = Moment::of(ms);
            assert_eq!((moment.rfc3339.as_str(), moment.weekday), (rfc3339, weekday));
        }
        assert_eq!(Moment::of(1_700_000_000_123).hour, 22);
    }
}
