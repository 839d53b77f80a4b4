//! Answers with its configuration, read once.
test_guests::world!("detector");

static KEPT: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        *KEPT.lock().unwrap() = config;
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(vec![test_guests::finding!("kept.configuration", 1.0, KEPT.lock().unwrap().clone())])
    }
}

export!(Plugin);
