//! What names and strings of source code stand for.

/// What a value is, or where it comes from: several at once.
pub(crate) type Labels = u32;

/// All of the environment.
pub(crate) const ENVIRONMENT: Labels = 1;
/// One variable whose name says that it is secret.
pub(crate) const SECRET: Labels = 1 << 1;
/// The path of a file that holds credentials.
pub(crate) const CREDENTIALS: Labels = 1 << 2;
/// The path of what a browser or a wallet keeps.
pub(crate) const BROWSER: Labels = 1 << 3;
pub(crate) const CLIPBOARD: Labels = 1 << 4;
pub(crate) const SCREEN: Labels = 1 << 5;
pub(crate) const KEYS: Labels = 1 << 6;
/// Who and where it runs.
pub(crate) const MACHINE: Labels = 1 << 7;
/// Made of something encoded.
pub(crate) const DECODED: Labels = 1 << 8;
/// Came from the network.
pub(crate) const FETCHED: Labels = 1 << 9;
/// Came from whoever asks: arguments, requests.
pub(crate) const INPUT: Labels = 1 << 10;
/// A parameter of the function around it.
pub(crate) const PARAMETER: Labels = 1 << 11;
/// A path from which programs start by themselves.
pub(crate) const STARTUP: Labels = 1 << 12;
/// An address that is a number, of some other machine.
pub(crate) const BARE: Labels = 1 << 13;
/// A shell, or a command that does harm.
pub(crate) const SHELL: Labels = 1 << 14;
/// Runs code, as a value: `e = eval`.
pub(crate) const RUNNER: Labels = 1 << 15;
/// An account of the system, which is less than a secret.
pub(crate) const ACCOUNTS: Labels = 1 << 16;
/// Where everything is kept.
pub(crate) const ROOT: Labels = 1 << 17;

/// What a call does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sink {
    /// Sends it away, or asks for it.
    Network,
    /// Runs it as code.
    Code,
    /// Runs it as a command.
    Command,
    /// Writes it to a file.
    Write,
    /// Deletes it and all below.
    Delete,
}

