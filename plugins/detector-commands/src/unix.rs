//! What a shell command does: rules on its words.

use std::ops::Range;

use crate::report::{CREDENTIALS, DESTRUCTIVE, EXFILTRATION, OBFUSCATED, PERSISTENCE, Report};
use crate::shell::{Command, Word, parse};

/// Deepest `sh -c` within `sh -c` that is followed.
const DEEPEST: u8 = 4;

const SHELLS: &[&str] =
    &["sh", "bash", "zsh", "dash", "ksh", "ash", "csh", "tcsh", "fish", "busybox", "pwsh", "powershell"];
const INTERPRETERS: &[&str] =
    &["python", "python2", "python3", "perl", "ruby", "node", "php", "lua", "deno", "bun", "osascript"];
const DOWNLOADERS: &[&str] =
    &["curl", "wget", "fetch", "aria2c", "lwp-download", "lwp-request", "lynx", "http", "https", "xh", "axel", "iwr"];
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
    let commands = parse(text);
    let script = Script { commands: &commands, place, depth };
    for index in 0..commands.len() {
        script.command(index, report);
    }
    script.together(text, report);
}

struct Script<'c> {
    commands: &'c [Command],
    place: Option<&'c Range<usize>>,
    depth: u8,
}

/// A program with its arguments, out of its wrappers.
struct Run<'c> {
    program: String,
    args: Vec<&'c Word>,
    range: Range<usize>,
    /// Named by a wrapper that feeds it arguments (`xargs`).
    fed: bool,
}

