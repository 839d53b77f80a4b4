//! What a shell command does: rules on its words.

use std::ops::Range;

use crate::report::{CREDENTIALS, DESTRUCTIVE, EXFILTRATION, OBFUSCATED, PERSISTENCE, Report};
use crate::shell::{Command, parse};
use crate::unix::effects::{cloud, destructive, persistence, system, write_target};
pub(crate) use crate::unix::paths::{autostart, sensitive};
use crate::unix::paths::{device, network_path, trace};
use crate::unix::run::Run;
pub(crate) use crate::unix::table::prepare;
use crate::unix::table::table;
use crate::unix::tricks::{assigned, hidden, one_liner, statement};

mod effects;
mod paths;
mod run;
mod table;
mod tricks;

/// Deepest `sh -c` within `sh -c` that is followed.
const DEEPEST: u8 = 8;

const SHELLS: &[&str] =
    &["sh", "bash", "zsh", "dash", "ksh", "ash", "csh", "tcsh", "fish", "busybox", "pwsh", "powershell"];
const INTERPRETERS: &[&str] =
    &["python", "python2", "python3", "perl", "ruby", "node", "php", "lua", "deno", "bun", "osascript"];
const DOWNLOADERS: &[&str] = &[
    "curl",
    "wget",
    "fetch",
    "aria2c",
    "lwp-download",
    "lwp-request",
    "lynx",
    "http",
    "https",
    "xh",
    "axel",
    "iwr",
    "dig",
    "lftp",
    "tftp",
    "w3m",
    "links",
    "elinks",
    "ftp",
];
const READERS: &[&str] = &[
    "cat",
    "tac",
    "less",
    "more",
    "head",
    "tail",
    "cp",
    "mv",
    "scp",
    "rsync",
    "tar",
    "zip",
    "7z",
    "gzip",
    "bzip2",
    "xz",
    "base64",
    "base32",
    "xxd",
    "od",
    "hexdump",
    "strings",
    "logger",
    "grep",
    "egrep",
    "rg",
    "ag",
    "awk",
    "gawk",
    "sed",
    "cut",
    "sort",
    "nl",
    "dd",
    "curl",
    "wget",
    "nc",
    "ncat",
    "openssl",
    "tee",
    "find",
    "vim",
    "vi",
    "nano",
    "emacs",
    "ee",
    "bat",
    "source",
    ".",
    "jq",
    "xclip",
    "pbcopy",
    "john",
    "hashcat",
    "unshadow",
    "install",
    "ln",
    "python",
    "python3",
    "perl",
    "ruby",
    "node",
    "rev",
    "paste",
    "diff",
    "view",
    "print",
    "sftp",
    "ssh",
    "aws",
    "gsutil",
    "rclone",
    "mail",
    "mutt",
    "sendmail",
    "gpg",
    "strace",
    "sqlite3",
    "plutil",
    "type",
    "get-content",
    "gc",
];
/// Programs that run the program named by their arguments; the options of each that take a value.
const WRAPPERS: &[(&str, &str)] = &[
    ("sudo", "ugphrtTCDR"),
    ("doas", "uC"),
    ("env", "uSC"),
    ("nohup", ""),
    ("time", "fo"),
    ("nice", "n"),
    ("ionice", "cnp"),
    ("setsid", ""),
    ("stdbuf", "ioe"),
    ("timeout", "ks"),
    ("xargs", "IinPLsdEa"),
    ("command", ""),
    ("exec", "a"),
    ("builtin", ""),
    ("busybox", ""),
    ("watch", "n"),
    ("unbuffer", ""),
    ("strace", "eop"),
    ("parallel", "jI"),
    ("then", ""),
    ("chroot", ""),
    ("proxychains", "f"),
    ("proxychains4", "f"),
    ("torsocks", ""),
    ("script", "c"),
    ("flock", "w"),
    ("systemd-run", "pu"),
    ("runuser", "u"),
    ("fakeroot", ""),
    ("chronic", ""),
    ("catchsegv", ""),
    ("toybox", ""),
    ("caffeinate", ""),
    ("ltrace", "e"),
];