fn ends(name: &str, list: &[&str]) -> bool {
    list.iter().any(|end| name.strip_suffix(end).is_some_and(|lead| lead.is_empty() || lead.ends_with('.')))
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// What a name stands for as a value. `called` if brackets follow.
pub(crate) fn source(name: &str, called: bool) -> Labels {
    if matches!(name, "os.environ" | "process.env" | "ENV" | "os.environb" | "environ" | "Deno.env" | "$_ENV")
        || ends(
            name,
            &[
                "os.Environ",
                "ENV.to_h",
                "ENV.to_hash",
                "ENV.inspect",
                "ENV.to_a",
                "ENV.map",
                "ENV.each",
                "Deno.env.toObject",
                "environ.copy",
                "environ.items",
                "System.getenv",
            ],
        ) && (called || name.starts_with("ENV"))
    {
        return ENVIRONMENT;
    }
    if ["ENV.to_h", "ENV.inspect", "ENV.to_a"].iter().any(|begin| name.starts_with(begin)) {
        return ENVIRONMENT;
    }
    if let Some(variable) = name
        .strip_prefix("process.env.")
        .or_else(|| name.strip_prefix("os.environ."))
        .or_else(|| name.strip_prefix("$env."))
    {
        return if secret_name(variable) { SECRET } else { 0 };
    }
    if called
        && (ends(
            name,
            &[
                "b64decode",
                "urlsafe_b64decode",
                "b32decode",
                "b16decode",
                "b85decode",
                "a85decode",
                "base64.decodebytes",
                "base64.decodestring",
                "atob",
                "bytes.fromhex",
                "bytearray.fromhex",
                "unhexlify",
                "a2b_base64",
                "zlib.decompress",
                "gzip.decompress",
                "lzma.decompress",
                "bz2.decompress",
                "marshal.loads",
                "codecs.decode",
                "Base64.decode64",
                "Base64.strict_decode64",
                "StdEncoding.DecodeString",
                "StdEncoding.Decode",
                "RawStdEncoding.DecodeString",
                "URLEncoding.DecodeString",
                "hex.DecodeString",
                "base64.NewDecoder",
                "base64_decode",
                "gzinflate",
                "gzuncompress",
                "str_rot13",
                "hex2bin",
                "Convert.FromBase64String",
                "FromBase64String",
                "String.fromCharCode",
                "unescape",
                "zlib.inflateSync",
                "zlib.gunzipSync",
                "zlib.brotliDecompressSync",
                "lsb.reveal",
                "Steganography.decode",
                "stegano.lsb.reveal",
                "Fernet.decrypt",
                "fernet.decrypt",
                "CryptoJS.AES.decrypt",
                "createDecipheriv",
                "decipher.update",
                "Marshal.load",
            ],
        ) || ends(name, &["fromhex", "unpack1"]))
    {
        // Not `decodeURIComponent`, which every site calls on parts of addresses, nor any other `decrypt`.
        return DECODED;
    }
    if called
        && ends(
            name,
            &[
                "requests.get",
                "httpx.get",
                "urllib.request.urlopen",
                "urllib2.urlopen",
                "urlopen",
                "urlretrieve",
                "urllib.request.urlretrieve",
                "wget.download",
                "axios.get",
                "fetch",
                "https.get",
                "http.get",
                "http.Get",
                "got",
                "node-fetch",
                "needle.get",
                "request.get",
                "Net.HTTP.get",
                "Net.HTTP.get_response",
                "URI.open",
                "open-uri.open",
                "HTTParty.get",
                "DownloadString",
                "DownloadFile",
                "DownloadData",
                "Invoke-WebRequest",
                "Invoke-RestMethod",
                "iwr",
                "irm",
                "curl_exec",
                "sock.recv",
                "s.recv",
                "socket.recv",
                "conn.recv",
                "aiohttp.get",
                "session.get",
                "client.get",
            ],
        )
    {
        return FETCHED;
    }
    if called
        && ends(
            name,
            &[
                "pyperclip.paste",
                "clipboardy.read",
                "clipboardy.readSync",
                "clipboard.readText",
                "clipboard.paste",
                "clipboard_get",
                "GetClipboardData",
                "getclipboarddata",
                "Get-Clipboard",
                "Clipboard.paste",
                "readText",
            ],
        )
    {
        return CLIPBOARD;
    }
    if called
        && (ends(
            name,
            &[
                "ImageGrab.grab",
                "pyautogui.screenshot",
                "pyscreenshot.grab",
                "mss.mss",
                "sct.shot",
                "sct.grab",
                "desktopCapturer.getSources",
                "screenshot",
                "CopyFromScreen",
                "d3dshot.create",
                "D3DShot.create",
                "screenshot-desktop",
                "VideoCapture",
            ],
        ) && name.contains('.'))
    {
        return SCREEN;
    }
    if ends(
        name,
        &[
            "keyboard.Listener",
            "keyboard.on_press",
            "keyboard.hook",
            "keyboard.record",
            "pynput.keyboard.Listener",
            "SetWindowsHookEx",
            "SetWindowsHookExA",
            "GetAsyncKeyState",
            "iohook",
            "GlobalKeyboardListener",
            "pyHook.HookManager",
            "HookManager",
        ],
    ) && called
    {
        return KEYS;
    }
    if called
        && ends(
            name,
            &[
                "platform.uname",
                "platform.node",
                "platform.platform",
                "platform.system",
                "socket.gethostname",
                "getpass.getuser",
                "os.getlogin",
                "os.uname",
                "uuid.getnode",
                "os.hostname",
                "os.userInfo",
                "os.networkInterfaces",
                "os.Hostname",
                "user.Current",
                "Socket.gethostname",
                "Etc.getlogin",
                "os.cpus",
                "os.platform",
                "os.homedir",
                "psutil.net_if_addrs",
            ],
        )
    {
        return MACHINE;
    }
    if ends(
        name,
        &[
            "sys.argv",
            "process.argv",
            "request.args",
            "request.form",
            "request.json",
            "request.data",
            "request.values",
            "req.query",
            "req.body",
            "req.params",
            "flask.request",
            "$_GET",
            "$_POST",
            "$_REQUEST",
            "$_COOKIE",
            "os.Args",
            "ARGV",
            "params",
        ],
    ) || called && matches!(name, "input" | "raw_input" | "gets" | "prompt" | "readline")
        || ["request.args.", "request.form.", "req.query.", "req.body.", "req.params.", "request.json."]
            .iter()
            .any(|begin| name.starts_with(begin))
    {
        return INPUT;
    }
    if matches!(
        name,
        "eval"
            | "exec"
            | "builtins.exec"
            | "builtins.eval"
            | "__builtins__.exec"
            | "__builtins__.eval"
            | "globalThis.eval"
            | "window.eval"
            | "global.eval"
    ) && !called
    {
        return RUNNER;
    }
    if called && ends(name, &["Path.home", "expanduser", "os.homedir", "Dir.home", "homedir", "os.UserHomeDir"]) {
        return ROOT;
    }
    0
}

/// Whether a variable of this name holds a secret.
pub(crate) fn secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    [
        "SECRET",
        "TOKEN",
        "PASSWORD",
        "PASSWD",
        "API_KEY",
        "APIKEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
        "CREDENTIAL",
        "SESSION_KEY",
    ]
    .iter()
    .any(|part| upper.contains(part))
}

