//! Counts the calls and remembers the last tool.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::state;
        let count = state::increment("calls", 1, 60)?;
        let last = state::get("tool")?;
        let swapped = state::replace("tool", last.as_deref(), Some(call.tool.as_bytes()), 0)?;
        let last = String::from_utf8_lossy(&last.unwrap_or_default()).into_owned();
        Ok(vec![test_guests::finding!("state.count", 1.0, format!("{count} {last} {swapped}"))])
    }
}

export!(Plugin);
