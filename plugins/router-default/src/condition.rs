//! When a route is taken: tool, findings, amount, time of day, weekday.

use portcullis_plugin::{AttributedFinding, Call, Payload, Reason, clock};
use serde::{Deserialize, Deserializer};
use wildmatch::WildMatch;

const MINUTES_OF_A_DAY: u32 = 24 * 60;
/// The first of January 1970 was a Thursday.
const FIRST_WEEKDAY: u64 = 3;

/// What a call must be like. Everything that is given must fit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Condition {
    tools: Option<Globs>,
    except_tools: Option<Globs>,
    agents: Option<Globs>,
    upstreams: Option<Globs>,
    reasons: Option<Globs>,
    categories: Option<Globs>,
    min_score: Option<f32>,
    amount: Option<Amount>,
    hours: Option<Hours>,
    weekdays: Option<Vec<Weekday>>,
}

/// Globs that ignore case: `*` and `?`.
#[derive(Clone, Debug)]
struct Globs(Vec<WildMatch>);

/// A number in the arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    pointer: String,
    at_least: Option<f64>,
    below: Option<f64>,
}

/// A time of the day, `from` included; past midnight if `to` is not after it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    from: Minute,
    to: Minute,
}

/// A minute of the day, written `HH:MM`.
#[derive(Clone, Copy, Debug)]
struct Minute(u32);

/// Minutes east of Greenwich, written `+HH:MM`, `-HH:MM` or `Z`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offset(i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// What a condition is asked about.
pub(crate) struct Asked<'a> {
    pub(crate) call: &'a Call,
    pub(crate) payload: &'a dyn Payload,
    pub(crate) findings: &'a [AttributedFinding],
    pub(crate) reasons: &'a [Reason],
    pub(crate) offset: Offset,
}

impl Condition {
    /// Whether it would fit every call.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { tools, except_tools, agents, upstreams, reasons, categories, min_score, amount, hours, weekdays } =
            self;
        let globs = [tools, except_tools, agents, upstreams, reasons, categories];
        globs.iter().all(|globs| globs.is_none())
            && min_score.is_none()
            && amount.is_none()
            && hours.is_none()
            && weekdays.is_none()
    }

    /// What is wrong with it: the key and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.min_score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            return Err("min_score: is not between 0 and 1".to_owned());
        }
        if let Some(amount) = &self.amount {
            if !amount.pointer.starts_with('/') {
                return Err("amount.pointer: use a JSON pointer, for instance \"/amount\"".to_owned());
            }
            let bounds = [amount.at_least, amount.below];
            if bounds == [None, None] {
                return Err("amount: give at_least, below or both".to_owned());
            }
            if bounds.iter().flatten().any(|bound| !bound.is_finite() || *bound < 0.0) {
                return Err("amount: bounds are numbers from 0 on; the sign of an amount is not looked at".to_owned());
            }
            if let [Some(at_least), Some(below)] = bounds
                && at_least >= below
            {
                return Err("amount: at_least must be less than below".to_owned());
            }
        }
        if self.weekdays.as_ref().is_some_and(Vec::is_empty) {
            return Err("weekdays: name at least one, for instance \"sat\"".to_owned());
        }
        Ok(())
    }

    pub(crate) fn fits(&self, asked: &Asked<'_>) -> bool {
        let named = |globs: &Option<Globs>, name: &str| globs.as_ref().is_none_or(|globs| globs.any(name));
        let Asked { call, findings, reasons, .. } = asked;
        let upstream = call.upstream.as_deref().unwrap_or_default();
        let in_score = |found: &&AttributedFinding| self.min_score.is_none_or(|least| found.finding.score >= least);
        let in_category =
            |found: &AttributedFinding| self.categories.as_ref().is_none_or(|globs| globs.any(&found.finding.category));
        let wants_finding = self.categories.is_some() || self.min_score.is_some();
        named(&self.tools, &call.tool)
            && !self.except_tools.as_ref().is_some_and(|globs| globs.any(&call.tool))
            && named(&self.agents, &call.agent)
            && named(&self.upstreams, upstream)
            && self.reasons.as_ref().is_none_or(|globs| reasons.iter().any(|reason| globs.any(&reason.code)))
            && (!wants_finding || findings.iter().filter(in_score).any(in_category))
            && self.amount.as_ref().is_none_or(|amount| amount.fits(asked.payload))
            && self.fits_time(asked.offset)
    }

    fn fits_time(&self, offset: Offset) -> bool {
        if self.hours.is_none() && self.weekdays.is_none() {
            return true;
        }
        let (day, minute) = offset.local(clock::now_ms());
        let hours = self.hours.is_none_or(|hours| hours.holds(minute));
        // A night that began on a named day is over at its end, not at midnight.
        let began = match self.hours {
            Some(hours) if hours.is_past_midnight() && minute < hours.to.0 => day.wrapping_add(6) % 7,
            _ => day,
        };
        let today = WEEK.get(began);
        hours && self.weekdays.as_ref().is_none_or(|days| today.is_some_and(|today| days.contains(today)))
    }
}

