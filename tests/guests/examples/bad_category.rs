//! Answers with the category that its configuration holds.
test_guests::world!("detector");

static CATEGORY: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        *CATEGORY.lock().unwrap() = config;
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        let category = CATEGORY.lock().unwrap().clone();
        Ok(vec![test_guests::finding!(category, 0.5, String::new())])
    }
}

export!(Plugin);
