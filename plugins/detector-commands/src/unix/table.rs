//! What a program does when it is given certain words: one row each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::Run;
use crate::report::{CREDENTIALS, DESTRUCTIVE, EXFILTRATION, OBFUSCATED, PERSISTENCE, Report};

/// `(programs, words, category, score, message)`. Programs are joined by `|`. Groups of words are joined by ` & `, the words of a
/// group by `|`; each group must be met by an argument, a group that begins with `!` by none. A `*` stands for anything at the
/// beginning or the end of a word.
type Row = (&'static str, &'static str, &'static str, f32, &'static str);

const HISTORY: &str = "Overwrites history that others have";
const LOCAL: &str = "Throws work away that is kept nowhere else";
const CONTAINERS: &str = "Removes containers, images or volumes with their data";
const CLUSTER: &str = "Deletes parts of a cluster";
const RESOURCES: &str = "Deletes cloud resources";
const INFRA: &str = "Destroys managed infrastructure";
const DATABASE: &str = "Drops or empties a database";
const MACHINES: &str = "Deletes virtual machines or their disks";
const DISK: &str = "Erases a disk or what keeps it together";
const PACKAGES: &str = "Removes packages the system needs";
const OFFLINE: &str = "Takes the machine off the network";
const GUARD: &str = "Switches a guard of the system off";
const LOG: &str = "Erases or switches off the records of what was done";
const LOCK: &str = "Encrypts files or packs them behind a password and removes them";
const FILL: &str = "Uses up the machine";
const ACCESS: &str = "Creates lasting access or gives more rights";
const SECRETS: &str = "Reads stored secrets";
const TRUST: &str = "Makes the system trust another certificate";
const TOOL: &str = "Runs a tool made for attacks";
const TUNNEL: &str = "Opens a way around the network's borders";
const SEND: &str = "Sends data away";
const SHELL: &str = "Breaks out of a program into a shell";
const START: &str = "Makes a program start by itself";
const LISTEN: &str = "Records the network, the keyboard or the screen";
const TIME: &str = "Changes the times of files to hide what was done";
const HIDE: &str = "Hides what it does";

