//! Paths that matter.

/// The weight of a file below a folder of the system.
pub(super) const SYSTEM_FILE: f32 = 0.82;

/// Whether a word is a connection of the shell's own.
pub(super) fn network_path(word: &str) -> bool {
    word.starts_with("/dev/tcp/") || word.starts_with("/dev/udp/") || word.contains(">/dev/tcp/")
}

/// Whether a path is a disk.
pub(super) fn device(path: &str) -> bool {
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
pub(super) fn trace(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with("_history")
        || path.starts_with("/var/log/")
        || path.starts_with("/var/audit")
        || matches!(path, "/var/log" | "/var/run/utmp" | "/var/spool/mail")
        || path.starts_with("/var/spool/mail/")
}

/// How bad it is to lose everything below `target`: 0 for an ordinary path.
pub(super) fn weight(target: &str) -> f32 {
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
        return SYSTEM_FILE;
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

/// What writing to `path` means, if it makes something start by itself or lets somebody in.
pub(crate) fn autostart(path: &str) -> Option<(f32, &'static str)> {
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
    if path.ends_with("/etc/passwd") {
        return Some((0.55, "Reads the accounts of the system"));
    }
    let key = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"].contains(&name)
        // An ordinary word, too.
        || path.ends_with("/identity")
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
            | "Local State"
            | "cookies.sqlite"
            | ".s3cfg"
            | ".boto"
            | "credentials.json"
            | "service-account.json"
            | "wp-config.php"
            | ".msmtprc"
            | ".mylogin.cnf"
    ) || path.contains(".docker/config.json")
        || path.contains(".kube/config")
        || path.contains("/.gnupg")
        || path.contains(".password-store")
        || path.contains(".electrum/wallets")
        || path.contains(".ethereum/keystore")
        || path.contains(".config/gh/hosts.yml")
        || path.contains(".terraform.d/credentials")
        || path.contains(".cargo/credentials")
        || path.contains(".config/rclone/rclone.conf")
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
    if name.ends_with("_history") || matches!(name, ".npmrc" | ".pypirc" | ".history") {
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
