//! Writes log lines, one with a line break and one that is too long.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::log::{Level, write};
        write(Level::Warn, "first\nsecond");
        write(Level::Info, &"é".repeat(5_000));
        Ok(Vec::new())
    }
}

export!(Plugin);