impl Globs {
    fn any(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.0.iter().any(|glob| glob.matches(&name))
    }
}

impl Amount {
    /// By magnitude. One that cannot be read may be any: it is at least whatever is asked, and never below.
    fn fits(&self, payload: &dyn Payload) -> bool {
        let amount = payload.get(&self.pointer).and_then(|json| number(&json)).unwrap_or(f64::INFINITY);
        self.at_least.is_none_or(|least| amount >= least) && self.below.is_none_or(|below| amount < below)
    }
}

/// A JSON number, or a string that holds one.
fn number(json: &str) -> Option<f64> {
    let text = if json.starts_with('"') { serde_json::from_str::<String>(json).ok()? } else { json.to_owned() };
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then(|| number.abs())
}

impl Hours {
    fn is_past_midnight(self) -> bool {
        self.to.0 <= self.from.0
    }

    fn holds(self, minute: u32) -> bool {
        if self.is_past_midnight() {
            minute >= self.from.0 || minute < self.to.0
        } else {
            (self.from.0..self.to.0).contains(&minute)
        }
    }
}

impl Offset {
    /// Weekday, from Monday, and minute of the day.
    fn local(self, now_ms: u64) -> (usize, u32) {
        let minutes = (now_ms / 60_000).saturating_add_signed(self.0);
        let day = (minutes / u64::from(MINUTES_OF_A_DAY) + FIRST_WEEKDAY) % 7;
        let minute = minutes % u64::from(MINUTES_OF_A_DAY);
        (usize::try_from(day).unwrap_or_default(), u32::try_from(minute).unwrap_or_default())
    }
}

/// Minutes of `HH:MM`; `24:00` is the end of the day.
fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u32>());
    let (hour, minute) = (two(hour)?.ok()?, two(minute)?.ok()?);
    (minute < 60 && hour * 60 + minute <= MINUTES_OF_A_DAY).then_some(hour * 60 + minute)
}

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let minute = minutes(&text).map(Self);
        minute.ok_or_else(|| serde::de::Error::custom("write a time of the day as \"HH:MM\", 00:00 to 24:00"))
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let signed = |sign: i64, rest: &str| minutes(rest).filter(|at| *at <= 14 * 60).map(|at| sign * i64::from(at));
        let minutes = match text.split_at_checked(1) {
            Some(("Z", "")) => Some(0),
            Some(("+", rest)) => signed(1, rest),
            Some(("-", rest)) => signed(-1, rest),
            _ => None,
        };
        let wrong = || serde::de::Error::custom("write the offset as \"+01:00\", \"-05:00\" or \"Z\"");
        minutes.map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let globs = Vec::<String>::deserialize(deserializer)?;
        if globs.is_empty() || globs.iter().any(String::is_empty) {
            return Err(serde::de::Error::custom("name at least one, and none empty"));
        }
        Ok(Self(globs.iter().map(|glob| WildMatch::new(&glob.to_lowercase())).collect()))
    }
}