/// Looks at every command in `text` and reports what it does. `place` is what inner texts point at; at the top, the words.
pub(crate) fn inspect(text: &str, place: Option<&Range<usize>>, depth: u8, report: &mut Report) {
    let (commands, cut) = parse(text);
    report.cut |= cut;
    let mut after = vec![None; commands.len()];
    for (index, command) in commands.iter().enumerate() {
        if let Some(slot) = before(index, command).and_then(|at| after.get_mut(at)) {
            *slot = Some(index);
        }
    }
    let script = Script { commands: &commands, after, place, depth };
    for index in 0..commands.len() {
        script.command(index, report);
    }
    script.together(text, report);
}

/// Number of the command that this one reads from. What is put into its words stands between the two.
fn before(index: usize, command: &Command) -> Option<usize> {
    if command.piped { index.checked_sub(1 + command.inner.len()) } else { None }
}

struct Script<'c> {
    commands: &'c [Command],
    /// For each command the number of the one that reads what it writes.
    after: Vec<Option<usize>>,
    place: Option<&'c Range<usize>>,
    depth: u8,
}

impl<'c> Script<'c> {
    /// Where to point for a stretch of this script.
    fn place(&self, range: &Range<usize>) -> Range<usize> {
        self.place.cloned().unwrap_or_else(|| range.clone())
    }

    fn runs(&self, command: &'c Command) -> Option<Run<'c>> {
        let mut at = 0;
        let mut fed = false;
        loop {
            let word = command.words.get(at)?;
            let program = program(&word.text);
            at += 1;
            let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.0 == program);
            let Some((_, valued)) = wrapper else {
                let args = command.words.get(at..).unwrap_or_default().iter().collect();
                return Some(Run { program, args, range: command.range(), fed });
            };
            fed |= matches!(program.as_str(), "xargs" | "parallel");
            let start = at;
            while let Some(word) = command.words.get(at) {
                let text = word.text.as_str();
                if let Some(flags) = text.strip_prefix('-').filter(|flags| !flags.starts_with('-')) {
                    let takes = flags.len() == 1 && flags.contains(|c| valued.contains(c));
                    at += if takes { 2 } else { 1 };
                } else if text.starts_with("--")
                    || (text.contains('=') && program == "env")
                    || (matches!(program.as_str(), "timeout" | "flock" | "chroot") && at == start)
                {
                    at += 1;
                } else {
                    break;
                }
            }
            if at >= command.words.len() {
                // A wrapper alone is the program.
                let args = command.words.get(start..).unwrap_or_default().iter().collect();
                return Some(Run { program, args, range: command.range(), fed });
            }
        }
    }

    fn command(&self, index: usize, report: &mut Report) {
        let Some(command) = self.commands.get(index) else { return };
        self.redirects(command, report);
        self.assignments(command, report);
        let Some(run) = self.runs(command) else { return };
        let place = self.place(&run.range);
        self.nested(index, command, &run, report);
        destructive(&run, &place, report);
        system(&run, &place, report);
        cloud(&run, &place, report);
        self.credentials(index, command, &run, &place, report);
        self.network(index, command, &run, &place, report);
        persistence(&run, &place, report);
        table(&run, &place, report);
        hidden(command, &run, &place, report);
        self.kills(command, &run, &place, report);
        one_liner(command, &run, &place, report);
        statement(command, &run, self.spoken(index).as_deref(), &place, report);
    }

    /// What writes into the pipe that ends here, the nearest first.
    fn upstream(&self, index: usize) -> impl Iterator<Item = (&'c Command, Run<'c>)> {
        let before = |at: &usize| before(*at, self.commands.get(*at)?);
        self.running(std::iter::successors(before(&index), before))
    }

    /// What reads the pipe that begins here, the nearest first.
    fn downstream(&self, index: usize) -> impl Iterator<Item = (&'c Command, Run<'c>)> {
        let after = |at: &usize| self.after.get(*at).copied().flatten();
        self.running(std::iter::successors(after(&index), after))
    }

    fn running(&self, numbers: impl Iterator<Item = usize>) -> impl Iterator<Item = (&'c Command, Run<'c>)> {
        numbers.filter_map(|at| {
            let command = self.commands.get(at)?;
            Some((command, self.runs(command)?))
        })
    }

    /// What `echo` or `printf` put into the pipe that ends at `index`.
    fn spoken(&self, index: usize) -> Option<String> {
        let (source, run) = self.upstream(index).next().filter(|(_, run)| run.is(&["echo", "printf", "cat"]))?;
        let words: Vec<&str> = run.args.iter().map(|word| word.text.as_str()).collect();
        Some(source.heredoc.clone().unwrap_or_else(|| words.join(" ")))
    }

