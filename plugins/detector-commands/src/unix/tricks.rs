//! What is told from more than the words of one program: code given to an interpreter, statements given to a database, names that
//! hide something, and commands that only together do harm.

use std::ops::Range;

use super::paths::weight;
use super::{INTERPRETERS, Run, SHELLS, decodes};
use crate::report::{CREDENTIALS, DESTRUCTIVE, EXFILTRATION, OBFUSCATED, PERSISTENCE, Report};
use crate::shell::Command;
use crate::sql;

/// Longest code that is looked at.
const LONGEST: usize = 16 * 1024;
/// Folders that anybody may write to.
const TEMPORARY: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/"];

fn any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Whether an address is a number, not a name, and not this machine's.
pub(super) fn bare_address(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |pair| pair.1);
    let host = plugin_text::host_of(authority);
    host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Code on the command line of an interpreter.
pub(super) fn one_liner(command: &Command, run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    // `$PYTHON -c ...`, and what another command names.
    let named = run.program.is_empty()
        || run.program.starts_with('$') && any(&run.program, &["python", "perl", "ruby", "node", "php"]);
    let versioned = ["python", "perl", "ruby", "php", "lua"].iter().any(|name| run.program.starts_with(name));
    if !(named
        || versioned
        || run.is(INTERPRETERS)
        || run.is(&["awk", "gawk", "mawk", "groovy", "jrunscript", "expect", "swift", "go", "tclsh"]))
    {
        return;
    }
    let words = run.args.iter().map(|word| word.text.as_str()).chain(command.heredoc.as_deref());
    for code in words.filter(|word| word.len() > 8 && !word.starts_with('-')) {
        let code = code.get(..code.floor_char_boundary(LONGEST)).unwrap_or_default();
        for (category, score, message) in code_does(&code.to_ascii_lowercase()) {
            report.add(category, score, message, place);
        }
    }
}

