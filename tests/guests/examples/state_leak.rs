//! Hides the tool's name in its memory and reports any name it finds there.
test_guests::world!("detector");

static SEEN: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        let before = std::mem::replace(&mut *SEEN.lock().unwrap(), call.tool);
        let grown = usize::try_from(test_guests::memory_pages()).unwrap_or_default();
        std::mem::forget(std::hint::black_box(vec![7_u8; 1024 * 1024]));
        Ok(vec![test_guests::finding!("leak.probe", 0.0, format!("{before}|{grown}"))])
    }
}

export!(Plugin);
