//! Panics while it is configured.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        panic!("on purpose")
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(Vec::new())
    }
}

export!(Plugin);