    /// Texts that are run as commands: `sh -c`, `eval`, `find -exec`, a pipe into a shell.
    fn nested(&self, index: usize, command: &Command, run: &Run<'_>, report: &mut Report) {
        let place = self.place(&run.range);
        let mut deeper = |text: &str, range: &Range<usize>| {
            self.deeper_text(text, &self.place(range), report);
        };
        let shell = run.is(SHELLS);
        if shell || run.is(&["su", "script", "flock"]) {
            if let Some(word) = run.after('c') {
                deeper(&word.text, &word.range);
            }
            if let Some(text) = &command.heredoc {
                deeper(text, &run.range);
            }
            for (operator, word) in &command.redirects {
                if *operator == "<<<" {
                    deeper(&word.text, &word.range);
                }
            }
        }
        if run.is(&["eval", "trap"]) {
            let joined: Vec<_> = run.args.iter().map(|word| word.text.as_str()).collect();
            deeper(&joined.join(" "), &run.range);
        }
        if run.is(&["ssh", "docker", "podman", "kubectl", "nsenter", "wsl", "cmd", "lxc", "vagrant"]) {
            // What follows the host, the image, `--` or `/c` is a command too.
            let from = match run.program.as_str() {
                "ssh" => run.args.iter().position(|word| !word.text.starts_with('-')).map(|at| at + 1),
                "kubectl" | "nsenter" | "vagrant" => {
                    run.args.iter().position(|word| word.text == "--").map(|at| at + 1)
                }
                "cmd" => run
                    .args
                    .iter()
                    .position(|word| matches!(word.text.to_ascii_lowercase().as_str(), "/c" | "/k"))
                    .map(|at| at + 1),
                _ => run.args.iter().position(|word| SHELLS.contains(&program(&word.text).as_str())),
            };
            if let Some(words) = from.and_then(|from| run.args.get(from..)) {
                let joined: Vec<_> = words
                    .iter()
                    .map(|word| if words.len() == 1 { word.text.clone() } else { quote(&word.text) })
                    .collect();
                deeper(&joined.join(" "), &run.range);
            }
        }
        if run.program == "osascript" {
            // `do shell script "..."`, also of a terminal.
            for word in &run.args {
                if let Some((_, script)) =
                    word.text.split_once("do shell script \"").or_else(|| word.text.split_once("do script \""))
                {
                    let end = script.rfind('"').unwrap_or(script.len());
                    deeper(&script.get(..end).unwrap_or_default().replace("\\\"", "\""), &word.range);
                }
            }
        }
        if run.program == "find" {
            for flag in ["-exec", "-execdir", "-ok"] {
                if let Some(at) = run.args.iter().position(|word| word.text == flag) {
                    let words = run
                        .args
                        .get(at + 1..)
                        .unwrap_or_default()
                        .iter()
                        .take_while(|word| !matches!(word.text.as_str(), ";" | "+"));
                    let root = run.first().to_owned();
                    let joined: Vec<_> =
                        words.map(|word| quote(if word.text == "{}" { &root } else { &word.text })).collect();
                    deeper(&joined.join(" "), &run.range);
                }
            }
        }
        let executes = shell || (run.is(INTERPRETERS) && run.operands().next().is_none_or(|operand| operand == "-"));
        if !(executes || run.fed) {
            // The output of a download as code: eval "$(curl ...)", python -c "$(curl ...)", source <(curl ...).
            if run.is(&["eval", "source", "."]) || (run.is(INTERPRETERS) && !command.inner.is_empty()) {
                self.sourced(command, &place, report);
            }
            return;
        }
        self.sourced(command, &place, report);
        // Everything before it in the pipe.
        let mut decoded = false;
        for (_, source) in self.upstream(index) {
            // What comes before another shell, that shell has read.
            if source.is(SHELLS) && !decoded {
                break;
            }
            let range = self.place(&(source.range.start.min(run.range.start)..run.range.end));
            if source.is(DOWNLOADERS) && (executes || shell) {
                report.add(EXFILTRATION_EXEC, 0.93, "Runs code straight from the network", &range);
            }
            if decodes(&source) {
                decoded = true;
            }
            if source.is(&["echo", "printf"]) && executes && !decoded {
                let words = source.args.iter().map(|word| word.text.as_str());
                let joined: Vec<_> = words.skip_while(|word| ["-n", "-e", "-E", "-ne", "-en"].contains(word)).collect();
                if run.is(SHELLS) {
                    self.deeper_text(&joined.join(" "), &range, report);
                }
            }
        }
        if decoded && executes {
            report.add(OBFUSCATED, 0.92, "Decodes something and runs it", &place);
        }
    }

