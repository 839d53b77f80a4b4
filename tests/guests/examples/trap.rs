//! Panics.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        panic!("on purpose")
    }
}

export!(Plugin);
