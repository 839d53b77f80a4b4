//! The list that detectors must beat: phrases, and nothing else.

use crate::question::Question;

/// What people write down first when they are asked for a filter.
const OVERRIDES: &[&str] = &[
    "ignore previous",
    "ignore all previous",
    "ignore the above",
    "ignore your instructions",
    "disregard previous",
    "disregard all",
    "forget everything",
    "forget your instructions",
    "new instructions:",
    "system prompt",
    "you are now",
    "pretend to be",
    "act as if",
    "developer mode",
    "jailbreak",
    "do anything now",
    "without restrictions",
    "bypass your",
    "override your",
    "do not tell the user",
];
const SHELL: &[&str] = &[
    "rm -rf",
    "mkfs",
    "dd if=",
    "/etc/shadow",
    "/etc/passwd",
    "| sh",
    "| bash",
    "chmod 777",
    "nc -e",
    "mimikatz",
    "vssadmin delete",
    "-encodedcommand",
    "invoke-expression",
    "reg add",
    "crontab",
    "history -c",
    "base64 -d",
    "format c:",
    "shutdown",
    ":(){",
];
const SQL: &[&str] = &[
    "' or ",
    "1=1",
    "union select",
    "drop table",
    "; --",
    "' --",
    "sleep(",
    "benchmark(",
    "xp_cmdshell",
    "information_schema",
    "or 1",
    "/*",
    "waitfor delay",
    "load_file(",
    "into outfile",
];
const CODE: &[&str] = &[
    "exec(",
    "eval(",
    "base64",
    "subprocess",
    "os.system",
    "child_process",
    "os.environ",
    "process.env",
    "socket",
    "requests.post",
];
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "token",
    "bearer ",
    "authorization:",
    "begin rsa private key",
    "begin private key",
    "akia",
    "ghp_",
    "xoxb-",
    "sk-",
];

/// 1 if a phrase of the list is in the text, whatever its case; 0 if none is. None where there is no list.
#[must_use]
pub fn keyword_score(question: Question, text: &str) -> Option<f64> {
    let words = match question {
        Question::Overrides | Question::Results | Question::Tools | Question::Calls => OVERRIDES,
        Question::Shell => SHELL,
        Question::Sql => SQL,
        Question::Code => CODE,
        Question::Secrets => SECRETS,
        Question::Personal | Question::Packages => return None,
    };
    let text = text.to_ascii_lowercase();
    Some(f64::from(u8::from(words.iter().any(|word| text.contains(word)))))
}