    fn deeper_text(&self, text: &str, range: &Range<usize>, report: &mut Report) {
        if text.is_empty() || !report.nest() {
            return;
        }
        if self.depth < DEEPEST {
            inspect(text, Some(range), self.depth + 1, report);
        } else {
            report.cut = true;
        }
    }

    /// Reports a command that runs what other commands, put into its words, bring.
    fn sourced(&self, command: &Command, place: &Range<usize>, report: &mut Report) {
        for source in
            command.inner.iter().filter_map(|at| self.commands.get(*at)).filter_map(|source| self.runs(source))
        {
            if source.is(DOWNLOADERS) {
                report.add(EXFILTRATION_EXEC, 0.93, "Runs code straight from the network", place);
            } else if decodes(&source) {
                report.add(OBFUSCATED, 0.9, "Decodes something and runs it", place);
            }
        }
    }

    fn redirects(&self, command: &Command, report: &mut Report) {
        // Once for all of them: it reads each.
        let place = self.place(&command.range());
        for (operator, target) in &command.redirects {
            let path = target.text.as_str();
            if operator.starts_with('>') {
                if device(path) {
                    report.add(DESTRUCTIVE, 0.95, "Writes over a disk device", &place);
                } else if path == "/proc/sysrq-trigger" {
                    report.add(DESTRUCTIVE, 0.92, "Stops the machine through the kernel", &place);
                } else if trace(path) && *operator == ">" {
                    report.add(DESTRUCTIVE, 0.85, "Erases the traces of what was done", &place);
                } else if *operator == ">"
                    && matches!(
                        path,
                        "/etc/passwd" | "/etc/shadow" | "/etc/fstab" | "/boot/grub/grub.cfg" | "/etc/hosts"
                    )
                {
                    report.add(DESTRUCTIVE, 0.85, "Writes over a file the system needs", &place);
                } else {
                    write_target(path, &place, report);
                }
            }
            if network_path(path) {
                report.add(EXFILTRATION, 0.95, "Opens a network connection from the shell (a reverse shell)", &place);
            }
        }
    }

    fn assignments(&self, command: &Command, report: &mut Report) {
        let place = self.place(&command.range());
        for (name, value) in &command.assignments {
            let off = value.is_empty() || value == "/dev/null" || value == "0";
            if matches!(name.as_str(), "HISTFILE" | "HISTSIZE" | "HISTFILESIZE" | "SAVEHIST") && off {
                report.add(DESTRUCTIVE, 0.82, "Switches the shell history off", &place);
            }
            if matches!(name.as_str(), "LD_PRELOAD" | "DYLD_INSERT_LIBRARIES") && value.contains('/') {
                report.add(PERSISTENCE, 0.8, "Loads a library of its own into another program", &place);
            }
            assigned(name, value, &place, report);
        }
    }

