//! Answers with the span that its configuration names: `text start end`.
test_guests::world!("detector");

use portcullis::plugin::types::Span;

static SPAN: std::sync::Mutex<Vec<u32>> = std::sync::Mutex::new(Vec::new());

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        let numbers: Vec<u32> = config.split(' ').filter_map(|number| number.parse().ok()).collect();
        *SPAN.lock().unwrap() = numbers;
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        let span = SPAN.lock().unwrap();
        let span = Span { text: span[0], start: span[1], end: span[2] };
        let mut finding = test_guests::finding!("forged.span", 0.5, String::new());
        finding.spans.push(span);
        Ok(vec![finding])
    }
}

export!(Plugin);
