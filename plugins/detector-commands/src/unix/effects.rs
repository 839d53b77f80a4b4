//! What single programs do.

use std::ops::Range;

use super::Run;
use super::paths::{SYSTEM_FILE, autostart, device, trace, weight};
use crate::report::{CREDENTIALS, DESTRUCTIVE, OBFUSCATED, PERSISTENCE, Report};

/// Deletes, overwrites, formats, opens.
pub(super) fn destructive(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
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
                } else if worth == SYSTEM_FILE || (!recursive && worth > 0.9 && target.ends_with('*')) {
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
                    || mode.contains("+xs")
                    || mode.contains("=xs")
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
            let disk = run.operands().any(|target| target.starts_with("/dev/"));
            report.add(DESTRUCTIVE, if disk { 0.9 } else { 0.0 }, "Formats a disk", place);
        }
        _ => {}
    }
}

/// Stops the machine or what guards it.
pub(super) fn system(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
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
        "kill" if run.args.len() > 1 && run.args.last().is_some_and(|last| last.text == "-1") => {
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
        "history" if run.flag("c", &[]) => report.add(DESTRUCTIVE, 0.82, "Erases the shell history", place),
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

/// Destroys or opens what is in a cloud, a cluster or a database.
pub(super) fn cloud(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
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
            Some((0.74, "Destroys managed infrastructure"))
        }
        "pulumi" if run.first() == "destroy" => Some((0.74, "Destroys managed infrastructure")),
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

/// Stays, or gains rights.
pub(super) fn persistence(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
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
            report.add(PERSISTENCE, 0.6, "Loads a kernel module", place);
        }
        "kickstart" if run.has("-activate") => {
            report.add(PERSISTENCE, 0.85, "Opens the machine to be controlled from outside", place)
        }
        "defaults" if run.any(|word| matches!(word, "LoginHook" | "LogoutHook")) => {
            report.add(PERSISTENCE, 0.85, "Makes a program start by itself", place)
        }
        "security" if run.has("add-trusted-cert") => {
            report.add(PERSISTENCE, 0.72, "Makes the system trust another certificate", place)
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
            report.add(OBFUSCATED, 0.62, "Takes the mark of a download off a file", place)
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
pub(super) fn write_target(path: &str, place: &Range<usize>, report: &mut Report) {
    if let Some((score, message)) = autostart(path) {
        report.add(PERSISTENCE, score, message, place);
    }
}
