//! Texts of one length, to measure time on.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::correspondence;
use crate::generate;
use crate::random::Random;
use crate::records;

/// Bytes of each.
const LENGTH: usize = 2048;
/// How many.
const COUNT: usize = 1000;

/// Writes texts of 2 KiB as results of tools: in turn sentences full of words of attacks, what people write to each other, and what
/// programs answer; every tenth holds an attack.
pub(crate) fn write(path: &Path) -> Result<()> {
    let failed = || format!("{}: cannot be written", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    let mut random = Random::seeded(17);
    for number in 0..COUNT {
        let attack = number % 10 == 0;
        let mut text = if attack { generate::attack(&mut random)? } else { String::new() };
        while text.len() < LENGTH {
            text.push('\n');
            text.push_str(&match number % 3 {
                0 => generate::benign(&mut random)?,
                1 => correspondence::ordinary(&mut random)?,
                _ => records::answer(&mut random)?,
            });
        }
        text.truncate(text.floor_char_boundary(LENGTH));
        let kind = if attack { "inj.tool_output" } else { "benign.document" };
        let row = json!({ "text": text, "label": u8::from(attack), "kind": kind, "source": "2 KiB" });
        writeln!(file, "{row}").with_context(failed)?;
    }
    file.flush().with_context(failed)
}