/// What a string stands for.
pub(crate) fn string(text: &str) -> Labels {
    if text.len() > 2048 {
        return 0;
    }
    let lower = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let is = |words: &[&str]| words.contains(&lower.as_str());
    let mut labels = 0;
    if any(&[
        ".ssh/id_",
        ".ssh\\id_",
        ".aws/credentials",
        "/etc/shadow",
        ".netrc",
        ".git-credentials",
        ".kube/config",
        ".docker/config.json",
        ".npmrc",
        ".pypirc",
        ".pgpass",
        "gcloud/application_default",
        "gcloud/credentials",
        ".azure/",
        ".gnupg",
        "/proc/self/environ",
        ".bash_history",
        ".zsh_history",
        "serviceaccount/token",
        ".vault-token",
        "id_ed25519",
        "id_rsa",
        ".git/config",
        "terraform.tfstate",
        "windows\\vault",
        "ntuser.dat",
        "config\\sam",
    ]) || is(&[".env", "~/.ssh", ".ssh", ".aws", "/.ssh", "credentials.json", "secrets.json"])
        || lower.ends_with("/.env")
        || lower.ends_with("/.ssh")
        || lower.ends_with("/.aws")
    {
        labels |= CREDENTIALS;
    }
    if any(&["/etc/passwd"]) {
        labels |= ACCOUNTS;
    }
    if any(&[
        "login data",
        "cookies.sqlite",
        "key4.db",
        "logins.json",
        "google/chrome/user data",
        "google\\chrome\\user data",
        "\\local state",
        "local extension settings",
        "user data\\default",
        "user data/default",
        "wallet.dat",
        "metamask",
        "nkbihfbeogaeaoehlefnkodbefgpgknn",
        "electrum/wallets",
        "exodus.wallet",
        "\\exodus",
        "ethereum/keystore",
        "\\ethereum\\keystore",
        "atomic\\local storage",
        "discord\\local storage",
        "leveldb",
        "bravesoftware",
        "opera software",
        "mozilla/firefox/profiles",
        "coinomi",
        ".config/solana",
        "phantom",
        "login.keychain",
    ]) {
        labels |= BROWSER;
    }
    if any(&[
        ".bashrc",
        ".zshrc",
        ".bash_profile",
        ".profile",
        ".zshenv",
        "authorized_keys",
        "/etc/cron",
        "/etc/rc.local",
        "launchagents",
        "launchdaemons",
        "/etc/systemd/system",
        ".config/systemd/user",
        ".config/autostart",
        "currentversion\\run",
        "currentversion\\\\run",
        "start menu\\programs\\startup",
        "start menu/programs/startup",
        "ld.so.preload",
        "/etc/profile.d",
        ".git/hooks/",
        "/etc/sudoers",
        "crontab",
    ]) && lower.len() < 300
    {
        labels |= STARTUP;
    }
    if any(&["/bin/sh", "/bin/bash", "cmd.exe", "/bin/zsh", "powershell"]) || is(&["sh", "bash", "cmd"]) {
        labels |= SHELL;
    }
    if let Some((_, rest)) = lower.split_once("://") {
        let far = |rest: &str| {
            plugin_text::host_of(rest)
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|ip| !ip.is_loopback() && !ip.is_private() && !ip.is_unspecified() && !ip.is_link_local())
        };
        // The address may stand in quotes within the string; a quote before an `@` belongs to it.
        if far(rest) || rest.split(['"', '\'']).next().is_some_and(far) {
            labels |= BARE;
        }
    }
    if is(&["/", "~", "/*", "c:\\", "/home", "/etc", "/root", "/usr", "/var", "$home", "c:/"]) {
        labels |= ROOT;
    }
    labels
}