const ROWS: &[Row] = &[
    // Version control.
    (
        "git",
        "push & --force|-f|--mirror & main|master|trunk|production|release*|*:main|*:master|HEAD:*|--all|--mirror",
        DESTRUCTIVE,
        0.82,
        HISTORY,
    ),
    ("git", "push & +*", DESTRUCTIVE, 0.8, HISTORY),
    ("git", "push & --force|-f|--force-with-lease*", DESTRUCTIVE, 0.55, HISTORY),
    ("git", "push & --delete|-d|:* & main|master|*:main|*:master|*/main|*/master|v*", DESTRUCTIVE, 0.8, HISTORY),
    ("git", "push & --delete|-d|:*", DESTRUCTIVE, 0.5, HISTORY),
    ("git", "filter-branch|filter-repo & !--analyze", DESTRUCTIVE, 0.45, HISTORY),
    ("git", "reset & --hard & origin/*|upstream/*|HEAD~*|HEAD^*|@{*", DESTRUCTIVE, 0.5, LOCAL),
    ("git", "clean & -*f*x*|-*x*f*|-*d*f*|-*f*d*", DESTRUCTIVE, 0.5, LOCAL),
    ("git", "branch & -D & main|master|trunk|production", DESTRUCTIVE, 0.75, HISTORY),
    ("git", "reflog & expire & --expire=now|--expire-unreachable=now|--expire=all", DESTRUCTIVE, 0.75, LOCAL),
    ("git", "stash & clear|drop", DESTRUCTIVE, 0.35, LOCAL),
    ("git", "update-ref & -d", DESTRUCTIVE, 0.6, HISTORY),
    ("svn|hg", "strip|delete & http*|svn:*|--force", DESTRUCTIVE, 0.55, HISTORY),
    ("gh|glab", "repo|release|secret & delete", DESTRUCTIVE, 0.82, "Deletes a repository or what belongs to it"),
    // Containers and clusters.
    ("docker|podman|nerdctl", "system & prune & -a|--all|-af|-fa|-a* & --volumes", DESTRUCTIVE, 0.72, CONTAINERS),
    ("docker|podman|nerdctl", "system & prune & -f|-af|-fa|--force", DESTRUCTIVE, 0.62, CONTAINERS),
    ("docker|podman|nerdctl", "volume & prune", DESTRUCTIVE, 0.55, CONTAINERS),
    ("docker|podman|nerdctl", "volume & rm & *$(*|-f|--force|*docker volume*", DESTRUCTIVE, 0.72, CONTAINERS),
    ("docker-compose", "down & -v|--volumes", DESTRUCTIVE, 0.55, CONTAINERS),
    ("docker|podman", "compose & down & -v|--volumes", DESTRUCTIVE, 0.55, CONTAINERS),
    ("docker", "swarm & leave & --force|-f", DESTRUCTIVE, 0.6, CLUSTER),
    (
        "kubectl|oc|k3s|microk8s.kubectl",
        "delete & --all|-A|--all-namespaces|namespace|ns|namespaces|project|pv|pvc|persistentvolume*|crd|node|nodes|ns/*|namespace/*|all",
        DESTRUCTIVE,
        0.85,
        CLUSTER,
    ),
    (
        "kubectl|oc",
        "delete & deployment|deployments|deploy|statefulset|sts|secret|secrets|service|svc|ingress|configmap|daemonset|clusterrole*|deployment/*|--force",
        DESTRUCTIVE,
        0.55,
        CLUSTER,
    ),
    (
        "kubectl|oc",
        "scale & --replicas=0 & --all|deployment|deploy|statefulset|deployment/*|deploy/*|statefulset/*",
        DESTRUCTIVE,
        0.5,
        CLUSTER,
    ),
    ("kubectl|oc", "drain & --force|--delete-emptydir-data|--delete-local-data", DESTRUCTIVE, 0.5, CLUSTER),
    ("kubectl|oc", "replace & --force", DESTRUCTIVE, 0.4, CLUSTER),
    ("helm", "uninstall|delete", DESTRUCTIVE, 0.5, CLUSTER),
    ("kubeadm", "reset", DESTRUCTIVE, 0.82, CLUSTER),
    ("etcdctl", "del & --prefix|--from-key", DESTRUCTIVE, 0.9, CLUSTER),
    ("eksctl|kops|kind|k3d|minikube", "delete & cluster|clusters|--all", DESTRUCTIVE, 0.45, CLUSTER),
    ("nomad", "stop|job & -purge", DESTRUCTIVE, 0.65, CLUSTER),
    ("consul", "kv & delete & -recurse", DESTRUCTIVE, 0.85, "Deletes a whole tree of settings"),
    ("vault", "disable|delete|destroy & secrets|auth|kv|secret/*", DESTRUCTIVE, 0.75, "Deletes stored secrets"),
    // Infrastructure.
    (
        "terraform|tofu|terragrunt",
        "destroy|-destroy|--destroy|run-all & -auto-approve|--auto-approve|--terragrunt-non-interactive",
        DESTRUCTIVE,
        0.88,
        INFRA,
    ),
    ("terraform|tofu", "state|workspace & rm|delete", DESTRUCTIVE, 0.5, INFRA),
    ("pulumi", "destroy|rm & --yes|-y|--force|-f", DESTRUCTIVE, 0.88, INFRA),
    ("cdk|cdktf|sst|copilot", "destroy|remove|delete & --force|-f|--yes|--no-rollback|--all", DESTRUCTIVE, 0.82, INFRA),
    ("cdk|cdktf|sst|copilot", "destroy|remove|delete", DESTRUCTIVE, 0.6, INFRA),
    ("serverless|sls|sam|amplify", "remove|delete", DESTRUCTIVE, 0.65, INFRA),
    ("heroku", "apps:destroy|pg:reset|pg:drop|addons:destroy", DESTRUCTIVE, 0.85, RESOURCES),
    (
        "fly|flyctl|vercel|netlify|railway|render|wrangler|firebase|supabase|doctl|hcloud|linode-cli|ibmcloud|oci|openstack|scw|civo|vultr-cli",
        "destroy|delete|rm|remove|sites:delete|firestore:delete|hosting:disable|terminate|*:delete",
        DESTRUCTIVE,
        0.5,
        RESOURCES,
    ),
    ("supabase", "db & reset", DESTRUCTIVE, 0.75, DATABASE),
    (
        "aws",
        "delete-bucket|delete-db-*|delete-stack|delete-table|delete-trail|delete-cluster|delete-nodegroup|delete-file-system|delete-volume|delete-vpc|delete-user|delete-role|delete-hosted-zone|delete-repository|delete-function|delete-objects|delete-snapshot|delete-secret|delete-user-pool|delete-recovery-point|delete-backup-vault|delete-cache-cluster|delete-replication-group|delete-auto-scaling-group|delete-load-balancer|delete-log-group|delete-distribution|delete-domain|delete-organization|close-account|terminate-*|deregister-image|schedule-key-deletion|disable-key|stop-logging|disable-*|leave-organization",
        DESTRUCTIVE,
        0.72,
        RESOURCES,
    ),
    (
        "aws",
        "delete-* & --force*|--skip-final-snapshot|--force-delete-without-recovery|--no-retain-*|--delete-automated-backups",
        DESTRUCTIVE,
        0.88,
        RESOURCES,
    ),
    ("aws", "put-bucket-lifecycle*|put-bucket-versioning & *Expiration*|*Suspended*", DESTRUCTIVE, 0.72, RESOURCES),
    ("aws", "s3 & sync & --delete", DESTRUCTIVE, 0.35, RESOURCES),
    ("gcloud", "delete & projects|folders", DESTRUCTIVE, 0.88, RESOURCES),
    ("gcloud", "delete & --quiet|-q", DESTRUCTIVE, 0.82, RESOURCES),
    (
        "gcloud",
        "delete|disable|destroy & compute|container|sql|storage|run|functions|pubsub|bigtable|spanner|kms|logging|iam|services|dns|firestore|redis",
        DESTRUCTIVE,
        0.62,
        RESOURCES,
    ),
    ("gcloud|gsutil", "storage|rm|rb & rm|-r|-rf|--recursive & gs://*", DESTRUCTIVE, 0.82, RESOURCES),
    ("bq", "rm & -r|-f|--recursive|--force", DESTRUCTIVE, 0.82, DATABASE),
    (
        "az",
        "delete|purge|delete-batch & --yes|-y|--no-wait|group|vm|aks|keyvault|storage|sql|cosmosdb|deployment",
        DESTRUCTIVE,
        0.78,
        RESOURCES,
    ),
    (
        "azcopy|rclone|s3cmd|mc|s5cmd",
        "remove|purge|delete|rb|rm|del & --recursive*|-r|purge|--force|*://*|*:*",
        DESTRUCTIVE,
        0.72,
        RESOURCES,
    ),
    (
        "ansible|salt|pssh|parallel-ssh|clush|dsh",
        "*rm -rf*|*rm -fr*|*mkfs*|*shutdown*|*poweroff*|*dd if=*",
        DESTRUCTIVE,
        0.92,
        "Runs a destructive command on many machines",
    ),
    ("ansible", "file|*file* & *state=absent*", DESTRUCTIVE, 0.6, "Runs a destructive command on many machines"),
    // Databases.
    ("rails|rake|bin/rails|bundle", "db:drop*|db:reset*|db:schema:load*|db:truncate_all*", DESTRUCTIVE, 0.82, DATABASE),
    ("php|artisan", "migrate:fresh|migrate:reset|db:wipe", DESTRUCTIVE, 0.8, DATABASE),
    (
        "python|python3|manage.py|django-admin",
        "flush|reset_db|sqlflush & --noinput|--no-input|manage.py",
        DESTRUCTIVE,
        0.75,
        DATABASE,
    ),
    (
        "npx|prisma|yarn|pnpm|npm|sequelize|typeorm|knex",
        "reset|db:drop|schema:drop|migrate:reset|db:wipe|migrate:rollback & --force|-f|db:drop|schema:drop|--all|migrate|sequelize*",
        DESTRUCTIVE,
        0.72,
        DATABASE,
    ),
    ("flyway|liquibase", "clean|drop-all|dropAll", DESTRUCTIVE, 0.82, DATABASE),
    ("alembic", "downgrade & base", DESTRUCTIVE, 0.72, DATABASE),
    ("wp", "db & reset|drop|clean", DESTRUCTIVE, 0.82, DATABASE),
    ("drush", "sql-drop|sql:drop", DESTRUCTIVE, 0.82, DATABASE),
    ("dropdb|pg_dropcluster", "*", DESTRUCTIVE, 0.85, DATABASE),
    ("dropuser", "*", DESTRUCTIVE, 0.55, "Deletes an account"),
    ("mysqladmin", "drop|shutdown|flush-*", DESTRUCTIVE, 0.82, DATABASE),
    ("redis-cli", "FLUSHALL|FLUSHDB|flushall|flushdb|SHUTDOWN|shutdown", DESTRUCTIVE, 0.88, DATABASE),
    (
        "redis-cli",
        "CONFIG|config & SET|set & dir|dbfilename & *.ssh*|*cron*|*www*|authorized_keys",
        PERSISTENCE,
        0.92,
        ACCESS,
    ),
    (
        "mongo|mongosh|mongod",
        "*dropDatabase*|*.drop()*|*deleteMany({})*|*remove({})*|*dropAllUsers*|*deleteMany( {} )*",
        DESTRUCTIVE,
        0.9,
        DATABASE,
    ),
    ("rabbitmqctl", "reset|force_reset|delete_vhost|delete_queue|purge_queue", DESTRUCTIVE, 0.78, DATABASE),
    ("kafka-topics*|kafka-topics.sh", "--delete", DESTRUCTIVE, 0.72, DATABASE),
    ("influx", "*drop database*|*DROP DATABASE*|delete", DESTRUCTIVE, 0.8, DATABASE),
    (
        "curl|wget|http|https|xh|httpie",
        "-XDELETE|DELETE|--request=DELETE|--method=DELETE & *:9200/*|*/_all*|*/_delete_by_query*",
        DESTRUCTIVE,
        0.85,
        DATABASE,
    ),
    (
        "curl|wget|http|https|xh",
        "-XDELETE|DELETE|--request=DELETE|--method=DELETE",
        DESTRUCTIVE,
        0.4,
        "Asks a service to delete something",
    ),
    (
        "curl|http|https|xh",
        "*_delete_by_query*|*/_cluster/settings*|*:2375/*|*/v2/keys*recursive=true*",
        DESTRUCTIVE,
        0.72,
        DATABASE,
    ),
    // Virtual machines.
    (
        "virsh",
        "undefine|destroy|vol-delete|pool-delete|snapshot-delete & --remove-all-storage|--nvram|--delete-*|--managed-save|vol-delete|pool-delete",
        DESTRUCTIVE,
        0.8,
        MACHINES,
    ),
    ("vboxmanage", "unregistervm|closemedium & --delete", DESTRUCTIVE, 0.72, MACHINES),
    ("vagrant", "destroy & -f|--force", DESTRUCTIVE, 0.62, MACHINES),
    ("multipass|lxc|incus", "delete & --purge|--all|--force|-f|-p", DESTRUCTIVE, 0.65, MACHINES),
    ("qm|pct", "destroy", DESTRUCTIVE, 0.8, MACHINES),
    ("vmkfstools", "-U", DESTRUCTIVE, 0.88, MACHINES),
    (
        "esxcli|vim-cmd",
        "kill|*power.off|*snapshot.removeall|vmsvc/destroy|--type=force|-t=force",
        DESTRUCTIVE,
        0.85,
        MACHINES,
    ),
    (
        "plink*|plink|klink",
        "*rm -rf*|*vim-cmd*|*esxcli*|*snapshot.removeall*|*power.off*|*pkill*|*kill*",
        DESTRUCTIVE,
        0.85,
        "Runs a destructive command on another machine",
    ),
    // Disks.
    ("badblocks", "-w|-*w*", DESTRUCTIVE, 0.9, DISK),
    ("sfdisk|cfdisk", "--delete|--wipe|--wipe=always & /dev/*", DESTRUCTIVE, 0.88, DISK),
    ("fdisk|gdisk", "/dev/* & !-l & !--list & !-x", DESTRUCTIVE, 0.35, DISK),
    ("mdadm", "--zero-superblock|--remove|--stop & /dev/*|--scan", DESTRUCTIVE, 0.85, DISK),
    ("dmsetup", "remove_all|wipe_table", DESTRUCTIVE, 0.82, DISK),
    ("nvme", "format|sanitize", DESTRUCTIVE, 0.92, DISK),
    ("sg_format|sg_sanitize|blkdiscard|scrub|nwipe|dban", "*", DESTRUCTIVE, 0.88, DISK),
    ("debugfs", "-w", DESTRUCTIVE, 0.72, DISK),
    ("cryptsetup", "luksErase|erase|luksRemoveKey|luksKillSlot|luksFormat|reencrypt", DESTRUCTIVE, 0.85, DISK),
    ("mount", "-o & *remount,ro* & /", DESTRUCTIVE, 0.62, "Keeps the system from writing"),
    ("umount", "-a|-f|-l & /|/boot|/home|-a", DESTRUCTIVE, 0.55, "Takes file systems away"),
    ("efibootmgr", "-B|-b", DESTRUCTIVE, 0.72, "Keeps the machine from starting"),
    ("grub-install|bootctl|update-grub", "remove|--removable", DESTRUCTIVE, 0.5, "Keeps the machine from starting"),
    // Packages.
    (
        "apt|apt-get|aptitude",
        "remove|purge|autoremove & sudo|systemd|libc6|linux-image*|python3|bash|coreutils|dpkg|openssh-server|*\\**|network-manager|util-linux",
        DESTRUCTIVE,
        0.85,
        PACKAGES,
    ),
    (
        "yum|dnf|zypper",
        "remove|erase|rm & kernel*|glibc|systemd|bash|coreutils|python3|openssh-server|*\\**|sudo",
        DESTRUCTIVE,
        0.85,
        PACKAGES,
    ),
    ("pacman", "-Rdd|-Rns|-Rsc|-Rcns|-R & linux|glibc|systemd|bash|base|coreutils|*$(*", DESTRUCTIVE, 0.82, PACKAGES),
    (
        "dpkg|rpm",
        "--force-all|--force-depends|--nodeps|--force-remove-essential & --purge|-P|-e|--remove|-r",
        DESTRUCTIVE,
        0.82,
        PACKAGES,
    ),
    ("npm", "unpublish & --force|-f", DESTRUCTIVE, 0.82, "Removes a published package"),
    // Network and guards.
    ("ip|ifconfig", "link|set|eth*|ens*|enp*|wlan*|addr|route & down|flush", DESTRUCTIVE, 0.62, OFFLINE),
    ("route|nmcli", "del|off|down & default|networking|radio|connection", DESTRUCTIVE, 0.5, OFFLINE),
    ("iptables|ip6tables|iptables-nft", "-P|--policy & DROP & INPUT|OUTPUT|FORWARD", DESTRUCTIVE, 0.55, OFFLINE),
    ("iptables|ip6tables", "-F|-X|--flush|-D|--delete-chain", DESTRUCTIVE, 0.8, GUARD),
    ("aa-teardown|aa-disable|apparmor_parser", "*", DESTRUCTIVE, 0.72, GUARD),
    ("setenforce", "0|Permissive", DESTRUCTIVE, 0.82, GUARD),
    ("chattr", "-i|-a|-*i*", DESTRUCTIVE, 0.5, "Takes the protection off files"),
    ("sysrc", "*_enable=no|*_enable=NO", DESTRUCTIVE, 0.6, GUARD),
    ("auditctl", "-D|-e0|-e|-W", DESTRUCTIVE, 0.8, LOG),
    (
        "logrotate|journalctl",
        "--vacuum-size=1*|--vacuum-time=1s|--vacuum-files=1|--rotate & --vacuum*",
        DESTRUCTIVE,
        0.72,
        LOG,
    ),
    ("last|lastb|utmpdump", "-r|--reverse", DESTRUCTIVE, 0.4, LOG),
    ("log", "erase", DESTRUCTIVE, 0.85, LOG),
    ("timedatectl", "set-ntp & false|0", DESTRUCTIVE, 0.45, TIME),
    (
        "systemctl|service|launchctl|rc-service|update-rc.d|chkconfig",
        "stop|disable|mask|kill|unload|remove|bootout|off & *audit*|*syslog*|*journald*|ufw|firewalld|*apparmor*|*falcon*|*defender*|mdatp|clam*|*crowd*|*wazuh*|*ossec*|*osquery*|fail2ban|*sysmon*|aide|*carbon*|*sentinel*|cron|crond|NetworkManager|networking|sshd|ssh",
        DESTRUCTIVE,
        0.82,
        "Stops a service that guards, records or connects",
    ),
    // Ransom.
    ("7z|7za|7zr|7zz|rar|zip", "-p*|-hp*|-P|--password|-e & -sdel|-df|-m|-rm|-mr|-dr", DESTRUCTIVE, 0.85, LOCK),
    ("gpg|gpg2", "-c|--symmetric|-e|--encrypt|--encrypt-files & *\\**|--encrypt-files", DESTRUCTIVE, 0.62, LOCK),
    ("ccencrypt|ccrypt", "-r|-e|--recursive", DESTRUCTIVE, 0.72, LOCK),
    ("openssl", "enc|smime & -aes*|-e|aes*|-chacha20 & -pass|-k|-kfile|-K|-in", EXFILTRATION, 0.4, "Encrypts data"),
    // Using up.
    ("stress|stress-ng|cpuburn|burnp6", "*", DESTRUCTIVE, 0.6, FILL),
    ("fallocate|truncate", "-l|-s & *T|*000G|*00G", DESTRUCTIVE, 0.62, FILL),
    (
        "hping3|t50|slowloris|slowloris.py|goldeneye.py|loic|mdk3|mdk4|hulk.py",
        "*",
        DESTRUCTIVE,
        0.85,
        "Floods another machine",
    ),
    ("ab|wrk|hey|siege|vegeta", "-c|-n & *0000*", DESTRUCTIVE, 0.3, "Floods another machine"),
    ("aireplay-ng|airodump-ng|ettercap|bettercap|arpspoof|dnsspoof", "*", EXFILTRATION, 0.8, TOOL),
    // Access.
    (
        "aws",
        "create-access-key|create-login-profile|update-login-profile|attach-user-policy|attach-role-policy|put-user-policy|put-role-policy|add-user-to-group|update-assume-role-policy|create-policy-version|add-permission|modify-snapshot-attribute|modify-image-attribute|authorize-security-group-ingress & *:policy/AdministratorAccess|*Administrator*|create-*|update-*|add-*|put-*|modify-*|*0.0.0.0/0*",
        PERSISTENCE,
        0.78,
        ACCESS,
    ),
    ("aws", "iam & create-user", PERSISTENCE, 0.55, ACCESS),
    (
        "aws",
        "get-secret-value|get-parameter|get-parameters-by-path|get-password-data|get-session-token|get-federation-token|export-credentials|batch-get-secret-value & --with-decryption|--secret-id*|get-password-data|export-credentials|get-*token|batch-*",
        CREDENTIALS,
        0.6,
        SECRETS,
    ),
    ("gcloud", "keys|roles & create", PERSISTENCE, 0.72, ACCESS),
    ("gcloud", "add-iam-policy-binding & *roles/owner*|*roles/editor*|*allUsers*|*admin*", PERSISTENCE, 0.8, ACCESS),
    (
        "gcloud|vault|doppler|op|bw|lpass|pass|gopass|chamber|sops",
        "access|read|secrets|show|-d|--decrypt & versions|secret/*|export|--all|secrets|download|--reveal|get & !create & !delete",
        CREDENTIALS,
        0.4,
        SECRETS,
    ),
    ("az", "role|ad & assignment|sp|credential|app & create|reset|create-for-rbac", PERSISTENCE, 0.7, ACCESS),
    ("az", "keyvault|storage & secret|keys|account|key & show|list|download", CREDENTIALS, 0.45, SECRETS),
    ("kubectl|oc", "create & clusterrolebinding & *cluster-admin*", PERSISTENCE, 0.85, ACCESS),
    (
        "kubectl|oc",
        "get|describe & secret|secrets|secret/* & -o|-ojson|-oyaml|-o=*|--all-namespaces|-A|--template*|-ojsonpath*",
        CREDENTIALS,
        0.72,
        SECRETS,
    ),
    (
        "kubectl|oc",
        "run|apply|create & *hostPID*|*privileged*|*hostNetwork*|*hostPath*|--privileged",
        PERSISTENCE,
        0.82,
        "Gives a container the rights of the machine",
    ),
    ("kubectl|oc", "certificate|auth & approve|can-i", CREDENTIALS, 0.3, ACCESS),
    ("visudo|sudoedit", "*sudoers*", PERSISTENCE, 0.6, ACCESS),
    (
        "gpasswd|usermod|adduser|addgroup|dseditgroup|pw",
        "-a|-aG|-G|-ag|sudo|edit|groupmod|add & sudo|wheel|root|admin|docker|adm|lxd|disk|shadow",
        PERSISTENCE,
        0.8,
        ACCESS,
    ),
    ("useradd|adduser|usermod", "-o|--non-unique & 0", PERSISTENCE, 0.92, ACCESS),
    (
        "chsh|usermod",
        "-s|--shell & /bin/bash|/bin/sh|/bin/zsh & nobody|daemon|www-data|bin|mail|games|sync|nobody|root",
        PERSISTENCE,
        0.8,
        ACCESS,
    ),
    ("chpasswd|passwd", "root|-d|--delete|--stdin|-u & root|nobody|admin|administrator", PERSISTENCE, 0.75, ACCESS),
    ("ssh-copy-id", "*", PERSISTENCE, 0.5, "Lets another key log in"),
    ("ssh-keygen", "-f & *ssh_host*|/root/*|/etc/*", PERSISTENCE, 0.5, "Makes or replaces keys of the system"),
    (
        "setcap",
        "*cap_setuid*|*cap_sys_admin*|*cap_dac_*|*=ep|*+ep|*=eip",
        PERSISTENCE,
        0.82,
        "Gives a program rights of the administrator",
    ),
    (
        "install|chmod|cp",
        "-m|=xs|*+s|4755|4777|6777|6755|04755|u=s*|g+s*|-m=xs & =xs|*+s|4755|4777|6777|6755|04755|*xs|u=s*",
        PERSISTENCE,
        0.82,
        "Lets a program run with the rights of its owner (setuid)",
    ),
    (
        "update-ca-certificates|update-ca-trust|trust|certctl|certutil",
        "anchor|*.crt|*.pem|rehash|-A|extract|add|-addstore",
        PERSISTENCE,
        0.6,
        TRUST,
    ),
    ("update-ca-certificates|update-ca-trust", "!--help", PERSISTENCE, 0.45, TRUST),
    (
        "insmod|modprobe|kextload|kldload|kmutil",
        "*.ko|load|*.kext|*.ko.*|/tmp/*",
        PERSISTENCE,
        0.6,
        "Loads a kernel module",
    ),
    ("dbus-send|gdbus|busctl", "*PolicyKit*|*SetPassword*|*CreateUser*|*Accounts*", PERSISTENCE, 0.8, ACCESS),
    ("systemctl", "enable|link & /tmp/*|/dev/shm/*|*.timer|--now", PERSISTENCE, 0.4, START),
    ("systemctl", "enable|link|start & /tmp/*|/dev/shm/*|/var/tmp/*", PERSISTENCE, 0.82, START),
    ("systemd-run", "--on-calendar*|--on-boot*|--on-active*|--on-unit*|--on-startup*", PERSISTENCE, 0.72, START),
    ("launchctl", "submit|setenv", PERSISTENCE, 0.72, START),
    ("launchctl|brew|loginctl", "load|bootstrap|enable-linger & *.plist|/tmp/*|root", PERSISTENCE, 0.5, START),
    ("osascript", "*login item*|*make login*|*LoginItems*", PERSISTENCE, 0.82, START),
    ("kubectl|oc", "create|apply|run & cronjob|*cronjob*|*--schedule*", PERSISTENCE, 0.5, START),
    ("dscl", "-append|-passwd|-create|-merge", PERSISTENCE, 0.78, ACCESS),
    (
        "wget|curl|fetch",
        "*/.ssh/authorized_keys|/etc/cron*|*/.bashrc|*/.profile|/etc/profile.d/*|/var/www/*.php",
        PERSISTENCE,
        0.88,
        ACCESS,
    ),
    // Credentials.
    (
        "ed|ex|vi|vim|view|emacs|awk|gawk|mawk|sed|dd|xxd|od|base64|cut|paste|tac|nl|sort|uniq|fold|fmt|pr|comm|join|look|more|less|tail|head|cat|column|expand|hexdump|strings|file|xargs|rev|shuf|split|csplit|ul|wc|diff|cmp|grep|jq|yq",
        "/etc/shadow|/etc/gshadow|/etc/master.passwd|if=/etc/shadow|*/etc/shadow",
        CREDENTIALS,
        0.92,
        "Reads the password hashes of the system",
    ),
    (
        "find|locate|fd|mdfind|ls",
        "*.aws*|*.gnupg*|*.ssh|*.azure*|*.kube*|credentials|.oci*|*token*|*.oci/*|*credential*|*.pem|*.p12|*.ppk|*.kdbx|*.ovpn|wp-config.php|*id_rsa*|.env|*.env|*password* & -type|-name|-iname|/|/home|/root|/etc|~ & !-delete",
        CREDENTIALS,
        0.75,
        "Searches the machine for credentials",
    ),
    (
        "cp|rsync|tar|zip|ditto|7z|scp|mv|cpio|gzip",
        "*Keychains*|*.gnupg*|*/.ssh|*/.ssh/*|*.aws|*.kube|*/Cookies*|*Login Data*|*.mozilla*|*google-chrome*|*Chrome/*|*Firefox/*|/etc/shadow|*wallet*|*.bitcoin*|*.electrum*|*.password-store* & !--exclude*",
        CREDENTIALS,
        0.82,
        SECRETS,
    ),
    (
        "grep|egrep|rg|ag|zgrep|fgrep|awk|sed",
        "*password*|*passwd*|*PASSWORD*|*pass*|*secret*|*api_key*|*apikey*|*token*|*AWS_SECRET*|*PRIVATE KEY*|*pwd* & /|/etc|/home|/var|/root|/opt|/var/www|~|$HOME|*history*|/proc/*|/srv|/home/*|*_history|*.history",
        CREDENTIALS,
        0.75,
        "Searches the machine for passwords",
    ),
    (
        "strings|gdb|gcore|dd|cat|procdump|avml|lime",
        "/proc/*|/dev/mem|/proc/kcore|-p|--pid*|*/mem|*/maps",
        CREDENTIALS,
        0.72,
        "Reads the memory of a process",
    ),
    (
        "hashcat|john|hydra|medusa|ncrack|patator|crowbar|thc-hydra|fcrackzip|pdfcrack|cewl|unshadow",
        "*",
        CREDENTIALS,
        0.82,
        "Guesses or cracks passwords",
    ),
    (
        "mimikatz|mimipenguin*|lazagne*|secretsdump*|getuserspns*|getnpusers*|kerbrute|responder*|impacket-*|evil-winrm|bloodhound-python|pypykatz|ntlmrelayx*|petitpotam*|linpeas*|linenum*|lse.sh|linux-exploit-suggester*|les.sh|pspy*|autosuid*|traitor|deepce*|msfconsole|msfvenom|empire|sliver*|beef-xss|commix|xsstrike|setoolkit|reaver|chisel|ligolo*|frpc|gost|dnscat*|ptunnel*|reptile|stratus|go-secdump|truffleshark|evilginx*|gophish|exploit|printspoofer*",
        "*",
        CREDENTIALS,
        0.84,
        TOOL,
    ),
    (
        "sh|bash|zsh|dash|python|python2|python3|perl|ruby|go|pwsh|swift|source|.",
        "*mimipenguin*|*linpeas*|*linenum*|*LinEnum*|*lse.sh|*autosuid*|*AutoSUID*|*laZagne*|*lazagne*|*secretsdump*|*linux-exploit-suggester*|*pspy*|*deepce*|*keylog*|*Keylog*|*exploit.py|*reverse_shell*|*revshell*|*bruteforce*|*spray*|*Spray*|*ransom*|*miner*",
        CREDENTIALS,
        0.78,
        TOOL,
    ),
    ("osascript", "*Cookies*|*keychain*|*Keychain*|*Login Data*|*Safari*Library*", CREDENTIALS, 0.8, SECRETS),
    (
        "find",
        "-perm & -4000|-2000|-6000|-u=s|-g=s|/4000|/2000|/6000|/u=s|-u+s|+4000|/u=s,g=s",
        PERSISTENCE,
        0.62,
        "Looks for programs that lend rights",
    ),
    ("ldapadd|ldapmodify|samba-tool", "-f|-D|user", PERSISTENCE, 0.4, ACCESS),
    ("crackmapexec|cme|netexec|nxc|certipy*|sqlmap|wpscan|nikto|aircrack-ng|iodine", "*", CREDENTIALS, 0.6, TOOL),
    (
        "nmap|masscan|zmap|rustscan|gobuster|ffuf|dirb|wfuzz|enum4linux*|amass|subfinder|nuclei|smbmap",
        "*",
        CREDENTIALS,
        0.4,
        "Looks for ways into other machines",
    ),
    (
        "nmap",
        "--script=*vuln*|--script & *vuln*|*exploit*|*brute*|smb-vuln*",
        CREDENTIALS,
        0.72,
        "Looks for ways into other machines",
    ),
    (
        "sqlite3|sqlite",
        "*Cookies*|*Login Data*|*cookies.sqlite*|*History*|*key4.db*|*logins*|*TCC.db*|*KnowledgeC.db*|*Web Data*",
        CREDENTIALS,
        0.85,
        SECRETS,
    ),
    (
        "security",
        "dump-keychain|find-generic-password|find-internet-password|export|dump-trust-settings|unlock-keychain",
        CREDENTIALS,
        0.8,
        SECRETS,
    ),
    (
        "tcpdump|tshark|dumpcap|ettercap|dsniff|ngrep|tcpflow",
        "!--version & !--list-interfaces & !-D & !-r & !--help",
        CREDENTIALS,
        0.45,
        LISTEN,
    ),
    (
        "xinput|xev|logkeys|showkey|screencapture|scrot|import|xwd|ffmpeg|arecord|fswebcam|imagesnap",
        "test*|-root|--start|-s|x11grab|-window|-x|/dev/video*|-display",
        CREDENTIALS,
        0.55,
        LISTEN,
    ),
    ("strace|ltrace|bpftrace", "-p & *sshd*|*sudo*|*read*|*write*", CREDENTIALS, 0.8, LISTEN),
    ("trap", "*BASH_COMMAND* & DEBUG|debug", CREDENTIALS, 0.8, LISTEN),
    ("klist|ktutil|kinit", "-k|-t|*.keytab|*/tmp/krb5cc*", CREDENTIALS, 0.45, SECRETS),
    ("docker", "inspect|exec|history|cp & *.Config.Env*|*env*|*/root/.*|*.ssh*|*secret*", CREDENTIALS, 0.5, SECRETS),
    ("ssh-add", "-L", CREDENTIALS, 0.3, SECRETS),
    ("dscacheutil|getent", "shadow", CREDENTIALS, 0.85, SECRETS),
    // Away, in, around.
    (
        "ngrok|cloudflared|bore|localtunnel|lt|frpc|frp|zrok|pagekite*|localxpose|telebit|inlets|rathole",
        "http|tcp|tunnel|--url|local|share|--port|-c",
        EXFILTRATION,
        0.4,
        TUNNEL,
    ),
    ("ssh|autossh", "-R|-*R & *:*:*|*:*|0", EXFILTRATION, 0.55, TUNNEL),
    ("ssh|autossh", "-D|-*D*", EXFILTRATION, 0.35, TUNNEL),
    (
        "nc|ncat|netcat|nc.traditional|nc.openbsd|busybox",
        "-l|-lvnp|-nlvp|-lvp|-lp|-nvlp|-lnvp|-lnp|--listen|-lk|-klp",
        EXFILTRATION,
        0.45,
        "Waits for a connection from outside",
    ),
    (
        "rclone|mega-put|megacopy|megatools|gdrive|dropbox_uploader.sh|transfer",
        "copy|sync|move|copyto|put|upload & mega:*|*:*|/Root/*",
        EXFILTRATION,
        0.35,
        SEND,
    ),
    ("tftp|atftp", "-c|-p|put|--put", EXFILTRATION, 0.6, SEND),
    ("smbclient|ftp|lftp|ncftpput|sftp", "*put *|-c|*mput*|-u", EXFILTRATION, 0.45, SEND),
    (
        "networksetup|gsettings|export|set",
        "-setwebproxy|-setsecurewebproxy|-setsocksfirewallproxy|http_proxy=*|https_proxy=*|ALL_PROXY=socks*|org.gnome.system.proxy",
        EXFILTRATION,
        0.45,
        TUNNEL,
    ),
    (
        "tor|torify|torsocks|proxychains|proxychains4|i2pd|psiphon*",
        "*",
        EXFILTRATION,
        0.4,
        "Hides where it connects to",
    ),
    (
        "sysrc|service|systemctl|brew",
        "start|tor_enable=*|enable|services & tor|tor_enable=*",
        EXFILTRATION,
        0.72,
        "Hides where it connects to",
    ),
    ("iptables|pfctl|socat", "-t|TCP-LISTEN:*|TCP4-LISTEN:* & REDIRECT|DNAT|TCP:*|TCP4:*", EXFILTRATION, 0.5, TUNNEL),
    (
        "xmrig*|minerd|cpuminer*|ethminer|t-rex|nbminer|lolminer|phoenixminer|cgminer|xmr-stak*",
        "*",
        OBFUSCATED,
        0.9,
        "Mines coins on this machine",
    ),
    // Hiding.
    ("touch", "-r|-acmr|-*r|--reference*", OBFUSCATED, 0.72, TIME),
    ("touch", "-a|-m|-am|-d|-t|--date*|-at|-mt|-amt|--time* & *197*|*198*|*199*|*200*|-t|-d", OBFUSCATED, 0.55, TIME),
    ("setfile|debugfs", "-m|-d|-R|-a & *19*|*set_inode_field*|*mtime*|V", OBFUSCATED, 0.6, TIME),
    ("chflags", "hidden|uchg|schg|simmutable|nouchg|nosimmutable", OBFUSCATED, 0.62, HIDE),
    ("chattr", "+i", PERSISTENCE, 0.4, "Keeps a file from being removed"),
    ("upx|packer|garble|pyarmor|shc", "-*|gen|-f|build", OBFUSCATED, 0.4, HIDE),
    ("mount", "--bind|-B|-o & /proc/*|*bind* & *proc*|/proc/*", OBFUSCATED, 0.78, "Hides a process behind another"),
    (
        "xattr",
        "-d|-c|-cr|-rc|-dr|-rd & *quarantine*|-c|-cr|-rc|*",
        OBFUSCATED,
        0.6,
        "Takes the mark of a download off a file",
    ),
    ("spctl|csrutil|fdesetup|nvram", "--master-disable|disable|--global-disable|boot-args*", DESTRUCTIVE, 0.72, GUARD),
    (
        "defaults",
        "write & *com.apple.screensaver*|*askForPassword*|*LSQuarantine*|*ALFGlobalState*|*alf*|*AppleShowAllFiles*|*loginwindow*",
        PERSISTENCE,
        0.55,
        GUARD,
    ),
    ("insmod", "*diamorphine*|*rootkit*|*reptile*|*hide*", PERSISTENCE, 0.95, TOOL),
    // Breaking out.
    (
        "tar|gtar|bsdtar",
        "--checkpoint-action=exec=*|--to-command=*|-I|--use-compress-program=*|--rsh-command=* & *sh*|exec=*|--checkpoint-action=*|--to-command=*",
        OBFUSCATED,
        0.85,
        SHELL,
    ),
    ("zip", "-T|-TT|--unzip-command=* & *sh*", OBFUSCATED, 0.82, SHELL),
    (
        "*",
        "*system(\"/bin/*|*system('/bin/*|*exec \"/bin/*|*exec '/bin/*|*exec('/bin/*|*exec(\"/bin/*|*os.execute(*/bin/*|*pty.spawn(*|*:!/bin/*|!/bin/*|!sh|*'!sh'*|*:!sh*|*:shell*|*spawn(*/bin/*|*spawn /bin/*|*system(\"sh*|*system('sh*|*execl(*sh*|*set shell=/bin/*|*os.execl(*|*popen('/bin/*|*Process.spawn*|*PERLDB*|*core.sshCommand*|*ProxyCommand=*sh*|*PermitLocalCommand*|*LocalCommand=*|*--eval=*system*|*term \"/bin/*|*pre-invoke*|*Pre-Invoke*|*posix_spawn*|*pcntl_exec(*|*shell_exec(*|*os.spawn*|*child_process*spawn*/bin/*|*exec:/bin/*|*exec:sh*|*EXEC:/bin/*|*--exec=*sh*|*\\!/bin/*|*unix_exec*|*-exec /bin/*",
        OBFUSCATED,
        0.82,
        SHELL,
    ),
    ("find", "-exec|-execdir|-ok & /bin/sh|/bin/bash|sh|bash|/bin/zsh|/bin/dash & !-c", OBFUSCATED, 0.8, SHELL),
    (
        "unshare|nsenter|capsh|setarch|chrt|taskset|softlimit|logsave|rlwrap|aa-exec|choom|start-stop-daemon|flock|expect|run-parts|dmsetup|cpulimit|ionice|multitime|pexec|sshpass",
        "/bin/sh|/bin/bash|/bin/dash|*/bin/sh|--gid=0|--uid=0|-t=1",
        OBFUSCATED,
        0.6,
        SHELL,
    ),
    (
        "docker|podman|lxc|runc|ctr",
        "run|exec|config|init & /:/*|*=/,*|/:/mnt|--privileged|-v=/:*|--pid=host|source=/*|security.privileged=true|*docker.sock*|--cap-add=ALL|--cap-add=SYS_ADMIN",
        PERSISTENCE,
        0.8,
        "Gives a container the whole machine",
    ),
    ("pkexec|su", "--user|root|-s|-i|/bin/sh|/bin/bash & /bin/sh|/bin/bash", OBFUSCATED, 0.35, ACCESS),
    (
        "python|python2|python3|perl|ruby|php|node|lua",
        "*SimpleHTTPServer*|*http.server* & /|--directory",
        EXFILTRATION,
        0.4,
        SEND,
    ),
    (
        "openssl",
        "s_client|s_server & -connect|-accept|-quiet & !-showcerts & !-servername",
        EXFILTRATION,
        0.45,
        "Opens a connection of its own",
    ),
    ("zmodload", "zsh/net/tcp", EXFILTRATION, 0.85, "Opens a network connection from the shell (a reverse shell)"),
    ("ztcp", "*", EXFILTRATION, 0.88, "Opens a network connection from the shell (a reverse shell)"),
    (
        "awk|gawk|mawk",
        "*/inet/tcp/*|*/inet/udp/*",
        EXFILTRATION,
        0.92,
        "Opens a network connection from the shell (a reverse shell)",
    ),
];