/// What a short piece of source code does, in any language; `code` is in small letters.
pub(super) fn code_does(code: &str) -> Vec<(&'static str, f32, &'static str)> {
    let mut found = Vec::new();
    let runs = any(
        code,
        &[
            "exec(",
            "exec (",
            "eval(",
            "eval (",
            "eval ",
            "system(",
            "system (",
            "popen(",
            "subprocess",
            "spawn(",
            "spawnsync(",
            "execsync(",
            "passthru(",
            "shell_exec(",
            "os.execute(",
            "exec \"",
            "exec '",
            "exec(\"",
            "execve(",
            "`;",
        ],
    );
    let connects = any(
        code,
        &[
            "socket.",
            "socket(",
            "tcpsocket",
            "fsockopen(",
            "net.connect(",
            "net.socket(",
            "new net.socket",
            "io::socket",
            "/inet/tcp/",
            "use socket",
            "socket.tcp(",
            "tcpclient",
            "net.dial(",
            "createconnection(",
        ],
    );
    let shell =
        any(code, &["/bin/sh", "/bin/bash", "/bin/zsh", "cmd.exe", "pty.spawn(", "dup2(", "sh -i", "powershell"]);
    if connects && shell && (runs || any(code, &["dup2(", "pty.spawn(", "exec", "|&", ".pipe("])) {
        found.push((EXFILTRATION, 0.94, "Gives a shell to whoever is at the other end"));
    }
    let decoded = any(
        code,
        &[
            "b64decode",
            "decode_base64",
            "decode64",
            "atob(",
            "'base64')",
            "\"base64\")",
            "base64_decode",
            "fromhex(",
            "unhexlify",
            "rot13",
            "rot_13",
            "gzinflate",
            "zlib.decompress",
            "marshal.loads",
            "unpack('",
            "unpack(\"",
            "pack('h*",
            "pack(\"h*",
            "fromcharcode",
            "\\x65\\x78",
            "chr(ord(",
        ],
    );
    if decoded && runs {
        found.push((OBFUSCATED, 0.92, "Decodes something and runs it"));
    }
    let fetches = any(
        code,
        &[
            "urlopen(",
            "urllib",
            "requests.get(",
            "http.get(",
            "https.get(",
            "net/http",
            "lwp::",
            "open-uri",
            "file_get_contents('http",
            "file_get_contents(\"http",
            "curl_exec",
            "httpclient",
            "fetch(",
            "urlretrieve(",
        ],
    );
    if fetches && runs && !decoded {
        found.push((OBFUSCATED, 0.88, "Runs code straight from the network"));
    }
    let secret = any(
        code,
        &[
            "/etc/shadow",
            ".ssh/id_",
            ".aws/credentials",
            ".kube/config",
            "/etc/master.passwd",
            ".netrc",
            "login data",
            ".git-credentials",
            ".gnupg",
            "wallet.dat",
            ".docker/config",
        ],
    );
    let reads = any(
        code,
        &[
            "open(",
            "zipfile",
            "tarfile",
            "read(",
            "readfile",
            "file_get_contents",
            ".add(",
            ".write(",
            "getline",
            "<file",
            "open ",
            "read",
        ],
    );
    if secret && reads {
        found.push((CREDENTIALS, 0.9, "Reads stored credentials"));
    } else if code.contains("/etc/passwd") && reads {
        found.push((CREDENTIALS, 0.72, "Reads the accounts of the system"));
    }
    let sends = any(
        code,
        &[
            "requests.post(",
            "http.request",
            "urlopen(",
            "sendall(",
            ".send(",
            "http.post",
            "smtplib",
            "method:'post'",
            "method: 'post'",
            "https.request",
        ],
    );
    let environment = any(code, &["os.environ", "process.env", "env.to_h", "%env", "getenv()"]);
    if sends && (secret || environment) {
        found.push((EXFILTRATION, 0.9, "Sends secrets over the network"));
    }
    let wipes = any(
        code,
        &[
            "rmtree(",
            "remove_tree(",
            "rm_rf",
            "rm_r(",
            "rmsync(",
            "rmdirsync(",
            "rimraf",
            "removeall(",
            "deleterecursive",
        ],
    );
    let roots = any(
        code,
        &[
            "('/'",
            "(\"/\"",
            "'/etc",
            "\"/etc",
            "'/home",
            "\"/home",
            "'/var",
            "\"/var",
            "'/usr",
            "\"/usr",
            "expanduser",
            "path.home()",
            "homedir()",
            "'/*",
            "\"/*",
            "dir.home",
            "'c:\\",
            "\"c:\\",
            "'/root",
        ],
    );
    if wipes && roots {
        found.push((DESTRUCTIVE, 0.92, "Deletes whole folders that matter"));
    } else if wipes {
        found.push((DESTRUCTIVE, 0.45, "Deletes folders"));
    } else if any(code, &["os.walk('/')", "os.walk(\"/\")", "glob.glob('/**", "find.find", "file::find"])
        && any(code, &["os.remove(", "os.unlink(", "unlink"])
    {
        found.push((DESTRUCTIVE, 0.92, "Deletes everything it finds"));
    }
    if any(code, &["/dev/sd", "/dev/nvme", "/dev/vd", "/dev/disk", "physicaldrive"])
        && any(code, &["'w", "\"w", "'r+b", "write"])
    {
        found.push((DESTRUCTIVE, 0.92, "Writes over a disk device"));
    }
    if code.contains("fork") && any(code, &["while", "loop", "for(;;)", "fork while fork"]) {
        found.push((DESTRUCTIVE, 0.9, "Starts copies of itself without end (a fork bomb)"));
    }
    if any(code, &["setuid(0)", "setuid=0", "$<=0", "$>=0", "setresuid(0", "setgid(0)"]) {
        found.push((PERSISTENCE, 0.85, "Takes the rights of the administrator"));
    }
    if any(code, &["os.system(", "subprocess", "system(", "exec(", "execsync("])
        && any(code, &["rm -rf /", "rm -rf ~", "mkfs", "dd if=/dev/", "shutdown", ":(){"])
    {
        found.push((DESTRUCTIVE, 0.92, "Runs a destructive command from code"));
    }
    if any(code, &["pty.spawn("]) || (shell && runs && code.len() < 160) {
        found.push((OBFUSCATED, 0.82, "Breaks out of a program into a shell"));
    }
    found
}

const CLIENTS: &[&str] = &[
    "mysql",
    "mariadb",
    "psql",
    "sqlite3",
    "sqlite",
    "sqlcmd",
    "osql",
    "isql",
    "sqlplus",
    "cqlsh",
    "clickhouse-client",
    "clickhouse",
    "duckdb",
    "cockroach",
    "bq",
    "snowsql",
    "mssql-cli",
    "mycli",
    "pgcli",
    "tsql",
    "influx",
    "hive",
    "beeline",
    "presto",
    "trino",
    "impala-shell",
    "db2",
    "rqlite",
    "litecli",
    "usql",
    "pgsql",
];