    fn credentials(&self, index: usize, command: &Command, run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
        let reads = run.is(READERS) || run.fed;
        let operands = run.args.iter().map(|word| word.text.as_str()).chain(
            command.redirects.iter().filter(|redirect| redirect.0 == "<").map(|redirect| redirect.1.text.as_str()),
        );
        let mut worst: Option<(f32, &'static str)> = None;
        let input = command.redirects.iter().any(|redirect| redirect.0 == "<");
        if reads || input {
            for operand in operands {
                if let Some(found) = sensitive(operand).filter(|found| worst.is_none_or(|worst| worst.0 < found.0)) {
                    worst = Some(found);
                }
            }
        }
        // Writing or naming a key is no reading: `ssh -i key host`, `chmod 600 key`.
        if matches!(run.program.as_str(), "ssh" | "sftp")
            || (run.is(&["scp", "rsync"]) && run.flag("i", &[]) && run.operands().count() < 4)
        {
            worst = None;
        }
        if let Some((score, what)) = worst {
            report.add(CREDENTIALS, score, what, place);
            if self.leaves(index) || (run.is(NETWORK) && uploads(run)) {
                report.add(EXFILTRATION, 0.95, "Sends a file that holds credentials over the network", place);
            }
        }
        let words = || run.args.iter().map(|word| word.text.as_str());
        match run.program.as_str() {
            "security"
                if words().any(|word| {
                    matches!(word, "dump-keychain" | "find-generic-password" | "find-internet-password" | "export")
                }) =>
            {
                report.add(CREDENTIALS, 0.85, "Reads the keychain", place);
            }
            "unshadow" | "mimipenguin" | "mimipenguin.sh" | "lazagne" | "lazagne.py" | "linpeas" | "linpeas.sh"
            | "pypykatz" | "secretsdump.py" | "responder" | "hydra" | "medusa" | "crackmapexec" | "kerbrute"
            | "truffleshark" => report.add(CREDENTIALS, 0.88, "Runs a tool that steals credentials", place),
            "john" | "hashcat" if !run.args.is_empty() => {
                report.add(CREDENTIALS, 0.7, "Runs a password cracker", place)
            }
            "find" | "locate" | "fd" | "mdfind"
                if words().any(|word| {
                    matches!(
                        word,
                        "id_rsa"
                            | "*.pem"
                            | "*.key"
                            | "id_*"
                            | "*.kdbx"
                            | ".netrc"
                            | "*.p12"
                            | "accessTokens.json"
                            | "msal_token_cache.json"
                            | "*.pfx"
                            | "shadow"
                            | ".git-credentials"
                            | "*id_rsa*"
                    )
                }) && !words().any(|word| word == "-delete") =>
            {
                report.add(CREDENTIALS, 0.82, "Searches the machine for keys", place);
            }
            "grep" | "egrep" | "rg" | "ag"
                if run.flag("rR", &["recursive"])
                    && words().any(|word| {
                        let word = word.to_ascii_lowercase();
                        word.contains("password")
                            || word.contains("passwd")
                            || word.contains("secret_key")
                            || word.contains("private key")
                            || word.contains("aws_secret")
                    })
                    && words().any(|word| {
                        matches!(word, "/" | "/etc" | "/home" | "/root" | "~" | "/var" | "$HOME" | "/*")
                    }) =>
            {
                report.add(CREDENTIALS, 0.82, "Searches the machine for passwords", place);
            }
            "gcore" | "procdump" => report.add(CREDENTIALS, 0.7, "Dumps the memory of a process", place),
            "dscl" if words().any(|word| word == "-authonly") => {
                report.add(CREDENTIALS, 0.6, "Tries a password", place)
            }
            "sshpass" => report.add(CREDENTIALS, 0.55, "Logs in with a password on the command line", place),
            _ => {}
        }
    }

    /// Whether what a command writes goes to the network further down the pipe, or through a substitution into a request.
    fn leaves(&self, index: usize) -> bool {
        if self.downstream(index).any(|(_, run)| run.is(NETWORK)) {
            return true;
        }
        self.commands
            .iter()
            .any(|command| command.inner.contains(&index) && self.runs(command).is_some_and(|run| run.is(NETWORK)))
    }

    /// `kill $(pidof auditd)`.
    fn kills(&self, command: &Command, run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
        if !run.is(&["kill", "xargs"]) {
            return;
        }
        let named = command.inner.iter().filter_map(|at| self.commands.get(*at)).filter_map(|inner| self.runs(inner));
        for inner in named.filter(|inner| inner.is(&["pgrep", "pidof", "cat", "ps", "grep"])) {
            let args = inner.args.clone();
            let stops = Run { program: "pkill".to_owned(), args, range: run.range.clone(), fed: false };
            system(&stops, place, report);
        }
    }

    fn network(&self, index: usize, command: &Command, run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
        if run.any(network_path) {
            report.add(EXFILTRATION, 0.95, "Opens a network connection from the shell (a reverse shell)", place);
        }
        let piped = command.piped && index > 0;
        match run.program.as_str() {
            "nc" | "ncat" | "netcat" | "nc.traditional" | "nc.openbsd" => {
                let runs = run.flag("ec", &["exec", "sh-exec", "lua-exec"]) && !run.flag("z", &[]);
                let is_shell = |(_, run): (_, Run<'_>)| run.is(SHELLS);
                let to_shell = self.downstream(index).next().is_some_and(is_shell);
                let from_shell = self.upstream(index).next().is_some_and(is_shell);
                if runs || to_shell || from_shell {
                    report.add(EXFILTRATION, 0.95, "Gives a shell to whoever is at the other end", place);
                } else if piped && self.sends_files(index) {
                    report.add(EXFILTRATION, 0.82, "Sends files over a raw connection", place);
                }
            }
            "socat"
                if run.any(|word| {
                    let word = word.to_ascii_lowercase();
                    (word.starts_with("exec:") || word.starts_with("system:"))
                        && SHELLS.iter().any(|shell| word.contains(shell))
                }) =>
            {
                report.add(EXFILTRATION, 0.95, "Gives a shell to whoever is at the other end", place);
            }
            "telnet" if self.downstream(index).next().is_some_and(|(_, run)| run.is(SHELLS)) => {
                report.add(EXFILTRATION, 0.93, "Gives a shell to whoever is at the other end", place);
            }
            "xterm" if run.flag("", &["display"]) || run.any(|word| word == "-display") => {
                report.add(EXFILTRATION, 0.6, "Opens a terminal on another display", place);
            }
            "dig" | "nslookup" | "host" | "ping"
                if run.args.iter().any(|word| word.substituted && word.text.contains('.')) =>
            {
                report.add(EXFILTRATION, 0.85, "Sends data away in a name to look up", place);
            }
            _ => {}
        }
        if run.is(&["curl", "wget", "http", "https", "xh"]) {
            let url = run.args.iter().find(|word| word.text.contains("://"));
            let known = run.any(|word| crate::http::drop_site(word).is_some());
            let up = uploads(run);
            let fed = piped && run.any(|word| matches!(word, "@-" | "-" | "--data-binary=@-") || word.ends_with("@-"));
            if known && (up || fed) {
                report.add(EXFILTRATION, 0.9, "Sends data to a site made for dropping it", place);
            } else if url.is_some_and(|url| url.substituted) && !command.inner.is_empty() && self.inner_reads(command) {
                report.add(EXFILTRATION, 0.85, "Puts the output of a command into a request", place);
            } else if fed && self.leaks_environment(index) {
                report.add(EXFILTRATION, 0.85, "Sends the environment over the network", place);
            } else if up {
                // A service has a name and a certificate; a number without one is somebody's machine.
                let bare = url.is_some_and(|url| tricks::bare_address(&url.text));
                report.add(EXFILTRATION, if bare { 0.72 } else { 0.4 }, "Sends a file over the network", place);
            }
            if run.any(|word| word.contains("169.254.169.254") || word.contains("metadata.google.internal"))
                && run.any(|word| {
                    ["/token", "/iam/", "security-credentials", "/identity", "user-data", "/instance"]
                        .iter()
                        .any(|part| word.contains(part))
                })
            {
                report.add(CREDENTIALS, 0.88, "Takes credentials from the metadata service of a cloud", place);
            }
        }
    }

    /// Whether the pipe into `index` begins with an archive or a reading of the home or root folder.
    fn sends_files(&self, index: usize) -> bool {
        const READ: &[&str] =
            &["tar", "zip", "cat", "dd", "find", "env", "printenv", "gzip", "base64", "mysqldump", "pg_dump"];
        self.upstream(index).any(|(_, run)| run.is(READ) && !run.args.is_empty())
    }

    fn leaks_environment(&self, index: usize) -> bool {
        let source = self.upstream(index).next();
        source.is_some_and(|(_, run)| run.is(&["env", "printenv", "set", "export"]))
    }

    fn inner_reads(&self, command: &Command) -> bool {
        command.inner.iter().filter_map(|at| self.commands.get(*at)).filter_map(|inner| self.runs(inner)).any(|run| {
            run.is(&[
                "cat", "base64", "env", "printenv", "whoami", "hostname", "id", "tar", "head", "xxd", "grep", "tail",
                "ls", "uname",
            ])
        })
    }

    /// What several commands do together.
    fn together(&self, text: &str, report: &mut Report) {
        let runs: Vec<Run<'_>> = self.commands.iter().filter_map(|command| self.runs(command)).collect();
        let all = self.place(&(0..text.len()));
        tricks::together(&runs, self.commands, text, &all, report);
        if runs.iter().any(|run| run.is(&["mkfifo", "mknod"]))
            && runs.iter().any(|run| run.is(&["nc", "ncat", "netcat", "telnet", "openssl"]))
            && runs.iter().any(|run| run.is(SHELLS))
        {
            report.add(EXFILTRATION, 0.93, "Gives a shell to whoever is at the other end", &all);
        }
        // A function that pipes itself into itself in the background.
        let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).take(4096).collect();
        if let Some(at) = squeezed.find("(){") {
            let name_start = squeezed
                .get(..at)
                .unwrap_or_default()
                .rfind(|c: char| !(c.is_alphanumeric() || c == ':' || c == '_' || c == '.'))
                .map_or(0, |at| at + 1);
            let name = squeezed.get(name_start..at).unwrap_or_default();
            if !name.is_empty() && squeezed.get(at..).is_some_and(|body| body.contains(&format!("{name}|{name}"))) {
                report.add(DESTRUCTIVE, 0.97, "Starts copies of itself without end (a fork bomb)", &all);
            }
        }
        // Downloaded, made executable and run.
        let downloads = runs.iter().filter(|run| run.is(DOWNLOADERS));
        for download in downloads {
            let file = download.after('o').or_else(|| download.after('O')).map(|word| word.text.clone());
            let file = file.or_else(|| {
                let url = download.operands().find(|operand| operand.contains("://"))?;
                url.rsplit('/').next().map(str::to_owned)
            });
            let Some(file) = file.filter(|file| file.len() > 1) else { continue };
            let name = file.rsplit('/').next().unwrap_or_default().to_owned();
            let made = runs.iter().any(|run| {
                run.program == "chmod"
                    && run.any(|word| word.ends_with(&name))
                    && run.any(|word| word.contains('x') || word.starts_with('7'))
            });
            let run = runs.iter().any(|run| {
                run.program == name || (run.is(SHELLS) && run.operands().any(|operand| operand.ends_with(&name)))
            });
            if run && (made || name.ends_with(".sh")) {
                report.add(EXFILTRATION_EXEC, 0.82, "Downloads a program and runs it", &self.place(&download.range));
            }
        }
    }
}

/// Running what the network sends counts as obfuscated: what it does cannot be seen.
const EXFILTRATION_EXEC: &str = OBFUSCATED;
const NETWORK: &[&str] = &[
    "curl", "wget", "nc", "ncat", "netcat", "socat", "scp", "sftp", "rsync", "ftp", "tftp", "telnet", "ssh", "http",
    "xh", "rclone", "mail", "mailx", "mutt", "sendmail", "aws", "gsutil", "openssl", "dig", "nslookup",
];

/// Name of the program a word runs.
fn program(word: &str) -> String {
    let name = word.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}

/// A word as shell text again.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn decodes(run: &Run<'_>) -> bool {
    match run.program.as_str() {
        "base64" | "base32" | "gbase64" => run.flag("dD", &["decode"]),
        "uudecode" | "basenc" => true,
        "xxd" => run.any(|word| word.starts_with('-') && word.contains('r')),
        "openssl" => {
            run.any(|word| word == "-d") && run.any(|word| matches!(word, "enc" | "base64") || word.starts_with("aes"))
        }
        "rev" | "zcat" | "gunzip" | "bunzip2" | "unxz" | "xzcat" | "bzcat" | "uncompress" | "b64decode" => true,
        "gzip" | "bzip2" | "xz" | "zstd" | "lz4" => run.flag("d", &["decompress", "uncompress"]),
        "tr" => run.args.len() >= 2 && !run.flag("d", &[]) && run.any(|word| word.len() > 8 || word.contains('-')),
        "perl" | "python" | "python3" => run.any(|word| word.contains("decode")),
        _ => false,
    }
}

fn uploads(run: &Run<'_>) -> bool {
    match run.program.as_str() {
        "curl" => {
            run.flag("FT", &["form", "upload-file"])
                || run.args.iter().any(|word| word.text.starts_with('@') || word.text.contains("=@"))
                || (run.flag("d", &["data", "data-binary", "data-raw", "json", "data-urlencode"])
                    && run.args.iter().any(|word| word.substituted || word.text.contains("://")))
        }
        "wget" => run.flag("", &["post-file", "post-data", "body-file"]),
        "http" | "https" | "xh" => run.any(|word| word.contains('@')),
        "nc" | "ncat" | "netcat" | "ftp" | "tftp" | "sftp" => true,
        "scp" | "rsync" => run.operands().last().is_some_and(|last| last.contains(':')),
        "aws" | "gsutil" => run.operands().last().is_some_and(|last| last.contains("://")),
        "rclone" => run.first() == "copy" || run.first() == "sync",
        "mail" | "mailx" | "mutt" | "sendmail" => true,
        _ => false,
    }
}
