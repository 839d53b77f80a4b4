//! Reads what the tool's name says: a file, or a folder if it ends with a slash.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        use portcullis::plugin::files;
        let seen = match call.tool.strip_suffix('/') {
            Some(folder) => files::entries(folder).map(|names| names.join(" ")),
            None => files::read(&call.tool).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        };
        Ok(vec![test_guests::finding!("file.seen", 1.0, format!("{seen:?}"))])
    }
}

export!(Plugin);