/// Whether a command in a string does harm.
pub(crate) fn harmful(text: &str) -> Option<(f32, &'static str)> {
    let lower = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let fetches = any(&[
        "curl ",
        "wget ",
        "invoke-webrequest",
        "iwr ",
        "downloadstring",
        "downloadfile",
        "certutil",
        "bitsadmin",
    ]);
    if fetches
        && any(&[
            "| sh",
            "|sh",
            "| bash",
            "|bash",
            "| python",
            "|python",
            "iex",
            "invoke-expression",
            "&& chmod",
            "; chmod",
            "start-process",
            "-urlcache",
            "&& ./",
            "; sh ",
            "&& sh ",
            "&& bash ",
        ])
    {
        return Some((0.9, "Runs code straight from the network"));
    }
    if any(&["/dev/tcp/", "nc -e", "ncat -e", "mkfifo", "bash -i >&", "tcpclient("]) {
        return Some((0.94, "Gives a shell to whoever is at the other end"));
    }
    if any(&[
        "rm -rf /",
        "rm -rf ~",
        "rm -rf $home",
        "rm -fr /",
        "mkfs",
        "dd if=/dev/zero",
        "dd if=/dev/urandom",
        ":(){",
        "vssadmin delete",
        "format c:",
        "del /f /s /q c:",
        "rd /s /q c:",
        "remove-item -recurse -force c:",
    ]) && !any(&["rm -rf /tmp", "rm -rf /var/lib/apt", "rm -rf /var/cache"])
    {
        return Some((0.9, "Runs a destructive command"));
    }
    if any(&["-encodedcommand", "-enc ", "base64 -d", "base64 --decode", "-w hidden", "-windowstyle hidden"]) {
        return Some((0.85, "Runs a command behind an encoding, or hidden"));
    }
    if any(&["npm publish", "twine upload", "cargo publish", "gem push"]) {
        return Some((0.55, "Publishes a package"));
    }
    if any(&[
        "authorized_keys",
        "crontab -",
        "/etc/cron",
        "/etc/sudoers",
        "useradd ",
        "net user",
        "schtasks /create",
        "reg add",
    ]) {
        return Some((0.82, "Stays on the machine, or lets somebody in"));
    }
    if any(&["cat /etc/shadow", ".ssh/id_", ".aws/credentials", "security find-", "mimikatz", "reg save"]) {
        return Some((0.85, "Reads stored credentials"));
    }
    None
}