/// A row with its words taken apart.
struct Compiled {
    groups: Vec<Vec<&'static str>>,
    category: &'static str,
    score: f32,
    message: &'static str,
}

/// Rows by the name of their program, and those of many programs.
struct Index {
    rows: Vec<Compiled>,
    named: BTreeMap<&'static str, Vec<usize>>,
    open: Vec<(&'static str, usize)>,
    any: Vec<usize>,
}

/// Made while the plugin is configured.
static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { rows: Vec::new(), named: BTreeMap::new(), open: Vec::new(), any: Vec::new() };
    for (at, (programs, words, category, score, message)) in ROWS.iter().enumerate() {
        let groups = words.split(" & ").map(|group| group.split('|').collect()).collect();
        index.rows.push(Compiled { groups, category, score: *score, message });
        for program in programs.split('|') {
            match program {
                "*" => index.any.push(at),
                _ if program.ends_with('*') => index.open.push((program, at)),
                _ => index.named.entry(program).or_default().push(at),
            }
        }
    }
    index
});

/// What an argument holds at least if a row of all programs is to be met.
const SIGNS: [&str; 9] = ["/bin/", "!", "exec", "EXEC", "system", "spawn", "shell", "Command", "nvoke"];

/// Makes the index now: what is made while a plugin is configured, no call has to pay for.
pub(crate) fn prepare() {
    LazyLock::force(&INDEX);
}