/// A statement given to the client of a database: on its command line, in a here-document, or by `spoken`, what the pipe brings.
pub(super) fn statement(
    command: &Command,
    run: &Run<'_>,
    spoken: Option<&str>,
    place: &Range<usize>,
    report: &mut Report,
) {
    if !run.is(CLIENTS) {
        return;
    }
    let given =
        command.redirects.iter().filter(|redirect| redirect.0 == "<<<").map(|redirect| redirect.1.text.as_str());
    let words = run.args.iter().map(|word| word.text.as_str());
    for text in words.chain(given).chain(command.heredoc.as_deref()).chain(spoken) {
        // `--command=DROP ...`, `-eDROP ...`
        let text = text.split_once('=').filter(|pair| pair.0.starts_with("--")).map_or(text, |pair| pair.1);
        let text = text.strip_prefix("-e").or_else(|| text.strip_prefix("-c")).unwrap_or(text);
        if let Some((score, message)) = sql::destroys(text) {
            report.add(DESTRUCTIVE, score, message, place);
        }
    }
}

/// Variables that change what programs run.
pub(super) fn assigned(name: &str, value: &str, place: &Range<usize>, report: &mut Report) {
    let found: Option<(&'static str, f32, &'static str)> = match name {
        "PROMPT_COMMAND" if any(value, &["logger", "tee", "curl", "wget", "nc ", "/dev/tcp", "history -a"]) => {
            Some((CREDENTIALS, 0.8, "Records what a person types"))
        }
        "PROMPT_COMMAND" | "BASH_ENV" | "PYTHONSTARTUP" | "PERL5OPT" | "NODE_OPTIONS" | "RUBYOPT"
            if any(value, &["/tmp/", "/dev/shm/", "--require", "-r", "curl", "sh"]) =>
        {
            Some((PERSISTENCE, 0.62, "Changes what every new shell runs"))
        }
        "HISTCONTROL" if any(value, &["ignoreboth", "ignorespace"]) => {
            Some((DESTRUCTIVE, 0.5, "Switches the shell history off"))
        }
        "GIT_SSH_COMMAND" | "PAGER" | "EDITOR" | "MANPAGER" | "TF_CLI_CONFIG_FILE"
            if any(value, &["/bin/sh", "/bin/bash", "sh -c"]) =>
        {
            Some((OBFUSCATED, 0.8, "Breaks out of a program into a shell"))
        }
        "http_proxy" | "https_proxy" | "HTTP_PROXY" | "HTTPS_PROXY" | "ALL_PROXY" | "all_proxy"
            if !value.is_empty() =>
        {
            Some((EXFILTRATION, 0.35, "Sends what follows through a proxy"))
        }
        "PATH" if any(value, &["/tmp", "/dev/shm", "/var/tmp"]) || value.starts_with(".:") => {
            Some((PERSISTENCE, 0.8, "Puts programs of its own before those of the system"))
        }
        _ => None,
    };
    if let Some((category, score, message)) = found {
        report.add(category, score, message, place);
    }
}