/// What a call of `name` does.
pub(crate) fn sink(name: &str) -> Option<Sink> {
    let plain = name
        .trim_start_matches("globalThis.")
        .trim_start_matches("window.")
        .trim_start_matches("global.")
        .trim_start_matches("self.");
    if matches!(
        plain,
        "exec"
            | "eval"
            | "Function"
            | "execScript"
            | "instance_eval"
            | "class_eval"
            | "module_eval"
            | "iex"
            | "Invoke-Expression"
            | "execfile"
            | "builtins.exec"
            | "builtins.eval"
            | "builtins.compile"
            | "__builtins__.exec"
            | "__builtins__.eval"
            | "compile"
    ) || ends(
        plain,
        &[
            "vm.runInThisContext",
            "vm.runInNewContext",
            "vm.runInContext",
            "vm.Script",
            "types.FunctionType",
            "pickle.loads",
            "cPickle.loads",
            "dill.loads",
            "Marshal.load",
            "ScriptBlock.Create",
            "Assembly.Load",
            "module._compile",
            "_compile",
            "exec_module",
            "new.Function",
            "instance_eval",
            "class_eval",
        ],
    ) {
        return Some(Sink::Code);
    }
    if ends(
        plain,
        &[
            "os.system",
            "os.popen",
            "os.execl",
            "os.execv",
            "os.execve",
            "os.execvp",
            "os.spawnl",
            "os.spawnv",
            "os.startfile",
            "subprocess.run",
            "subprocess.call",
            "subprocess.Popen",
            "subprocess.check_output",
            "subprocess.check_call",
            "subprocess.getoutput",
            "subprocess.getstatusoutput",
            "commands.getoutput",
            "pty.spawn",
            "child_process.exec",
            "child_process.execSync",
            "child_process.spawn",
            "child_process.spawnSync",
            "child_process.execFile",
            "child_process.execFileSync",
            "child_process.fork",
            "shelljs.exec",
            "shell.exec",
            "Bun.spawn",
            "Deno.run",
            "Deno.Command",
            "exec.Command",
            "exec.CommandContext",
            "syscall.Exec",
            "syscall.ForkExec",
            "Kernel.system",
            "Kernel.exec",
            "Kernel.spawn",
            "IO.popen",
            "Open3.capture2",
            "Open3.capture3",
            "Open3.popen3",
            "PTY.spawn",
            "Runtime.getRuntime.exec",
            "create_subprocess_shell",
            "create_subprocess_exec",
            "winexec",
            "ShellExecute",
            "ShellExecuteA",
            "CreateProcess",
        ],
    ) || matches!(
        plain,
        "system"
            | "popen"
            | "shell_exec"
            | "passthru"
            | "proc_open"
            | "execSync"
            | "spawnSync"
            | "execFile"
            | "execa"
            | "spawn"
            | "Start-Process"
            | "Popen"
            | "check_output"
    ) {
        return Some(Sink::Command);
    }
    if ends(
        plain,
        &[
            "shutil.rmtree",
            "fs.rmSync",
            "fs.rm",
            "fs.rmdirSync",
            "fs.rmdir",
            "fs.unlinkSync",
            "rimraf",
            "rimraf.sync",
            "FileUtils.rm_rf",
            "FileUtils.rm_r",
            "os.RemoveAll",
            "fse.removeSync",
            "fs-extra.removeSync",
            "del.sync",
            "os.remove",
            "os.unlink",
            "Remove-Item",
            "Directory.Delete",
        ],
    ) {
        return Some(Sink::Delete);
    }
    if ends(
        plain,
        &[
            "requests.post",
            "requests.put",
            "requests.patch",
            "requests.get",
            "requests.request",
            "httpx.post",
            "httpx.put",
            "httpx.get",
            "urllib.request.urlopen",
            "urllib.request.Request",
            "urllib2.urlopen",
            "urlopen",
            "axios",
            "axios.post",
            "axios.put",
            "axios.get",
            "axios.request",
            "fetch",
            "node-fetch",
            "got",
            "got.post",
            "https.request",
            "http.request",
            "https.get",
            "http.get",
            "superagent.post",
            "needle.post",
            "navigator.sendBeacon",
            "Net.HTTP.post",
            "Net.HTTP.post_form",
            "Net.HTTP.get",
            "HTTParty.post",
            "HTTParty.get",
            "RestClient.post",
            "Faraday.post",
            "http.Post",
            "http.PostForm",
            "http.NewRequest",
            "http.Get",
            "client.Do",
            "client.post",
            "session.post",
            "Invoke-RestMethod",
            "Invoke-WebRequest",
            "UploadString",
            "UploadFile",
            "UploadData",
            "curl_setopt",
            "smtplib.sendmail",
            "dns.resolve",
            "dns.lookup",
            "dns.resolve4",
            "socket.gethostbyname",
            "socket.getaddrinfo",
            "fsockopen",
            "$.post",
            "$.ajax",
            "ftp.storbinary",
            "s3.upload_file",
        ],
    ) || matches!(
        last(plain),
        "sendall"
            | "sendto"
            | "sendmail"
            | "send_message"
            | "sendBeacon"
            | "post"
            | "storbinary"
            | "putrequest"
            | "webhook_send"
    ) || matches!(last(plain), "send" | "write" | "request" | "emit" | "Write" | "WriteMessage" | "WriteJSON")
        && [
            "sock",
            "socket",
            "ws",
            "xhr",
            "s",
            "conn",
            "client",
            "req",
            "connection",
            "websocket",
            "http",
            "tls",
            "channel",
            "bot",
        ]
        .iter()
        .any(|receiver| plain.split('.').rev().nth(1) == Some(receiver))
    {
        return Some(Sink::Network);
    }
    if matches!(
        last(plain),
        "write"
            | "writeFileSync"
            | "writeFile"
            | "appendFile"
            | "appendFileSync"
            | "write_text"
            | "write_bytes"
            | "WriteFile"
            | "writelines"
            | "SetValueEx"
            | "copyfile"
            | "copy"
            | "Copy"
            | "copyFileSync"
            | "createWriteStream"
            | "symlink"
            | "Add-Content"
            | "Set-Content"
            | "file_put_contents"
    ) {
        return Some(Sink::Write);
    }
    None
}