impl Run<'_> {
    /// Whether a short flag (`-r`, also in `-fr`) or one of the long ones is there.
    fn flag(&self, short: &str, long: &[&str]) -> bool {
        self.args.iter().any(|word| {
            let text = word.text.as_str();
            match text.strip_prefix("--") {
                Some(name) => {
                    let name = name.split('=').next().unwrap_or_default();
                    // Long options may be cut short.
                    name.len() >= 3 && long.iter().any(|long| long.starts_with(name))
                }
                None => {
                    text.strip_prefix('-').is_some_and(|flags| flags.len() < 8 && flags.contains(|c| short.contains(c)))
                }
            }
        })
    }

    /// Arguments that are no options.
    fn operands(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(|word| word.text.as_str()).filter(|text| !text.starts_with('-') || *text == "-")
    }

    fn has(&self, needle: &str) -> bool {
        self.args.iter().any(|word| word.text == needle)
    }

    fn any(&self, test: impl Fn(&str) -> bool) -> bool {
        self.args.iter().any(|word| test(&word.text))
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.program.as_str())
    }

    fn first(&self) -> &str {
        self.operands().next().unwrap_or_default()
    }

    fn second(&self) -> &str {
        self.operands().nth(1).unwrap_or_default()
    }

    /// What follows a short flag: `-c TEXT`, also `-lc TEXT`.
    fn after(&self, short: char) -> Option<&Word> {
        let at = self.args.iter().position(|word| {
            word.text
                .strip_prefix('-')
                .is_some_and(|flags| !flags.starts_with('-') && flags.len() < 6 && flags.ends_with(short))
        })?;
        self.args.get(at + 1).copied()
    }
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
                } else if text.starts_with("--") || text.contains('=') && program == "env" {
                    at += 1;
                } else if matches!(program.as_str(), "timeout" | "flock" | "chroot") && at == start {
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
    }

    /// Texts that are run as commands: `sh -c`, `eval`, `find -exec`, a pipe into a shell.
    fn nested(&self, index: usize, command: &Command, run: &Run<'_>, report: &mut Report) {
        let place = self.place(&run.range);
        let mut deeper = |text: &str, range: &Range<usize>| {
            if self.depth < DEEPEST && !text.is_empty() {
                inspect(text, Some(&self.place(range)), self.depth + 1, report);
            }
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
        let mut at = index;
        let mut decoded = false;
        while self.commands.get(at).is_some_and(|command| command.piped) && at > 0 {
            // Commands put into words stand before the command they belong to.
            let inside = self.commands.get(at).map_or(0, |command| command.inner.len());
            at = at.saturating_sub(1 + inside);
            let Some(source) = self.commands.get(at).and_then(|command| self.runs(command)) else { break };
            let range = self.place(&(source.range.start.min(run.range.start)..run.range.end));
            if source.is(DOWNLOADERS) && (executes || shell) {
                report.add(EXFILTRATION_EXEC, 0.93, "Runs code straight from the network", &range);
            }
            if decodes(&source) {
                decoded = true;
            }
            if source.is(&["echo", "printf"]) && executes && !decoded {
                let joined: Vec<_> = source.operands().collect();
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
        if self.depth < DEEPEST {
            inspect(text, Some(range), self.depth + 1, report);
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
        for (operator, target) in &command.redirects {
            let place = self.place(&command.range());
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
        let mut at = index + 1;
        while let Some(next) = self.commands.get(at).filter(|next| next.piped) {
            if self.runs(next).is_some_and(|run| run.is(NETWORK)) {
                return true;
            }
            at += 1;
        }
        self.commands
            .iter()
            .any(|command| command.inner.contains(&index) && self.runs(command).is_some_and(|run| run.is(NETWORK)))
    }

    fn network(&self, index: usize, command: &Command, run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
        if run.any(network_path) {
            report.add(EXFILTRATION, 0.95, "Opens a network connection from the shell (a reverse shell)", place);
        }
        let piped = command.piped && index > 0;
        match run.program.as_str() {
            "nc" | "ncat" | "netcat" | "nc.traditional" | "nc.openbsd" => {
                let runs = run.flag("ec", &["exec", "sh-exec", "lua-exec"]) && !run.flag("z", &[]);
                let to_shell = self
                    .commands
                    .get(index + 1)
                    .filter(|next| next.piped)
                    .and_then(|next| self.runs(next))
                    .is_some_and(|next| next.is(SHELLS));
                let from_shell = piped
                    && index
                        .checked_sub(1)
                        .and_then(|at| self.commands.get(at))
                        .and_then(|command| self.runs(command))
                        .is_some_and(|run| run.is(SHELLS));
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
            "telnet"
                if self
                    .commands
                    .get(index + 1)
                    .filter(|next| next.piped)
                    .and_then(|next| self.runs(next))
                    .is_some_and(|next| next.is(SHELLS)) =>
            {
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
                report.add(EXFILTRATION, 0.4, "Sends a file over the network", place);
            }
        }
    }

    /// Whether the pipe into `index` begins with an archive or a reading of the home or root folder.
    fn sends_files(&self, index: usize) -> bool {
        let mut at = index;
        while at > 0 && self.commands.get(at).is_some_and(|command| command.piped) {
            at -= 1;
            let found = self.commands.get(at).and_then(|command| self.runs(command)).is_some_and(|run| {
                run.is(&[
                    "tar",
                    "zip",
                    "cat",
                    "dd",
                    "find",
                    "env",
                    "printenv",
                    "gzip",
                    "base64",
                    "mysqldump",
                    "pg_dump",
                ]) && !run.args.is_empty()
            });
            if found {
                return true;
            }
        }
        false
    }

    fn leaks_environment(&self, index: usize) -> bool {
        index
            .checked_sub(1)
            .and_then(|at| self.commands.get(at))
            .and_then(|command| self.runs(command))
            .is_some_and(|run| run.is(&["env", "printenv", "set", "export"]))
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
        "b64decode" | "uudecode" => true,
        "xxd" => run.any(|word| word.starts_with('-') && word.contains('r')),
        "openssl" => {
            run.any(|word| word == "-d") && run.any(|word| matches!(word, "enc" | "base64") || word.starts_with("aes"))
        }
        "rev" => true,
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

fn network_path(word: &str) -> bool {
    word.starts_with("/dev/tcp/") || word.starts_with("/dev/udp/") || word.contains(">/dev/tcp/")
}

fn device(path: &str) -> bool {
    path.strip_prefix("/dev/").is_some_and(|name| {
        [
            "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "disk", "rdisk", "mapper/", "md", "dm-", "ada", "da", "nda",
            "loop", "mem", "kmem", "port",
        ]
        .iter()
        .any(|kind| name.starts_with(kind) && name.len() < 32)
    }) || path.to_ascii_lowercase().starts_with("\\\\.\\physicaldrive")
}

/// Files that tell what was done.
fn trace(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with("_history")
        || path.starts_with("/var/log/")
        || path.starts_with("/var/audit")
        || matches!(path, "/var/log" | "/var/run/utmp" | "/var/spool/mail")
        || path.starts_with("/var/spool/mail/")
}

/// How bad it is to lose everything below `target`: 0 for an ordinary path.
fn weight(target: &str) -> f32 {
    let path = target.trim_end_matches(['*', '.']).trim_end_matches('/');
    let bare = target.trim_matches(|c| matches!(c, '/' | '*' | '.'));
    let home = matches!(
        path,
        "~" | "$HOME" | "${HOME}" | "%USERPROFILE%" | "$env:USERPROFILE" | "/home" | "/root" | "/Users" | "~root"
    ) || (path.starts_with('~') && !path.contains('/') && path.len() > 1);
    if target.starts_with('/') && bare.is_empty() {
        return 0.97;
    }
    if home {
        return 0.95;
    }
    let system = [
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/lib",
        "/lib64",
        "/opt",
        "/proc",
        "/sbin",
        "/srv",
        "/sys",
        "/usr",
        "/var",
        "/System",
        "/Library",
        "/Applications",
        "/usr/bin",
        "/usr/lib",
        "/usr/local",
        "/var/lib",
        "/var/log",
        "/mnt",
        "/media",
        "/Volumes",
        "/private",
        "/etc/ssh",
        "/usr/share",
    ];
    if system.contains(&path) {
        return 0.93;
    }
    let lower = path.to_ascii_lowercase();
    if matches!(
        lower.as_str(),
        "c:" | "c:\\" | "d:" | "c:\\windows" | "c:\\users" | "c:\\windows\\system32" | "%systemroot%" | "%systemdrive%"
    ) {
        return 0.93;
    }
    if let Some(below) = path.strip_prefix("/home/").or_else(|| path.strip_prefix("/Users/")) {
        return if below.contains('/') { 0.4 } else { 0.88 };
    }
    if ["/etc/", "/boot/", "/bin/", "/sbin/", "/lib/", "/usr/lib/", "/usr/bin/", "/dev/", "/System/", "/var/lib/"]
        .iter()
        .any(|root| path.starts_with(root))
    {
        return 0.82;
    }
    if matches!(target, "*" | "." | "./" | ".." | "../" | "./*" | "../*" | ".*" | "*.*" | "{*,.*}") {
        return if target.contains("..") { 0.86 } else { 0.85 };
    }
    if matches!(path, "$PWD" | "${PWD}" | ".git") {
        return 0.7;
    }
    // `$X/*` is the root when X is empty.
    if target.starts_with('$')
        && (target.ends_with("/*") || target.ends_with('/'))
        && !target.get(1..).unwrap_or_default().trim_end_matches(['*', '/']).contains('/')
    {
        return 0.7;
    }
    0.0
}

fn destructive(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    match run.program.as_str() {
        "rm" | "unlink" | "srm" | "rmdir" | "trash" | "del" | "gio" => {
            let recursive = run.flag("rR", &["recursive"]);
            let force = run.flag("f", &["force"]);
            if run.any(|word| word.starts_with("--no-preserve")) && run.program == "rm" {
                report.add(DESTRUCTIVE, 0.97, "Deletes the whole file system", place);
            }
            for target in run.operands() {
                let worth = weight(target);
                if recursive && worth > 0.0 {
                    report.add(
                        DESTRUCTIVE,
                        if force || worth > 0.9 { worth } else { worth - 0.1 },
                        "Deletes whole folders that matter",
                        place,
                    );
                } else if worth >= 0.82 && worth < 0.84 || (!recursive && worth > 0.9 && target.ends_with('*')) {
                    report.add(DESTRUCTIVE, 0.82, "Deletes files the system needs", place);
                } else if trace(target) {
                    report.add(DESTRUCTIVE, 0.85, "Erases the traces of what was done", place);
                } else if recursive && force {
                    report.add(DESTRUCTIVE, 0.3, "Deletes a folder without asking", place);
                }
            }
            if run.fed && recursive && force {
                report.add(DESTRUCTIVE, 0.6, "Deletes whatever another command names", place);
            }
        }
        "find" if run.has("-delete") => {
            let worth = run.operands().map(weight).fold(0.0, f32::max);
            let narrow = run.any(|word| {
                matches!(
                    word,
                    "-name" | "-iname" | "-path" | "-regex" | "-mtime" | "-empty" | "-size" | "-mmin" | "-perm"
                )
            });
            report.add(
                DESTRUCTIVE,
                if worth > 0.8 && !narrow { worth } else { 0.3 },
                "Deletes everything it finds",
                place,
            );
        }
        "dd" => {
            if let Some(target) = run.args.iter().find_map(|word| word.text.strip_prefix("of=")) {
                if device(target) {
                    report.add(DESTRUCTIVE, 0.93, "Writes over a disk device", place);
                } else if trace(target) || weight(target) > 0.8 {
                    report.add(DESTRUCTIVE, 0.85, "Writes over a file the system needs", place);
                }
            }
        }
        "shred" | "wipe" | "sdelete" | "sdelete64" => {
            let worth = run
                .operands()
                .map(|target| if device(target) || weight(target) > 0.0 || trace(target) { 0.92 } else { 0.5 })
                .fold(0.0, f32::max);
            report.add(DESTRUCTIVE, worth, "Destroys data beyond recovery", place);
        }
        "wipefs" if run.flag("a", &["all"]) || run.any(|word| word.starts_with("--all")) => {
            report.add(DESTRUCTIVE, 0.92, "Wipes a file system", place)
        }
        "blkdiscard" => report.add(DESTRUCTIVE, 0.92, "Discards a whole disk", place),
        "hdparm" if run.any(|word| word.starts_with("--security-erase") || word.starts_with("--trim")) => {
            report.add(DESTRUCTIVE, 0.93, "Erases a whole disk", place)
        }
        "nvme" if matches!(run.first(), "format" | "sanitize") => {
            report.add(DESTRUCTIVE, 0.92, "Erases a whole disk", place)
        }
        "sgdisk" | "gdisk" if run.flag("Z", &["zap-all", "zap"]) => {
            report.add(DESTRUCTIVE, 0.92, "Destroys a partition table", place)
        }
        "parted" if run.any(|word| matches!(word, "mklabel" | "rm" | "mktable")) => {
            report.add(DESTRUCTIVE, 0.82, "Changes a partition table", place)
        }
        "diskutil"
            if run.any(|word| {
                let word = word.to_ascii_lowercase();
                word.starts_with("erase")
                    || matches!(word.as_str(), "partitiondisk" | "zerodisk" | "secureerase" | "reformat")
            }) =>
        {
            report.add(DESTRUCTIVE, 0.88, "Erases a disk", place);
        }
        "lvremove" | "vgremove" | "pvremove" => report.add(DESTRUCTIVE, 0.82, "Removes a volume", place),
        "zpool" if matches!(run.first(), "destroy" | "labelclear") => {
            report.add(DESTRUCTIVE, 0.88, "Destroys a storage pool", place)
        }
        "zfs" if run.first() == "destroy" => report.add(DESTRUCTIVE, 0.82, "Destroys a file system", place),
        "btrfs" if run.first() == "subvolume" && run.second() == "delete" => {
            report.add(DESTRUCTIVE, 0.7, "Deletes a subvolume", place)
        }
        "cryptsetup" if matches!(run.first(), "erase" | "luksErase" | "luksFormat") => {
            report.add(DESTRUCTIVE, 0.85, "Destroys an encrypted volume", place)
        }
        "mv" if run.operands().last() == Some("/dev/null") => {
            let worth = run.operands().map(weight).fold(0.6, f32::max);
            report.add(DESTRUCTIVE, worth, "Moves files into nothing", place);
        }
        "chmod" | "chown" | "chgrp" | "setfacl" | "chflags" => {
            let recursive = run.flag("R", &["recursive"]);
            let worth = run.operands().skip(1).map(weight).fold(0.0, f32::max);
            let mode = run.first();
            let open = matches!(
                mode,
                "777" | "0777" | "a+rwx" | "ugo+rwx" | "a=rwx" | "000" | "0000" | "a-rwx" | "666" | "a-x" | "-x"
            );
            if recursive && worth > 0.8 {
                report.add(
                    DESTRUCTIVE,
                    if open { 0.93 } else { 0.85 },
                    "Changes the rights of whole system folders",
                    place,
                );
            } else if run.program == "chmod"
                && (mode.contains("+s")
                    || (mode.starts_with('u') && mode.contains("+") && mode.ends_with('s'))
                    || matches!(mode, "4755" | "4777" | "6755" | "2755" | "4711" | "06755"))
            {
                report.add(PERSISTENCE, 0.8, "Lets a program run with the rights of its owner (setuid)", place);
            } else if open && run.program == "chmod" {
                report.add(DESTRUCTIVE, if recursive { 0.5 } else { 0.35 }, "Opens files to everyone", place);
            }
            if run.program == "chmod"
                && open
                && run.operands().skip(1).any(|target| matches!(target, "/etc/passwd" | "/etc/shadow" | "/etc/sudoers"))
            {
                report.add(DESTRUCTIVE, 0.9, "Opens files the system needs to everyone", place);
            }
        }
        "truncate" if run.operands().any(|target| trace(target) || weight(target) >= 0.82) => {
            report.add(DESTRUCTIVE, 0.85, "Empties files that matter", place);
        }
        "ln" if run.has("/dev/null") && run.operands().any(trace) => {
            report.add(DESTRUCTIVE, 0.85, "Erases the traces of what was done", place)
        }
        "cp" | "cat" if run.first() == "/dev/null" && run.operands().skip(1).any(trace) => {
            report.add(DESTRUCTIVE, 0.85, "Erases the traces of what was done", place);
        }
        name if name.starts_with("mkfs") || matches!(name, "mke2fs" | "newfs" | "mkntfs" | "mkdosfs" | "mkswap") => {
            if run.operands().any(|target| target.starts_with("/dev/")) {
                report.add(DESTRUCTIVE, 0.9, "Formats a disk", place);
            }
        }
        _ => {}
    }
}

fn system(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    let service = |name: &str| {
        let name = name.trim_end_matches(".service");
        [
            "auditd",
            "rsyslog",
            "syslog",
            "syslogd",
            "ufw",
            "firewalld",
            "iptables",
            "falcon-sensor",
            "auoms",
            "apparmor",
            "fail2ban",
            "clamav-daemon",
            "clamav-freshclam",
            "selinux",
            "cron",
            "crond",
            "osqueryd",
            "wazuh-agent",
            "ossec",
            "cbdaemon",
            "cb",
            "systemd-journald",
            "mdatp",
            "aide",
            "sysmon",
        ]
        .contains(&name)
            || name.contains("syslog")
            || name.contains("falcon")
            || name.contains("esecd")
            || name.contains("audit")
    };
    match run.program.as_str() {
        "shutdown" | "halt" | "poweroff" | "reboot"
            if !run.flag("c", &["help", "version"]) || run.program != "shutdown" =>
        {
            report.add(DESTRUCTIVE, 0.85, "Stops the machine", place);
        }
        "init" | "telinit" if matches!(run.first(), "0" | "6") => {
            report.add(DESTRUCTIVE, 0.85, "Stops the machine", place)
        }
        "systemctl" | "service" | "rc-service" | "initctl" | "launchctl" => {
            let verbs = run.operands().collect::<Vec<_>>();
            if verbs.iter().any(|verb| matches!(*verb, "poweroff" | "reboot" | "halt" | "kexec")) {
                report.add(DESTRUCTIVE, 0.85, "Stops the machine", place);
            }
            if verbs.iter().any(|verb| {
                matches!(*verb, "stop" | "disable" | "mask" | "kill" | "unload" | "remove" | "bootout" | "onestop")
            }) && verbs.iter().any(|verb| service(verb))
            {
                report.add(DESTRUCTIVE, 0.85, "Stops a service that guards or records", place);
            }
        }
        "kill" if run.has("-1") && run.args.len() > 1 && run.args.last().is_some_and(|last| last.text == "-1") => {
            report.add(DESTRUCTIVE, 0.88, "Kills every process", place)
        }
        "killall5" => report.add(DESTRUCTIVE, 0.88, "Kills every process", place),
        "killall" | "pkill" | "kill"
            if run
                .operands()
                .any(|name| service(name.trim_matches(['^', '$'])) || matches!(name, "sshd" | "systemd")) =>
        {
            report.add(DESTRUCTIVE, 0.82, "Kills a service that guards or records", place);
        }
        "iptables" | "ip6tables" if run.flag("F", &["flush"]) || (run.flag("P", &["policy"]) && run.has("ACCEPT")) => {
            report.add(DESTRUCTIVE, 0.8, "Switches the firewall off", place)
        }
        "nft" if run.first() == "flush" => report.add(DESTRUCTIVE, 0.8, "Switches the firewall off", place),
        "ufw" if matches!(run.first(), "disable" | "reset") || run.has("disable") => {
            report.add(DESTRUCTIVE, 0.8, "Switches the firewall off", place)
        }
        "pfctl" if run.flag("d", &[]) => report.add(DESTRUCTIVE, 0.8, "Switches the firewall off", place),
        "setenforce" if matches!(run.first(), "0" | "Permissive" | "permissive") => {
            report.add(DESTRUCTIVE, 0.82, "Switches a guard of the system off", place)
        }
        "spctl" if run.any(|word| word.contains("disable")) => {
            report.add(DESTRUCTIVE, 0.82, "Switches a guard of the system off", place)
        }
        "csrutil" if run.first() == "disable" => {
            report.add(DESTRUCTIVE, 0.85, "Switches a guard of the system off", place)
        }
        "tmutil" if matches!(run.first(), "disable" | "delete" | "deletelocalsnapshots") => {
            report.add(DESTRUCTIVE, 0.82, "Switches backups off or deletes them", place)
        }
        "auditctl" if run.flag("D", &[]) || (run.flag("e", &[]) && run.has("0")) => {
            report.add(DESTRUCTIVE, 0.85, "Switches auditing off", place)
        }
        "history" if run.flag("cw", &[]) && run.flag("c", &[]) => {
            report.add(DESTRUCTIVE, 0.82, "Erases the shell history", place)
        }
        "unset" if run.operands().any(|name| name.starts_with("HIST")) => {
            report.add(DESTRUCTIVE, 0.82, "Switches the shell history off", place)
        }
        "set" if run.has("+o") && run.has("history") => {
            report.add(DESTRUCTIVE, 0.82, "Switches the shell history off", place)
        }
        "export" | "declare" | "typeset"
            if run.any(|word| {
                matches!(
                    word,
                    "HISTFILE=/dev/null"
                        | "HISTFILE="
                        | "HISTSIZE=0"
                        | "HISTFILESIZE=0"
                        | "SAVEHIST=0"
                        | "HISTCONTROL=ignoreboth"
                        | "HISTCONTROL=ignorespace"
                        | "HISTFILE=/dev/zero"
                )
            }) =>
        {
            report.add(DESTRUCTIVE, 0.82, "Switches the shell history off", place);
        }
        "wevtutil" if matches!(run.first(), "cl" | "clear-log") => {
            report.add(DESTRUCTIVE, 0.9, "Clears an event log", place)
        }
        "journalctl"
            if run.any(|word| word.starts_with("--vacuum-time=1s") || word == "--rotate")
                && run.any(|word| word.starts_with("--vacuum")) =>
        {
            report.add(DESTRUCTIVE, 0.6, "Clears the journal", place);
        }
        "crontab" if run.flag("r", &[]) => report.add(DESTRUCTIVE, 0.8, "Deletes all scheduled jobs of a user", place),
        "swapoff" if run.flag("a", &[]) => report.add(DESTRUCTIVE, 0.4, "Switches swap off", place),
        "userdel" | "deluser" if run.has("root") => report.add(DESTRUCTIVE, 0.9, "Deletes the administrator", place),
        "passwd" if run.flag("dl", &["delete", "lock"]) && run.has("root") => {
            report.add(DESTRUCTIVE, 0.85, "Changes the administrator's password", place)
        }
        "rmmod" | "modprobe" if run.flag("r", &["remove"]) || run.program == "rmmod" => {
            report.add(DESTRUCTIVE, 0.5, "Removes a kernel module", place)
        }
        "sysctl"
            if run.any(|word| word.starts_with("kernel.randomize_va_space=0") || word.starts_with("kernel.sysrq")) =>
        {
            report.add(DESTRUCTIVE, 0.8, "Weakens the kernel", place)
        }
        _ => {}
    }
}

fn cloud(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    let has = |words: &[&str]| words.iter().all(|word| run.has(word));
    let found: Option<(f32, &'static str)> = match run.program.as_str() {
        "aws" if has(&["s3", "rb"]) && run.has("--force") => {
            Some((0.88, "Deletes a storage bucket with everything in it"))
        }
        "aws" if has(&["s3", "rm"]) && run.has("--recursive") => {
            Some((0.85, "Deletes everything below a storage path"))
        }
        "aws"
            if run.any(|word| {
                matches!(
                    word,
                    "terminate-instances"
                        | "delete-db-instance"
                        | "delete-db-cluster"
                        | "delete-stack"
                        | "delete-bucket"
                        | "delete-table"
                        | "delete-trail"
                        | "stop-logging"
                        | "delete-cluster"
                        | "delete-key"
                        | "schedule-key-deletion"
                        | "delete-snapshot"
                        | "delete-log-group"
                        | "delete-flow-logs"
                        | "delete-detector"
                )
            }) =>
        {
            Some((0.82, "Deletes cloud resources"))
        }
        "gcloud"
            if run.has("delete")
                && run.any(|word| {
                    matches!(
                        word,
                        "projects" | "instances" | "buckets" | "clusters" | "databases" | "sql" | "keys" | "sinks"
                    )
                }) =>
        {
            Some((0.82, "Deletes cloud resources"))
        }
        "gsutil" if run.first() == "rb" || (run.has("rm") && run.flag("r", &[])) => {
            Some((0.82, "Deletes a storage bucket's content"))
        }
        "az" if run.has("delete") && (run.has("group") || run.has("--yes")) => Some((0.82, "Deletes cloud resources")),
        "kubectl" | "oc"
            if run.first() == "delete"
                && (run.has("--all")
                    || run.any(|word| {
                        matches!(word, "namespace" | "ns" | "namespaces" | "pv" | "pvc" | "crd" | "node")
                    })) =>
        {
            Some((0.82, "Deletes whole parts of a cluster"))
        }
        "terraform" | "tofu" | "terragrunt" if run.first() == "destroy" || run.has("-destroy") => {
            Some((0.85, "Destroys managed infrastructure"))
        }
        "pulumi" if run.first() == "destroy" => Some((0.85, "Destroys managed infrastructure")),
        "dropdb" => Some((0.85, "Drops a database")),
        "mysqladmin" if run.has("drop") => Some((0.88, "Drops a database")),
        "redis-cli" if run.any(|word| matches!(word.to_ascii_lowercase().as_str(), "flushall" | "flushdb")) => {
            Some((0.85, "Empties a database"))
        }
        "mongo" | "mongosh" if run.any(|word| word.contains("dropDatabase")) => Some((0.9, "Drops a database")),
        "gh" if has(&["repo", "delete"]) => Some((0.85, "Deletes a repository")),
        "npm" if run.first() == "unpublish" => Some((0.7, "Removes a published package")),
        "docker" | "podman" if has(&["system", "prune"]) && run.flag("a", &["volumes", "all"]) => {
            Some((0.6, "Removes unused images and volumes"))
        }
        "docker" | "podman" | "nerdctl"
            if run.any(|word| {
                word.starts_with("/:/")
                    || word.contains("src=/,")
                    || word.contains("source=/,")
                    || word.contains("/var/run/docker.sock:")
            }) =>
        {
            Some((0.85, "Gives a container the whole machine"))
        }
        "docker" | "podman" if run.has("--privileged") || run.has("--pid=host") => {
            Some((0.6, "Gives a container the rights of the machine"))
        }
        "git" if run.has("push") && run.flag("f", &["force"]) => {
            let main = run.any(|word| matches!(word, "main" | "master" | "--all" | "--mirror"));
            Some((if main { 0.7 } else { 0.45 }, "Overwrites the history of a remote branch"))
        }
        "git" if run.has("clean") && run.flag("x", &[]) && run.flag("f", &["force"]) => {
            Some((0.4, "Deletes files that are not tracked"))
        }
        "git" if run.has("reset") && run.has("--hard") => Some((0.3, "Throws changes away")),
        "vim-cmd" if run.any(|word| word.contains("snapshot.removeall") || word.contains("power.off")) => {
            Some((0.85, "Stops virtual machines or deletes their snapshots"))
        }
        "virsh" if matches!(run.first(), "destroy" | "undefine") => Some((0.5, "Stops a virtual machine")),
        _ => None,
    };
    if let Some((score, message)) = found {
        report.add(DESTRUCTIVE, score, message, place);
    }
    let access: Option<(f32, &'static str)> = match run.program.as_str() {
        "aws"
            if run.any(|word| {
                matches!(
                    word,
                    "create-access-key"
                        | "create-login-profile"
                        | "attach-user-policy"
                        | "put-user-policy"
                        | "update-login-profile"
                        | "add-user-to-group"
                )
            }) =>
        {
            Some((0.8, "Creates lasting access to a cloud account"))
        }
        "aws"
            if run.any(|word| {
                matches!(
                    word,
                    "get-secret-value" | "get-session-token" | "get-password-data" | "get-parameters-by-path"
                )
            }) =>
        {
            Some((0.55, "Reads a secret of a cloud account"))
        }
        "gcloud" if has(&["keys", "create"]) => Some((0.8, "Creates lasting access to a cloud account")),
        "gcloud" | "az"
            if run.any(|word| matches!(word, "print-access-token" | "get-access-token" | "print-identity-token")) =>
        {
            Some((0.6, "Prints a cloud access token"))
        }
        "kubectl" if run.any(|word| matches!(word, "secret" | "secrets")) && run.first() == "get" => {
            Some((0.6, "Reads the secrets of a cluster"))
        }
        _ => None,
    };
    if let Some((score, message)) = access {
        report.add(if score >= 0.8 { PERSISTENCE } else { CREDENTIALS }, score, message, place);
    }
}

fn persistence(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    match run.program.as_str() {
        "crontab" if !run.flag("lre", &["list"]) && (run.operands().next().is_some()) => {
            report.add(PERSISTENCE, 0.8, "Replaces the scheduled jobs of a user", place);
        }
        "useradd" | "adduser" | "usermod" | "pw" | "sysadminctl" => {
            let mighty = run.any(|word| matches!(word, "sudo" | "wheel" | "admin" | "root" | "-admin" | "docker"));
            let zero = run.args.windows(2).any(
                |pair| matches!(pair, [flag, id] if matches!(flag.text.as_str(), "-u" | "--uid") && id.text == "0"),
            );
            let root = run.args.windows(2).any(|pair| matches!(pair, [flag, id] if flag.text == "-g" && matches!(id.text.as_str(), "0" | "root" | "wheel")));
            if zero || root || (mighty && run.flag("aGgo", &["groups", "append"])) || run.has("-admin") {
                report.add(PERSISTENCE, 0.82, "Gives an account the rights of the administrator", place);
            } else if run.program != "usermod" {
                report.add(PERSISTENCE, 0.45, "Creates an account", place);
            }
        }
        "dscl" if run.any(|word| word == "-create") || run.any(|word| word == "-append") => {
            report.add(PERSISTENCE, 0.8, "Creates or changes an account", place)
        }
        "dsenableroot" => report.add(PERSISTENCE, 0.85, "Enables the administrator's account", place),
        "setcap"
            if run.any(|word| word.contains("setuid") || word.contains("sys_admin") || word.contains("cap_dac")) =>
        {
            report.add(PERSISTENCE, 0.85, "Gives a program rights of the administrator", place);
        }
        "insmod" | "kextload" | "modprobe" | "kldload" | "kmutil" if run.any(|word| word.contains('/')) => {
            report.add(PERSISTENCE, 0.8, "Loads a kernel module", place);
        }
        "kickstart" if run.has("-activate") => {
            report.add(PERSISTENCE, 0.85, "Opens the machine to be controlled from outside", place)
        }
        "defaults" if run.any(|word| matches!(word, "LoginHook" | "LogoutHook")) => {
            report.add(PERSISTENCE, 0.85, "Makes a program start by itself", place)
        }
        "security" if run.has("add-trusted-cert") => {
            report.add(PERSISTENCE, 0.82, "Makes the system trust another certificate", place)
        }
        "tcpdump" | "tshark" | "dumpcap" => report.add(CREDENTIALS, 0.45, "Records the network", place),
        "at" | "batch" if !run.flag("lrc", &[]) => report.add(PERSISTENCE, 0.4, "Schedules a job", place),
        "launchctl" if matches!(run.first(), "load" | "bootstrap" | "submit") => {
            report.add(PERSISTENCE, 0.5, "Starts a background service", place)
        }
        "nsenter" if run.any(|word| matches!(word, "1" | "--target=1")) => {
            report.add(PERSISTENCE, 0.85, "Steps out of its container", place)
        }
        "osascript"
            if run.any(|word| word.contains("with administrator privileges") || word.contains("hidden answer")) =>
        {
            report.add(CREDENTIALS, 0.85, "Asks a person for a password under a pretext", place);
        }
        "xattr" if run.any(|word| word.contains("com.apple.quarantine")) && run.flag("dc", &[]) => {
            report.add(OBFUSCATED, 0.8, "Takes the mark of a download off a file", place)
        }
        "visudo" | "ee" if run.any(|word| word.contains("sudoers")) => {
            report.add(PERSISTENCE, 0.5, "Edits who may become administrator", place)
        }
        _ => {}
    }
    let writes = run.is(&[
        "tee", "cp", "mv", "install", "ln", "sed", "touch", "rsync", "ee", "vim", "nano", "sponge", "perl", "awk",
        "mkdir", "curl", "wget", "chattr",
    ]);
    if writes {
        let in_place = !run.is(&["sed", "perl"]) || run.flag("i", &["in-place"]);
        let target = match run.program.as_str() {
            "cp" | "mv" | "install" | "ln" | "rsync" => run.operands().last(),
            "curl" | "wget" => run.after('o').or_else(|| run.after('O')).map(|word| word.text.as_str()),
            "awk" | "mkdir" => None,
            _ => run.operands().find(|operand| autostart(operand).is_some()),
        };
        if let Some(target) = target.filter(|_| in_place) {
            write_target(target, place, report);
        }
    }
}

/// What writing to `path` means, if it makes something start by itself or lets somebody in.
fn write_target(path: &str, place: &Range<usize>, report: &mut Report) {
    if let Some((score, message)) = autostart(path) {
        report.add(PERSISTENCE, score, message, place);
    }
}

fn autostart(path: &str) -> Option<(f32, &'static str)> {
    let path = path.trim_matches('"');
    let name = path.rsplit('/').next().unwrap_or_default();
    let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| !rest.is_empty());
    if name.starts_with("authorized_keys") {
        return Some((0.92, "Lets another key log in"));
    }
    if path == "/etc/ld.so.preload" {
        return Some((0.92, "Loads a library of its own into every program"));
    }
    if path.starts_with("/etc/sudoers") || path.ends_with("/etc/sudoers") {
        return Some((0.9, "Changes who may become administrator"));
    }
    if matches!(path, "/etc/passwd" | "/etc/shadow" | "/etc/group") {
        return Some((0.88, "Changes the accounts of the system"));
    }
    if below("/etc/pam.d/") || path == "/etc/ssh/sshd_config" {
        return Some((0.85, "Changes how the system lets people in"));
    }
    if [
        "/etc/cron",
        "/var/spool/cron",
        "/etc/init.d/",
        "/etc/rc.",
        "/etc/profile.d/",
        "/etc/update-motd.d/",
        "/etc/emond.d/",
        "/etc/udev/rules.d/",
        "/etc/xdg/autostart/",
        "/usr/local/etc/rc.d/",
        "/etc/systemd/system/",
        "/usr/lib/systemd/system/",
        "/lib/systemd/system/",
        "/etc/anacrontab",
        "/etc/at.d",
    ]
    .iter()
    .any(|root| below(root))
        || path.contains("/cron.d/")
        || path.contains("/.config/systemd/user/")
        || path.contains("/.config/autostart/")
        || path.contains("/LaunchAgents/")
        || path.contains("/LaunchDaemons/")
        || path.contains("/StartupItems/")
    {
        return Some((0.82, "Makes a program start by itself"));
    }
    let rc = matches!(
        name,
        ".bashrc"
            | ".bash_profile"
            | ".bash_login"
            | ".bash_logout"
            | ".profile"
            | ".zshrc"
            | ".zshenv"
            | ".zprofile"
            | ".zlogin"
            | ".cshrc"
            | ".tcshrc"
            | ".kshrc"
            | ".shrc"
            | ".xinitrc"
            | ".xprofile"
            | ".login"
            | ".logout"
    );
    if rc
        || matches!(
            path,
            "/etc/profile"
                | "/etc/bash.bashrc"
                | "/etc/bashrc"
                | "/etc/zshrc"
                | "/etc/environment"
                | "/etc/rc.local"
                | "/etc/zshenv"
                | "/etc/zprofile"
        )
    {
        return Some((if rc { 0.62 } else { 0.8 }, "Changes what every new shell runs"));
    }
    if below("/etc/pam") || path.starts_with("/.ssh") {
        return Some((0.7, "Changes how the system lets people in"));
    }
    None
}

/// How secret a file is.
pub(crate) fn sensitive(word: &str) -> Option<(f32, &'static str)> {
    let path = word.trim_start_matches('@').trim_matches('"');
    let path = path.strip_prefix("if=").unwrap_or(path);
    let path = path.split_once("=@").map_or(path, |pair| pair.1);
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if path.starts_with("s3://") || path.contains("://") && !path.starts_with("file://") {
        return None;
    }
    if matches!(
        path,
        "/etc/shadow"
            | "/etc/gshadow"
            | "/etc/master.passwd"
            | "/etc/shadow-"
            | "/etc/security/passwd"
            | "/etc/spwd.db"
    ) || path.ends_with("/etc/shadow")
    {
        return Some((0.92, "Reads the password hashes of the system"));
    }
    if path == "/etc/passwd" || path == "file:///etc/passwd" || path.ends_with("/etc/passwd") {
        return Some((0.55, "Reads the accounts of the system"));
    }
    let key = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "identity"].contains(&name)
        || (name.starts_with("ssh_host_") && name.ends_with("_key"));
    if key
        || (path.contains(".ssh")
            && (name == ".ssh" || name.is_empty() || name == "*" || name.starts_with("id_") && !name.ends_with(".pub")))
    {
        return Some((0.88, "Reads private keys"));
    }
    if path.contains(".aws/credentials")
        || path.contains("gcloud/credentials")
        || name == "application_default_credentials.json"
        || path.contains(".azure/")
        || name == "credentials.db"
        || name == "access_tokens.db"
    {
        return Some((0.88, "Reads cloud credentials"));
    }
    if matches!(
        name,
        ".netrc"
            | "_netrc"
            | ".git-credentials"
            | ".pgpass"
            | ".my.cnf"
            | ".htpasswd"
            | ".vault-token"
            | "secring.gpg"
            | "login.keychain"
            | "login.keychain-db"
            | "key4.db"
            | "logins.json"
            | "Cookies.binarycookies"
            | "Login Data"
            | "NTDS.dit"
            | "ntds.dit"
            | "wallet.dat"
            | ".docker/config.json"
    ) || path.contains(".docker/config.json")
        || path.contains(".kube/config")
        || path.contains("/.gnupg")
        || path.ends_with("/Keychains")
        || path.contains("Keychains/")
    {
        return Some((0.85, "Reads stored credentials"));
    }
    if path.starts_with("/proc/") && (path.ends_with("/environ") || path.ends_with("/mem") || path.ends_with("/maps")) {
        return Some((0.82, "Reads the memory or environment of a process"));
    }
    if matches!(
        path,
        "/run/secrets/kubernetes.io/serviceaccount/token" | "/var/run/secrets/kubernetes.io/serviceaccount/token"
    ) {
        return Some((0.88, "Reads the token of a service account"));
    }
    if name.ends_with("_history") || matches!(name, ".npmrc" | ".pypirc") {
        return Some((0.72, "Reads files that often hold passwords"));
    }
    if name == ".env"
        || (name.starts_with(".env.")
            && !name.contains("example")
            && !name.contains("sample")
            && !name.contains("template"))
    {
        return Some((0.72, "Reads the secrets of an application"));
    }
    if matches!(path, "/etc/sudoers" | "/usr/local/etc/sudoers") {
        return Some((0.6, "Reads who may become administrator"));
    }
    None
}
