//! Answers with the score that its configuration names.
test_guests::world!("detector");

static SCORE: std::sync::Mutex<f32> = std::sync::Mutex::new(0.0);

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        *SCORE.lock().unwrap() = config.parse().map_err(|_| "not a number".to_owned())?;
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        let score = *SCORE.lock().unwrap();
        Ok(vec![test_guests::finding!("some.category", score, String::new())])
    }
}

export!(Plugin);