/// Reports what rows say of `run`.
pub(super) fn table(run: &Run<'_>, place: &Range<usize>, report: &mut Report) {
    let index = &*INDEX;
    let first = run.program.as_bytes().first();
    let named = index.named.get(run.program.as_str()).into_iter().flatten();
    let open = index
        .open
        .iter()
        .filter(|(program, _)| program.as_bytes().first() == first && matches(program, &run.program))
        .map(|(_, row)| row);
    // What these are given is text to them.
    let reads = run.is(&["echo", "printf", "grep", "egrep", "rg", "ag", "fgrep"]);
    let signs = !reads && run.any(|text| text.len() > 2 && SIGNS.iter().any(|sign| text.contains(sign)));
    let any = index.any.iter().filter(|_| signs);
    for row in named.chain(open).chain(any).filter_map(|row| index.rows.get(*row)) {
        if row.groups.iter().all(|group| group_met(group, run)) {
            report.add(row.category, row.score, row.message, place);
        }
    }
}

fn group_met(group: &[&str], run: &Run<'_>) -> bool {
    match group {
        ["*"] => true,
        // `!sh` is a word that programs take; what keeps a row away stands alone in its group.
        [word] if word.starts_with('!') => !run.any(|text| matches(word.get(1..).unwrap_or_default(), text)),
        _ => group.iter().any(|word| run.any(|text| matches(word, text))),
    }
}

/// Whether `text` is `word`, whose ends may be open.
fn matches(word: &str, text: &str) -> bool {
    let (open_start, word) = word.strip_prefix('*').map_or((false, word), |word| (true, word));
    let (open_end, word) = word.strip_suffix('*').map_or((false, word), |word| (true, word));
    // `\*` is a star itself; a star between is anything.
    if let Some((one, other)) = word.split_once('*').filter(|_| !word.contains("\\*")) {
        let Some(at) = text.find(one).filter(|at| open_start || *at == 0) else { return false };
        let rest = text.get(at + one.len()..).unwrap_or_default();
        return if open_end { rest.contains(other) } else { rest.ends_with(other) };
    }
    let word = if word == "\\*" { "*" } else { word };
    match (open_start, open_end) {
        (true, true) => text.contains(word),
        (true, false) => text.ends_with(word),
        (false, true) => text.starts_with(word),
        (false, false) => text == word,
    }
}
