use serde::{Deserialize, Serialize};

/// Bytes in one page of linear memory.
const PAGE: usize = 64 * 1024;
/// Largest linear memory that can be granted; the pool reserves address space for it.
pub(crate) const MAX_MEMORY: usize = 256 * 1024 * 1024;
/// Most elements of one table that can be granted.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 50_000;
/// Most core instances of one component that can be granted: an interpreter with its libraries has some 40.
pub(crate) const MAX_INSTANCES: usize = 100;

/// What one call of one plugin may take. Counted per call, never shared between calls.
///
/// How deep a plugin may recurse is the same for all: 512 KiB of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Fuel for one call, about one unit per instruction; at least 1,000, at most 10^12.
    pub fuel: u64,
    /// Fuel for `configure`; at least 1,000, at most 10^13.
    pub configure_fuel: u64,
    /// Bytes of linear memory; at least 64 KiB, at most 256 MiB.
    pub memory: usize,
    /// Wall-clock milliseconds for one call, time in host calls included; at least 1, at most 60,000.
    pub deadline_ms: u64,
    /// Wall-clock milliseconds for `configure`; at least 1, at most 600,000.
    pub configure_deadline_ms: u64,
    /// Host calls in one call; at most 1,000,000.
    pub host_calls: u32,
    /// Bytes that an answer, or the arguments of one host call, may take in the host; at least 1 KiB, at most 16 MiB.
    pub output: usize,
    /// Elements of one table; at most 50,000.
    pub table_elements: usize,
    /// Core instances that the component is made of; at most 100.
    pub instances: usize,
}

/// A limit is outside what can be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {name} is {value}, but must lie between {least} and {most}")]
pub struct LimitsError {
    /// Which.
    pub name: &'static str,
    /// What was asked for.
    pub value: u64,
    /// Smallest value that is taken.
    pub least: u64,
    /// Largest value that is taken.
    pub most: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 20_000_000,
            configure_fuel: 50_000_000_000,
            memory: 64 * 1024 * 1024,
            deadline_ms: 100,
            configure_deadline_ms: 60_000,
            host_calls: 1_000,
            output: 256 * 1024,
            table_elements: 20_000,
            instances: MAX_INSTANCES,
        }
    }
}

impl Limits {
    /// Whether every limit lies between its hard bounds.
    ///
    /// # Errors
    /// The first one that does not.
    pub fn check(&self) -> Result<(), LimitsError> {
        let within = |name, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(LimitsError { name, value, least, most }) }
        };
        within("fuel", self.fuel, 1_000, 1_000_000_000_000)?;
        within("configure_fuel", self.configure_fuel, 1_000, 10_000_000_000_000)?;
        within("memory", self.memory as u64, PAGE as u64, MAX_MEMORY as u64)?;
        within("deadline_ms", self.deadline_ms, 1, 60_000)?;
        within("configure_deadline_ms", self.configure_deadline_ms, 1, 600_000)?;
        within("host_calls", self.host_calls.into(), 0, 1_000_000)?;
        within("output", self.output as u64, 1024, 16 * 1024 * 1024)?;
        within("table_elements", self.table_elements as u64, 0, MAX_TABLE_ELEMENTS as u64)?;
        within("instances", self.instances as u64, 1, MAX_INSTANCES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_granted() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn a_limit_outside_its_bounds_is_named() {
        let error = Limits { memory: MAX_MEMORY + 1, ..Limits::default() }.check().unwrap_err();
        assert_eq!((error.name, error.most), ("memory", MAX_MEMORY as u64));
        assert!(error.to_string().contains("between 65536 and 268435456"), "{error}");
    }

    #[test]
    fn an_unknown_limit_is_refused() {
        assert!(serde_json::from_str::<Limits>(r#"{"fuel": 5000, "deadline": 3}"#).is_err());
        assert_eq!(serde_json::from_str::<Limits>(r#"{"fuel": 5000}"#).unwrap().fuel, 5000);
    }
}
