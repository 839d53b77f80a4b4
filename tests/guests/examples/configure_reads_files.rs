//! Reads a granted file while it is configured.
test_guests::world!("detector");

static KEPT: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        *KEPT.lock().unwrap() = portcullis::plugin::files::read(&config)?;
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        let kept = String::from_utf8_lossy(&KEPT.lock().unwrap()).into_owned();
        Ok(vec![test_guests::finding!("file.kept", 1.0, kept)])
    }
}

export!(Plugin);
