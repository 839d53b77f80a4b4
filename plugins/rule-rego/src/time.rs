//! Dates from milliseconds, in UTC.

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