/// Names that hide what something is.
pub(super) fn hidden(command: &Command, run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    let first = command.words.first().map_or("", |word| word.text.as_str());
    if TEMPORARY.iter().any(|folder| first.starts_with(folder)) {
        let odd = first.split('/').any(|part| part.len() > 1 && part.starts_with('.'));
        report.add(
            OBFUSCATED,
            if odd { 0.82 } else { 0.45 },
            "Runs a program from a folder that anybody may write to",
            place,
        );
    }
    // `/home/x/.../sh`, `". "`.
    let odd = |path: &str| {
        path.contains('/')
            && !path.starts_with("./...")
            && !path.ends_with("/...")
            && path.split('/').any(|part| matches!(part, "..." | "...." | ".. " | ". " | " "))
    };
    if odd(first) || run.operands().any(odd) {
        report.add(OBFUSCATED, 0.82, "Uses a folder whose name is made to be overlooked", place);
    }
    let below = |path: &str| {
        TEMPORARY.iter().chain(&["/usr/", "/etc/", "/var/", "/lib/", "/opt/"]).any(|folder| path.starts_with(folder))
    };
    let dotted = |path: &str| {
        below(path)
            && path.split('/').any(|part| {
                part.len() > 2
                    && part.starts_with('.')
                    && !part.starts_with("..")
                    && !matches!(
                        part,
                        ".git" | ".cache" | ".X11-unix" | ".npm" | ".venv" | ".env" | ".config" | ".local"
                    )
            })
    };
    if run.is(&["mkdir", "touch", "cp", "mv", "tee", "install", "curl", "wget", "ln"]) && run.operands().any(dotted)
        || command.redirects.iter().any(|redirect| redirect.0.starts_with('>') && dotted(&redirect.1.text))
    {
        report.add(OBFUSCATED, 0.62, "Hides a file in a folder of the system", place);
    }
    let shell_file = |path: &str| {
        matches!(
            path,
            "/bin/sh"
                | "/bin/bash"
                | "/bin/dash"
                | "/bin/zsh"
                | "/usr/bin/bash"
                | "/usr/bin/sh"
                | "/bin/busybox"
                | "/usr/bin/python3"
        )
    };
    if run.is(&["cp", "mv", "ln", "install", "dd"])
        && run.operands().any(|path| shell_file(path) || shell_file(path.trim_start_matches("if=")))
        && !run.operands().last().is_some_and(shell_file)
    {
        report.add(OBFUSCATED, 0.78, "Copies a shell under another name", place);
    }
    if run.is(SHELLS) || run.is(&["source", "."]) {
        let looks = run.operands().next().is_some_and(|file| {
            let file = file.to_ascii_lowercase();
            [".png", ".jpg", ".jpeg", ".gif", ".pdf", ".txt", ".log", ".doc", ".docx", ".mp3", ".ico"]
                .iter()
                .any(|end| file.ends_with(end))
        });
        if looks {
            report.add(OBFUSCATED, 0.75, "Runs a file as a program that does not look like one", place);
        }
    }
    let double = |file: &str| {
        [".pdf.", ".jpg.", ".png.", ".docx.", ".xlsx.", ".txt.", ".mp4."].iter().any(|middle| file.contains(middle))
            && [".sh", ".exe", ".py", ".bat", ".scr", ".js", ".vbs", ".command", ".app"]
                .iter()
                .any(|end| file.ends_with(end))
    };
    if double(first) || run.operands().any(double) || command.redirects.iter().any(|redirect| double(&redirect.1.text))
    {
        report.add(OBFUSCATED, 0.78, "Runs a file as a program that does not look like one", place);
    }
    if run.program == "alias"
        && run.any(|word| {
            ["sudo=", "su=", "ssh=", "passwd=", "ls=", "cd="].iter().any(|name| word.starts_with(name))
                && any(word, &["curl", "nc ", "tee", "/tmp/", "read -s", "wget", "sh -c", "python"])
        })
    {
        report.add(PERSISTENCE, 0.85, "Puts a program of its own in the place of another", place);
    }
    if run.is(&["zip", "7z", "7za", "rar", "gpg", "openssl"])
        && run.any(|word| {
            word.starts_with("-P")
                || word == "--password"
                || word == "--passphrase"
                || word == "--passphrase-fd"
                || word.starts_with("pass:")
        })
    {
        report.add(EXFILTRATION, 0.6, "Packs files behind a password", place);
    }
    let trusted = |path: &str| {
        any(path, &["/ca-certificates/", "/ca-trust/source/anchors", "/etc/ssl/certs/", "/pki/trust/anchors"])
    };
    if run.is(&["cp", "mv", "ln", "install", "tee", "curl", "wget"]) && run.operands().last().is_some_and(trusted) {
        report.add(PERSISTENCE, 0.62, "Makes the system trust another certificate", place);
    }
    if run.is(&["tar", "zip", "7z", "rsync", "scp", "cpio", "ditto"])
        && run.operands().any(|path| weight(path) >= 0.82 || path.starts_with("$HOME/") && !path.contains('.'))
    {
        report.add(EXFILTRATION, 0.5, "Packs whole folders that matter", place);
    }
}

/// What several commands do together.
pub(super) fn together(runs: &[Run<'_>], commands: &[Command], text: &str, all: &Range<usize>, report: &mut Report) {
    let is = |names: &[&str]| runs.iter().any(|run| run.is(names));
    let loops = is(&["for", "while", "until", "select"]) || any(text, &["for ", "while ", "until "]);
    if loops
        && is(&["sshpass", "smbclient", "rpcclient", "hydra", "curl", "mysql", "psql", "su", "kinit", "net"])
        && any(text, &["sshpass", "password", "passwd", "$pass", "${pass", "-p \"$", "wordlist", "rockyou"])
        && any(text, &["read ", "cat ", "seq ", ".txt", "for p", "for u"])
    {
        report.add(CREDENTIALS, 0.82, "Tries one password after the other", all);
    }
    if loops
        && is(&["dig", "nslookup", "host", "ping"])
        && (is(&["xxd", "base64", "od", "hexdump", "split"]) || any(text, &["$(base64", "base64"]))
    {
        report.add(EXFILTRATION, 0.85, "Sends data away in names to look up", all);
    }
    let encrypts = runs.iter().any(|run| {
        run.is(&["openssl"]) && run.any(|word| word.starts_with("-aes") || word == "enc" || word.starts_with("aes"))
            || run.is(&["gpg", "gpg2", "age", "ccrypt"]) && run.flag("ce", &["symmetric", "encrypt"])
    });
    let removes = is(&["rm", "shred", "unlink", "srm"]);
    if encrypts && removes && (loops || is(&["find", "xargs", "parallel"])) {
        report.add(DESTRUCTIVE, 0.88, "Encrypts files and removes the originals", all);
    }
    // Written or fetched, made executable, run.
    let made = runs.iter().any(|run| {
        run.program == "chmod"
            && run.any(|word| word.contains("+x") || word.starts_with('7'))
            && run.operands().any(|path| TEMPORARY.iter().any(|folder| path.starts_with(folder)))
    });
    let started = commands.iter().any(|command| {
        command.words.first().is_some_and(|word| TEMPORARY.iter().any(|folder| word.text.starts_with(folder)))
    }) || runs.iter().any(|run| {
        run.is(SHELLS) && run.operands().any(|path| TEMPORARY.iter().any(|folder| path.starts_with(folder)))
    });
    let brought =
        is(&["curl", "wget", "fetch", "base64", "xxd", "openssl", "echo", "printf", "cat", "nc", "unzip", "tar"]);
    if made && started && runs.iter().any(decodes) {
        report.add(OBFUSCATED, 0.85, "Decodes something and runs it", all);
    } else if made && started && brought {
        report.add(OBFUSCATED, 0.72, "Writes a program into a folder that anybody may write to and runs it", all);
    }
    // An empty folder mirrored over a full one.
    for run in runs.iter().filter(|run| run.program == "rsync" && run.any(|word| word.starts_with("--delete"))) {
        let empty = run.first().contains("empty") || run.first().contains("blank");
        let worth = run.operands().last().map_or(0.0, weight);
        if empty || worth >= 0.82 {
            report.add(DESTRUCTIVE, 0.85, "Empties a folder by mirroring another over it", all);
        }
    }
    // Without end, into a file.
    if runs.iter().any(|run| {
        run.program == "yes"
            || run.program == "dd"
                && run.any(|word| word == "if=/dev/zero" || word == "if=/dev/urandom")
                && !run.any(|word| word.starts_with("count="))
    }) && commands.iter().any(|command| {
        command.redirects.iter().any(|redirect| redirect.0.starts_with('>') && redirect.1.text != "/dev/null")
            || command.words.iter().any(|word| word.text.starts_with("of=/") && !word.text.starts_with("of=/dev/"))
    }) {
        report.add(DESTRUCTIVE, 0.72, "Fills the disk", all);
    }
    // `while true; do ... & done`
    if any(text, &["while true", "while :", "while 1", "for ((;;))", "until false", "while [ 1 ]"])
        && any(text, &["& done", "&done", "& ;", "&\ndone", "& }"])
    {
        report.add(DESTRUCTIVE, 0.78, "Starts processes without end", all);
    }
    let shells = runs.iter().filter(|run| run.is(&["curl", "wget"])).any(|run| run.any(bare_address));
    if shells && made {
        report.add(OBFUSCATED, 0.82, "Downloads a program and runs it", all);
    }
    // Volumes and containers all at once.
    for run in runs.iter().filter(|run| run.is(&["docker", "podman"])) {
        let many = run.args.iter().any(|word| word.substituted);
        if many && run.any(|word| matches!(word, "rm" | "rmi" | "kill")) {
            report.add(
                DESTRUCTIVE,
                if run.has("volume") { 0.82 } else { 0.6 },
                "Removes containers, images or volumes with their data",
                all,
            );
        }
    }
    if runs.iter().any(|run| {
        run.fed
            && run.is(&["kill", "redis-cli", "kubectl", "aws", "docker", "git"])
            && run.any(|word| {
                matches!(
                    word,
                    "-9" | "del" | "delete" | "rm" | "rmi" | "-D" | "--force" | "terminate-instances" | "unlink"
                )
            })
    }) {
        report.add(DESTRUCTIVE, 0.6, "Deletes or stops whatever another command names", all);
    }
}
