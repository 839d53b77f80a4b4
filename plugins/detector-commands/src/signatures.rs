//! Signatures: words that together, near each other, say what a Windows command, a PowerShell script or a piece of
//! source code does. All words of all signatures are found in one pass.

use std::ops::{Range, RangeInclusive};

use plugin_text::{Hit, Lexicon};

use crate::report::{
    CODE_EXECUTION, CODE_EXFILTRATION, CODE_OBFUSCATED, CREDENTIALS, DESTRUCTIVE, EXFILTRATION, OBFUSCATED,
    PERSISTENCE, Report,
};

/// `(words, category, score, message)`; words are joined by ` & `, alternatives by ` | `, and `!` keeps a signature from
/// matching. A `*` lets a word go on. One behind `base64:` is looked for in long encodings as well.
type Row = (&'static str, &'static str, f32, &'static str);

/// All signatures over one lexicon.
#[derive(Debug, Clone)]
pub(crate) struct Signatures {
    /// The words of the signatures, and the names of programs as [`PROGRAM`].
    lexicon: Lexicon,
    rows: Vec<Compiled>,
    /// Rows by the words of their first part.
    first: Vec<Vec<u16>>,
    /// Words that are looked for in long encodings as well.
    encoded: Vec<u16>,
}

/// What one pass over a text found.
#[derive(Debug)]
pub(crate) struct Words {
    /// Words of signatures, in order of their starts.
    signed: Vec<Hit>,
    /// The same in order of their numbers, and of their starts where these are equal.
    by_word: Vec<Hit>,
    /// Names of programs, in order of their ends.
    pub(crate) programs: Vec<Hit>,
    /// Whether there are more than were taken.
    pub(crate) cut: bool,
}

#[derive(Debug, Clone)]
struct Compiled {
    parts: Vec<Vec<u16>>,
    without: Vec<u16>,
    category: &'static str,
    score: f32,
    message: &'static str,
    reach: usize,
}

/// How far the words of a command lie from each other at most, and those of source code.
const NEAR: usize = 400;
const FAR: usize = 2500;
/// Most words of a text: 24 bytes each, three times.
const MOST_HITS: usize = 200_000;
/// Longest stretch of letters, digits, `+` and `/` that is read for words: an encoded file holds short ones by chance.
pub(crate) const LONGEST_RUN: usize = 60;
/// Number of a word that is the name of a program.
const PROGRAM: u16 = u16::MAX;

const LOG: &str = "Erases or switches off the records of what was done";
const GUARD: &str = "Switches a guard of the system off";
const BACKUP: &str = "Deletes backups or keeps the system from being restored";
const FETCH: &str = "Runs code straight from the network";
const TOOL: &str = "Runs a tool made for attacks";
const DUMP: &str = "Takes credentials out of the system";
const START: &str = "Makes a program start by itself";
const ACCOUNT: &str = "Creates an account or gives it more rights";
const PROXY: &str = "Runs code through a program of the system that is not meant for it";
const HIDE: &str = "Hides what it does";
const BYPASS: &str = "Goes around the consent of the user";
const WIPE: &str = "Deletes whole folders that matter";
const SEND: &str = "Sends data away";

const WINDOWS: &[Row] = &[
    // Backups, disks, logs.
    ("vssadmin | vssadmin.exe & delete shadows | resize shadowstorage", DESTRUCTIVE, 0.95, BACKUP),
    ("wmic | wmic.exe & shadowcopy & delete", DESTRUCTIVE, 0.95, BACKUP),
    ("win32_shadowcopy & *delete* | remove-wmiobject | remove-ciminstance", DESTRUCTIVE, 0.95, BACKUP),
    ("diskshadow | diskshadow.exe & delete shadows", DESTRUCTIVE, 0.95, BACKUP),
    ("wbadmin | wbadmin.exe & delete", DESTRUCTIVE, 0.93, BACKUP),
    ("bcdedit | bcdedit.exe & recoveryenabled | bootstatuspolicy | safeboot", DESTRUCTIVE, 0.92, BACKUP),
    ("*systemrestore* & *disable*", DESTRUCTIVE, 0.88, BACKUP),
    ("disable-computerrestore", DESTRUCTIVE, 0.9, BACKUP),
    ("fsutil | fsutil.exe & usn & deletejournal", DESTRUCTIVE, 0.9, LOG),
    ("wevtutil | wevtutil.exe & cl | clear-log | sl | set-log", DESTRUCTIVE, 0.9, LOG),
    ("clear-eventlog | remove-eventlog | limit-eventlog", DESTRUCTIVE, 0.88, LOG),
    ("*eventlog* & stop | disabled | *stop-service* | *minint* | *suspend* | *clear(*", DESTRUCTIVE, 0.82, LOG),
    ("auditpol | auditpol.exe & *disable* | clear | remove", DESTRUCTIVE, 0.9, LOG),
    (
        "*psreadline* & *history* & remove-item | del | *savenothing* | *out-null* | clear-content | set-content",
        DESTRUCTIVE,
        0.85,
        LOG,
    ),
    ("*addtohistoryhandler* | *historysavestyle*", DESTRUCTIVE, 0.82, LOG),
    ("cipher | cipher.exe & */w:*", DESTRUCTIVE, 0.88, "Destroys data beyond recovery"),
    ("format & c: | d: | e: & */y* | */fs:* | */q*", DESTRUCTIVE, 0.9, "Formats a disk"),
    ("format & c:", DESTRUCTIVE, 0.82, "Formats a disk"),
    ("clear-disk | format-volume | remove-partition | initialize-disk", DESTRUCTIVE, 0.88, "Formats or clears a disk"),
    ("diskpart | diskpart.exe & clean | format", DESTRUCTIVE, 0.9, "Clears a disk"),
    (
        "del | erase & */s* & */q* | */f* & *c:\\* | *%userprofile%* | *%systemroot%* | *\\windows* | *\\users* | *%systemdrive%*",
        DESTRUCTIVE,
        0.92,
        WIPE,
    ),
    ("del | erase & */s* & */q*", DESTRUCTIVE, 0.72, "Deletes files in all folders below without asking"),
    ("rd | rmdir & */s* & */q*", DESTRUCTIVE, 0.72, "Deletes a folder without asking"),
    (
        "rd | rmdir & */s* & c:\\ | *c:\\windows* | *c:\\users* | *%userprofile%* | *%systemroot%* | *c:\\program*",
        DESTRUCTIVE,
        0.92,
        WIPE,
    ),
    (
        "remove-item | ri & *-recurse* & *-force* & c:\\ | c:\\* | *c:\\windows* | *c:\\users* | $home | $env:userprofile | ~ | *$env:systemroot* | *$env:systemdrive* | / | \\",
        DESTRUCTIVE,
        0.92,
        WIPE,
    ),
    ("remove-item | ri & *-recurse* & *-force*", DESTRUCTIVE, 0.7, "Deletes a folder without asking"),
    ("rm | del & *-recurse* & *-force* & c:\\ | *c:\\users* | *c:\\windows* | ~ | $home", DESTRUCTIVE, 0.9, WIPE),
    ("sdelete | sdelete.exe | sdelete64 | sdelete64.exe", DESTRUCTIVE, 0.7, "Destroys data beyond recovery"),
    (
        "takeown | takeown.exe | icacls | icacls.exe & */grant* | */f* & *system32* | *c:\\* | everyone:f",
        DESTRUCTIVE,
        0.8,
        "Takes system files over",
    ),
    ("stop-computer | restart-computer", DESTRUCTIVE, 0.85, "Stops the machine"),
    ("shutdown | shutdown.exe & /s | /r | /p | /l | /h", DESTRUCTIVE, 0.85, "Stops the machine"),
    ("*\\\\.\\physicaldrive*", DESTRUCTIVE, 0.85, "Writes to a disk directly"),
    ("sc | sc.exe & sdset", DESTRUCTIVE, 0.82, GUARD),
    (
        "net | net.exe | sc | sc.exe | stop-service & stop | config | stop-service & windefend | wuauserv | *sense* | *mpssvc* | *wscsvc* | *eventlog* | *sysmon* | *spooler* | *mssql* | *vss* | *backup* | *wdnissvc* | *securityhealth*",
        DESTRUCTIVE,
        0.82,
        "Stops a service that guards or records",
    ),
    // Guards.
    (
        "set-mppreference | add-mppreference & *disable* | *exclusion* | *-lowthreat* | *default* | *submitsamples* | *mapsreporting* | *puaprotection*",
        DESTRUCTIVE,
        0.9,
        GUARD,
    ),
    ("mpcmdrun | mpcmdrun.exe & *removedefinitions* | *-disable*", DESTRUCTIVE, 0.9, GUARD),
    ("*windows defender* & *disable* | *exclusions* | *tamperprotection* | *notification*", DESTRUCTIVE, 0.82, GUARD),
    (
        "*disableantispyware* | *disableantivirus* | *disablerealtimemonitoring* | *disablebehaviormonitoring*",
        DESTRUCTIVE,
        0.9,
        GUARD,
    ),
    ("uninstall-windowsfeature & *defender*", DESTRUCTIVE, 0.88, GUARD),
    ("netsh | netsh.exe & *firewall* & off | disable | delete | *opmode* | allow", DESTRUCTIVE, 0.82, GUARD),
    ("set-netfirewallprofile & false", DESTRUCTIVE, 0.88, GUARD),
    (
        "*amsi* & *amsiinitfailed* | *amsiscanbuffer* | *amsiutils* | *amsienable* | *providers* | *bypass*",
        DESTRUCTIVE,
        0.92,
        GUARD,
    ),
    ("*amsiinitfailed* | *amsiscanbuffer* | *amsiutils*", DESTRUCTIVE, 0.92, GUARD),
    ("*security center* & *disable*", DESTRUCTIVE, 0.82, GUARD),
    ("*enablelua* & 0 | *reg_dword*", DESTRUCTIVE, 0.85, GUARD),
    ("*scriptblocklogging* & 0 | remove* | *false* | *disable*", DESTRUCTIVE, 0.85, LOG),
    ("fltmc | fltmc.exe & unload", DESTRUCTIVE, 0.88, GUARD),
    ("sysmon | sysmon.exe | sysmon64.exe & *-u*", DESTRUCTIVE, 0.8, LOG),
    ("dism | dism.exe & *disable-feature* | */remove-package*  & *defender*", DESTRUCTIVE, 0.85, GUARD),
    ("set-executionpolicy & bypass | unrestricted", DESTRUCTIVE, 0.6, GUARD),
    (
        "*disabletaskmgr* | *disableregistrytools* | *disablecmd* | *nologoff* | *disablechangepassword* | norun | noclose | *hidefastuserswitching* | *disablelockworkstation* & *reg_dword* | *itemproperty* | *policies*",
        DESTRUCTIVE,
        0.82,
        GUARD,
    ),
    (
        "taskkill | taskkill.exe & *msmpeng* | *sysmon* | *defender* | *csfalcon* | *carbonblack* | *spoolsv* | *lsass* | *sqlservr*",
        DESTRUCTIVE,
        0.82,
        "Stops a service that guards or records",
    ),
    // Credentials.
    ("mimikatz* | *invoke-mimikatz* | *sekurlsa* | *lsadump* | *privilege::debug* | *dcsync*", CREDENTIALS, 0.95, DUMP),
    ("*comsvcs* & *minidump* | *#24* | *full*", CREDENTIALS, 0.95, DUMP),
    ("procdump* & lsass* | -ma", CREDENTIALS, 0.93, DUMP),
    (
        "*lsass* & *dump* | *minidump* | *.dmp* | *createdump* | *out-minidump* | *rdrleakdiag* | *nanodump* | *get-process* ",
        CREDENTIALS,
        0.88,
        DUMP,
    ),
    (
        "rdrleakdiag* | createdump* | nanodump* | dumpert* | *outflank-dumpert* | xordump* | safetykatz* | sharpdump*",
        CREDENTIALS,
        0.88,
        DUMP,
    ),
    (
        "reg | reg.exe & save | export & *hklm\\sam* | *hklm\\system* | *hklm\\security* | *hkey_local_machine\\sam*",
        CREDENTIALS,
        0.95,
        DUMP,
    ),
    (
        "*config\\sam* | *config/sam* | *config\\system* | *config\\security* & copy* | *esentutl* | *certutil* | *shadowcopy* | *globalroot* | *copy-item* | type | *readallbytes*",
        CREDENTIALS,
        0.92,
        DUMP,
    ),
    ("*ntds* & ntdsutil* | *ifm* | *ntds.dit* | *shadow* | copy* | *esentutl*", CREDENTIALS, 0.93, DUMP),
    ("ntdsutil | ntdsutil.exe", CREDENTIALS, 0.88, DUMP),
    ("*harddiskvolumeshadowcopy* | *globalroot\\device*", CREDENTIALS, 0.85, DUMP),
    (
        "vssadmin | vssadmin.exe | wmic | *win32_shadowcopy* & create shadow | *create* & *c:* | shadow",
        CREDENTIALS,
        0.6,
        "Copies a disk to get at locked files",
    ),
    ("cmdkey | cmdkey.exe & */list*", CREDENTIALS, 0.82, DUMP),
    ("vaultcmd | vaultcmd.exe & */list*", CREDENTIALS, 0.85, DUMP),
    ("*keymgr* & *krshowkeymgr*", CREDENTIALS, 0.88, DUMP),
    (
        "findstr | findstr.exe | select-string | *findstr* & *password* | pass | *cpassword* | *passw*",
        CREDENTIALS,
        0.7,
        "Searches for passwords",
    ),
    ("*cpassword* | *get-gpppassword* | *gpp_autologon*", CREDENTIALS, 0.88, DUMP),
    (
        "reg | reg.exe & query & *password* | *simontatham* | *winlogon* | *orl\\winvnc* | *realvnc* | *wdigest* | *autoadminlogon*",
        CREDENTIALS,
        0.85,
        DUMP,
    ),
    ("*wdigest* & *uselogoncredential*", CREDENTIALS, 0.93, DUMP),
    ("*networkprovider* & *order* | *nppspy*", CREDENTIALS, 0.85, DUMP),
    (
        "rubeus* | kerbrute* | *kerberoast* | *asreproast* | *asktgt* | *kerberosrequestorsecuritytoken* | *petitpotam* | *spoolsample* | *printerbug*",
        CREDENTIALS,
        0.92,
        TOOL,
    ),
    ("klist & purge & *rubeus* | *tickets*", CREDENTIALS, 0.6, DUMP),
    ("setspn | setspn.exe & -q | -t", CREDENTIALS, 0.8, "Looks for accounts whose tickets can be cracked"),
    (
        "*webbrowserpassview* | *chromepass* | *lazagne* | *sharpweb* | *sharpchrome* | *sessiongopher* | *mailpassview* | *netpass.exe* | *nirsoft*",
        CREDENTIALS,
        0.9,
        TOOL,
    ),
    (
        "*login data* | *key4.db* | *logins.json* | *cookies.sqlite* & copy* | *copy-item* | xcopy | robocopy | *get-content* | *chrome* | *firefox* | *compress*",
        CREDENTIALS,
        0.85,
        "Reads the passwords of a browser",
    ),
    ("*remote-debugging-port*", CREDENTIALS, 0.82, "Opens a browser to be controlled from outside"),
    (
        "*inveigh* | *responder.py* | *invoke-inveigh* | *invoke-kerberoast* | *invoke-thehash* | *invoke-passwordspray* | *domainpasswordspray* | *passwordspray* | *passspray* | *credentialdumping* | *get-adreplaccount* | *dsinternals*",
        CREDENTIALS,
        0.92,
        TOOL,
    ),
    (
        "*getnetworkcredential* | *promptforcredential* | *get-credential*  & *password* | *message* | *.password*",
        CREDENTIALS,
        0.72,
        "Asks a person for a password under a pretext",
    ),
    ("appcmd | appcmd.exe | *appcmd.exe* & list & *text:* | *config*", CREDENTIALS, 0.85, DUMP),
    (
        "*unattend.xml* | *sysprep.inf* | *sysvol* & findstr* | *password* | *get-content* | *dir* | *cpassword* | type",
        CREDENTIALS,
        0.82,
        "Searches for passwords",
    ),
    (
        "*windows\\vault* | *microsoft\\credentials* | *microsoft\\protect* | *microsoft\\vault*",
        CREDENTIALS,
        0.75,
        DUMP,
    ),
    ("netsh | netsh.exe & wlan & *key=clear*", CREDENTIALS, 0.88, "Reads the passwords of wireless networks"),
    (
        "export-pfxcertificate | *export-aadint* | *exportadfs* | *certutil* & *-exportpfx* | *privatekey* | *pfx* | *adfs*",
        CREDENTIALS,
        0.8,
        "Takes private keys out of the system",
    ),
    ("*skeleton* & *misc::*", CREDENTIALS, 0.95, DUMP),
    ("netsh | netsh.exe & trace start", CREDENTIALS, 0.72, "Records the network"),
    ("new-neteventsession | pktmon | pktmon.exe & *capture* | start", CREDENTIALS, 0.6, "Records the network"),
    ("net | net.exe & user & *for* & *password* | in", CREDENTIALS, 0.4, "Tries passwords"),
    (
        "*logonpasswords* | *pypykatz* | *minikerberos* | *secretsdump* | *gsecdump* | *pwdump* | *fgdump* | wce.exe | *wce* & *-w*",
        CREDENTIALS,
        0.93,
        TOOL,
    ),
    ("esentutl | esentutl.exe & */vss* | *sam* | *ntds*", CREDENTIALS, 0.9, DUMP),
    // Code from elsewhere.
    (
        "*iex* | *invoke-expression* & *downloadstring* | *iwr* | *invoke-webrequest* | *irm* | *invoke-restmethod* | *webclient* | *net.webrequest* | *downloaddata* | *winhttp* | *msxml2* | *xmlhttp*",
        OBFUSCATED,
        0.93,
        FETCH,
    ),
    ("*downloadstring(* | *downloaddata(*", OBFUSCATED, 0.85, FETCH),
    (
        "*downloadfile(* | *start-bitstransfer* & *start-process* | *invoke-item* | *.exe* | *iex* | *& $*",
        OBFUSCATED,
        0.82,
        "Downloads a program and runs it",
    ),
    (
        "*invoke-webrequest* | *iwr* | *curl* | *wget* & *-outfile* | *-o* & *start-process* | *invoke-expression* | *invoke-item* | rundll32* | *& $env:* | regsvr32*",
        OBFUSCATED,
        0.8,
        "Downloads a program and runs it",
    ),
    (
        "certutil | certutil.exe | *certutil.exe* & *-urlcache* | */urlcache* | *-verifyctl* | */verifyctl*",
        OBFUSCATED,
        0.92,
        "Downloads through a program of the system that is not meant for it",
    ),
    (
        "certutil | certutil.exe & *-decode* | */decode* | *-encode* | *-decodehex*",
        OBFUSCATED,
        0.6,
        "Decodes a file with a program of the system",
    ),
    (
        "bitsadmin | bitsadmin.exe & */transfer* | */addfile* | */setnotifycmdline*",
        OBFUSCATED,
        0.88,
        "Downloads through a program of the system that is not meant for it",
    ),
    (
        "desktopimgdownldr* | *configsecuritypolicy* | *imewdbld* | *certreq* | *mpcmdrun* | *ieexec* | *hh.exe* & *http:* | *https:* | *-downloadfile* | *-post*",
        OBFUSCATED,
        0.85,
        "Downloads through a program of the system that is not meant for it",
    ),
    (
        "powershell* | pwsh* & *-enc* | *-encodedcommand* | *-ec* | *-e*  & *aa==* | base64:*aaa* | base64:*jab* | base64:*sqbf* | *a=* ",
        OBFUSCATED,
        0.85,
        "Runs a command behind an encoding",
    ),
    (
        "powershell* | pwsh* & -enc | -encodedcommand | -encod* | -ec | */enc*",
        OBFUSCATED,
        0.82,
        "Runs a command behind an encoding",
    ),
    (
        "*frombase64string* & *iex* | *invoke-expression* | *assembly]::load* | *scriptblock]::create* | *.invoke* | *start-process* | *memorystream* | *gzipstream* | *virtualalloc*",
        OBFUSCATED,
        0.9,
        "Decodes something and runs it",
    ),
    (
        "*gzipstream* | *deflatestream* & *iex* | *invoke-expression* | *frombase64string*",
        OBFUSCATED,
        0.9,
        "Decodes something and runs it",
    ),
    (
        "powershell* | pwsh* & *-w hidden* | *-windowstyle hidden* | *-win hidden* | *-wi hidden* | *-w h*",
        OBFUSCATED,
        0.72,
        HIDE,
    ),
    (
        "powershell* | pwsh* & *-windowstyle hidden* | *-w hidden* & *bypass* | *-nop* | *-noprofile* | *iex* | *download*",
        OBFUSCATED,
        0.85,
        HIDE,
    ),
    (
        "powershell* | pwsh* & *-exec bypass* | *-ep bypass* | *-executionpolicy bypass* | *-exec unrestricted* & *http* | *-nop* | *hidden* | *iex* | *.xml*",
        OBFUSCATED,
        0.8,
        HIDE,
    ),
    ("*start-process* & *-windowstyle hidden*", OBFUSCATED, 0.72, HIDE),
    ("mshta | mshta.exe & *http* | *javascript:* | *vbscript:* | *about:* | *.hta*", OBFUSCATED, 0.92, PROXY),
    (
        "rundll32 | rundll32.exe & *javascript:* | *vbscript* | *mshtml* | *url.dll* | *zipfldr* | *advpack* | *ieadvpack* | *syssetup* | *shell32.dll* | *setupapi* | *pcwutl* | *dfshim* | *scrobj* | *desk.cpl* | *ieframe* | *shdocvw* | *davclnt* | *tmp* | *temp* | *appdata* | *downloads* | *http* | *programdata*",
        OBFUSCATED,
        0.86,
        PROXY,
    ),
    ("regsvr32 | regsvr32.exe & */i:* | *scrobj* | *http* | */s* | *temp* | *-s*", OBFUSCATED, 0.86, PROXY),
    (
        "msiexec | msiexec.exe & *http* | */y* | */z* | */q* & *http* | *.dll* | *temp* | *tmp* | *appdata*",
        OBFUSCATED,
        0.72,
        PROXY,
    ),
    (
        "installutil* | regasm* | regsvcs* | msbuild* | cmstp* | mavinject* | odbcconf* | *csi.exe* | *dnx.exe* | *rcsi.exe* | msxsl* | *presentationhost* | *syncappvpublishingserver* | infdefaultinstall* | *te.exe* | *wsreset* | *pcalua* | *forfiles* | *scriptrunner* | *register-cimprovider* | *extexport* | *gpscript* | provlaunch* | *customshellhost* | *pester.bat* | *workfolders* | *dllhost* & *.dll* | *.inf* | *.xml* | *.csproj* | *.cs* | */u* | *.xsl* | *injectrunning* | */logon* | */startup* | *calc* | *cmd.exe* | */c* | *-n;* | *.ps1* | *-path* | *.exe* ",
        OBFUSCATED,
        0.82,
        PROXY,
    ),
    ("mavinject* | *injectrunning*", OBFUSCATED, 0.92, PROXY),
    ("wmic | wmic.exe & *process call create* | */format:*", OBFUSCATED, 0.84, PROXY),
    ("wmic | wmic.exe & */node:* | */user:*", OBFUSCATED, 0.8, "Runs commands on other machines"),
    (
        "cscript | cscript.exe | wscript | wscript.exe & *manage-bde* | *pubprn* | *winrm.vbs* | *syncappv* | *script:http* | *http* | *.wsf* | *pnputil* ",
        OBFUSCATED,
        0.86,
        PROXY,
    ),
    ("*getobject(* & *script:* | *.exec()*", OBFUSCATED, 0.92, PROXY),
    ("*wscript.shell* & *.run* | *.exec* | *regwrite* | *createshortcut*", OBFUSCATED, 0.72, PROXY),
    (
        "psexec* | paexec* | *psexesvc* | wmiexec* | smbexec* | atexec* | dcomexec* | *invoke-wmimethod*  & *\\\\* | *cmd* | *@* | *-s* | *win32_process* | *powershell*",
        OBFUSCATED,
        0.72,
        "Runs commands on other machines",
    ),
    (
        "invoke-command | enter-pssession | new-pssession | winrs | winrs.exe & *-computername* | *-r:* | */r:*",
        OBFUSCATED,
        0.6,
        "Runs commands on other machines",
    ),
    (
        "*mmc20.application* | *shellwindows* | *shellbrowserwindow* | *getactiveobject*  & *executeshellcommand* | *shellexecute* | *document*",
        OBFUSCATED,
        0.9,
        PROXY,
    ),
    (
        "*virtualalloc* | *createthread* | *ntqueueapcthread* | *writeprocessmemory* | *createremotethread* & *kernel32* | *marshal* | *dllimport* | *getdelegateforfunctionpointer* | *[dllimport* | *virtualprotect*",
        OBFUSCATED,
        0.92,
        "Puts machine code into memory and runs it",
    ),
    (
        "*reflection.assembly* & *::load(* | *loadfile* | *loadwithpartialname* & *entrypoint* | *.invoke(* | *download* | *getmethod* | *frombase64*",
        OBFUSCATED,
        0.85,
        "Loads a program into memory",
    ),
    ("*..\\..\\..\\windows\\system32* | *%comspec%*  & */c* | *calc*", OBFUSCATED, 0.6, HIDE),
    ("attrib | attrib.exe & +h | +s", OBFUSCATED, 0.62, HIDE),
    ("*add-type* & *-outputassembly* | *dllimport*", OBFUSCATED, 0.7, "Compiles code on the spot"),
    (
        "csc | csc.exe | *csc.exe* | *jsc.exe* | *vbc.exe* & */out:* | *-out:* | */target:*",
        OBFUSCATED,
        0.72,
        "Compiles code on the spot",
    ),
    (
        "*:$data* | *-stream* | *$index_allocation* | *zone.identifier* & set-content | add-content | *get-content* | *remove-item* | *unblock-file* | type | echo | md | *>*",
        OBFUSCATED,
        0.62,
        HIDE,
    ),
    ("unblock-file | *zone.identifier*", OBFUSCATED, 0.6, HIDE),
    (
        "*copy* & *cmd.exe* | *cscript.exe* | *powershell.exe* | *wscript.exe* | *rundll32.exe* & *lsass.exe* | *svchost.exe* | *notepad.exe* | *explorer.exe* | *taskhost* | *appdata* | *%temp%*",
        OBFUSCATED,
        0.8,
        HIDE,
    ),
    (
        "*$env:comspec[* | *-join* | *[char]* | *-bxor* | *-replace* & *iex* | *invoke-expression* | *&(* | *.(*",
        OBFUSCATED,
        0.78,
        HIDE,
    ),
    // Starting by itself.
    (
        "*currentversion\\run* | *currentversion\\policies\\explorer\\run* | *runonceex* | *runservices* & add | *set-itemproperty* | *new-itemproperty* | *reg.exe* | *regwrite* | *setvalue*",
        PERSISTENCE,
        0.88,
        START,
    ),
    ("*currentversion\\run*", PERSISTENCE, 0.62, START),
    (
        "*winlogon* & userinit | shell | *notify* | *gpextensions* | *mprnotify* & add | *set-itemproperty* | *new-itemproperty* | *reg*",
        PERSISTENCE,
        0.9,
        START,
    ),
    (
        "*image file execution options* | *silentprocessexit* & *debugger* | *globalflag* | *monitorprocess* | *reportingmode*",
        PERSISTENCE,
        0.92,
        START,
    ),
    (
        "*appinit_dlls* | *appcertdlls* | *loadappinit_dlls* | *security packages* | *authentication packages* | *notification packages* | *lsadbextpt* | *timeproviders* | *print\\monitors* & add | *set-itemproperty* | *new-itemproperty* | *reg* | helper",
        PERSISTENCE,
        0.84,
        START,
    ),
    (
        "*\\startup\\* | *start menu\\programs\\startup* | *shell:startup* & copy* | *createshortcut* | *.lnk* | *echo* | *out-file* | *set-content* | *.bat* | *.vbs* | *.exe* | *move*",
        PERSISTENCE,
        0.85,
        START,
    ),
    (
        "schtasks | schtasks.exe & */create* & *onlogon* | *onstart* | *system* | *minute* | *powershell* | *cmd* | *appdata* | *temp* | *http* | *daily* | *once* | *calc* | *highest*",
        PERSISTENCE,
        0.82,
        START,
    ),
    ("schtasks | schtasks.exe & */create*", PERSISTENCE, 0.72, START),
    (
        "register-scheduledtask | *ps_scheduledtask* | *schedule.service* | new-scheduledtask & *action* | *registerbyxml* | *registertaskdefinition* | *-taskname* | *-execute*",
        PERSISTENCE,
        0.8,
        START,
    ),
    ("sc | sc.exe & create | config & *binpath* ", PERSISTENCE, 0.84, START),
    ("new-service & *-binarypathname* | *-binarypath*", PERSISTENCE, 0.82, START),
    ("*set-servicebinarypath* | *services* & *imagepath* & *reg* | *set-itemproperty*", PERSISTENCE, 0.82, START),
    (
        "*__eventfilter* | *commandlineeventconsumer* | *activescripteventconsumer* | *__filtertoconsumerbinding* | *register-wmievent*",
        PERSISTENCE,
        0.92,
        START,
    ),
    ("*$profile* & add-content | set-content | out-file | *>>* | new-item", PERSISTENCE, 0.8, START),
    ("*userinitmprlogonscript* | *logonscript*", PERSISTENCE, 0.85, START),
    (
        "*screensaver* | *scrnsave.exe* | *screensaveactive* & add | *set-itemproperty* | *reg*",
        PERSISTENCE,
        0.82,
        START,
    ),
    (
        "*inprocserver32* | *treatas* | *localserver32* | *progid*  & add | *set-itemproperty* | *new-item* | *reg*",
        PERSISTENCE,
        0.82,
        START,
    ),
    (
        "*shell\\open\\command* | *delegateexecute* | *ms-settings* | *mscfile* & add | *set-itemproperty* | *new-item* | *reg*",
        PERSISTENCE,
        0.9,
        BYPASS,
    ),
    (
        "*fodhelper* | *computerdefaults* | *eventvwr* | *sdclt* | *silentcleanup* | *uacbypass* | *uacme* | *akagi* | *wsreset* & reg* | *start* | *new-item* | *uac* | *.exe*",
        PERSISTENCE,
        0.84,
        BYPASS,
    ),
    ("*uacbypass* | *bypassuac* | *bypass-uac* | *uac-bypass*", PERSISTENCE, 0.9, BYPASS),
    ("net | net.exe & user | localgroup & */add* | */active:yes*", PERSISTENCE, 0.85, ACCOUNT),
    (
        "new-localuser | add-localgroupmember | new-aduser | add-adgroupmember | enable-localuser | *new-msoluser* | *new-azureaduser* | *add-azureaddirectoryrolemember* | *new-azroleassignment* | *new-azadserviceprincipal* | *new-azureadapplicationpasswordcredential*",
        PERSISTENCE,
        0.8,
        ACCOUNT,
    ),
    (
        "*fdenytsconnections* | *enable-psremoting* | *allow-rdp* & 0 | add | *-force* | *reg*",
        PERSISTENCE,
        0.85,
        "Opens the machine to be controlled from outside",
    ),
    ("tscon | tscon.exe", PERSISTENCE, 0.82, "Takes over the session of another user"),
    ("*inetpub\\wwwroot* & copy* | xcopy | *out-file* | move", PERSISTENCE, 0.82, "Puts a program onto a web server"),
    ("bitsadmin* & */setnotifycmdline*", PERSISTENCE, 0.92, START),
    ("install-transportagent | *appdomainmanager* | *cor_profiler* | *cor_enable_profiling*", PERSISTENCE, 0.85, START),
    (
        "*sethc.exe* | *utilman.exe* | *osk.exe* | *magnify.exe* | *narrator.exe* | *displayswitch.exe* | *atbroker.exe* & *cmd.exe* | *copy* | *debugger* | *taskmgr*",
        PERSISTENCE,
        0.9,
        START,
    ),
    ("*hidden* | *specialaccounts* & *userlist*", PERSISTENCE, 0.82, ACCOUNT),
    (
        "*limitblankpassworduse* | *localaccounttokenfilterpolicy* | *disablerestrictedadmin* | *runasppl* & 0 | 1 | add | *reg*",
        PERSISTENCE,
        0.85,
        GUARD,
    ),
    (
        "set-domainuser | set-adaccountcontrol | *set-adcomputer* | *sidhistory* | *set-adobject* | *add-objectacl* | *add-domainobjectacl* & *delegat* | *-replace* | *rights* | *password*",
        PERSISTENCE,
        0.8,
        ACCOUNT,
    ),
    // Known tools.
    (
        "*sharphound* | *bloodhound* | *invoke-bloodhound* | *winpwn* | *powersploit* | *powerview* | *powerup* | *nishang* | *empireproject* | *cobaltstrike* | *meterpreter* | *metasploit* | msfvenom | msfconsole | *seatbelt.exe* | *adfind* | *winpeas* | *linpeas* | *peass-ng* | *sharpview* | *covenant* | *sliver* | *invoke-obfuscation* | *donut* | *scarecrow* | *crackmapexec* | *evil-winrm* | *chisel* | *juicypotato* | *printspoofer* | *godpotato* | *aadinternals* | *invoke-psinject* | *invoke-dllinjection* & http* | *.ps1* | *.exe* | import-module | -* | *invoke* | iex*",
        OBFUSCATED,
        0.88,
        TOOL,
    ),
    (
        "*-athhtmlapplication* | *-athcompiledhelp* | *-athinjectedthread* | *-athpowershellcommandlineparameter*",
        OBFUSCATED,
        0.8,
        TOOL,
    ),
    // Away.
    (
        "*invoke-webrequest* | *invoke-restmethod* | *uploadfile* | *uploadstring* | *iwr* | *irm* | *uploaddata* & *-infile* | *uploadfile* | *get-content* | *uploadstring* & post | put | *http* ",
        EXFILTRATION,
        0.8,
        SEND,
    ),
    ("*resolve-dnsname* | nslookup & *tobase64string* | *base64* | *chunk* | *$encoded*", EXFILTRATION, 0.85, SEND),
    (
        "*net.sockets.tcpclient* & *getstream* | *stream* & *iex* | *invoke-expression* | *sendback* | *cmd* ",
        EXFILTRATION,
        0.95,
        "Gives a shell to whoever is at the other end",
    ),
    ("*send-mailmessage* & *-attachments*", EXFILTRATION, 0.72, SEND),
    (
        "rar | rar.exe | *rar.exe* | 7z | 7z.exe | winzip* & -hp* | -p* | a & -hp* | *-p*",
        EXFILTRATION,
        0.72,
        "Packs files behind a password",
    ),
    (
        "*discord.com/api/webhooks* | *pastebin.com/api* | *api.telegram.org* | *hooks.slack.com* & *post* | *-f* | *-d* | *invoke* | *curl*",
        EXFILTRATION,
        0.86,
        SEND,
    ),
    (
        "*tor.exe* | *torproject* | *start tor* & *start* | *invoke* | service | systemctl | *http*",
        EXFILTRATION,
        0.7,
        "Hides where it connects to",
    ),
    (
        "*promiscuous* | *setwindowshookex* | *getasynckeystate* | *get-keystrokes* | *copyfromscreen* | *get-clipboard* & *add-type* | *out-file* | *user32* | *bitmap* | *while* | *import* ",
        EXFILTRATION,
        0.72,
        "Records what a person types or sees",
    ),
    // Further destruction.
    (
        "get-childitem | gci | dir | ls & *-recurse* & remove-item | *| ri* | *| del* | *.delete()*",
        DESTRUCTIVE,
        0.78,
        WIPE,
    ),
    ("*[system.io.directory]::delete* | *[io.directory]::delete*", DESTRUCTIVE, 0.78, WIPE),
    (
        "remove-aduser | remove-adgroup | remove-adcomputer | remove-adorganizationalunit | remove-adobject | dsrm | remove-gpo",
        DESTRUCTIVE,
        0.8,
        "Deletes accounts or what belongs to a domain",
    ),
    ("net | net.exe & user & */delete* | */del*", DESTRUCTIVE, 0.72, "Deletes an account"),
    ("remove-localuser | disable-localuser | disable-adaccount", DESTRUCTIVE, 0.72, "Deletes an account"),
    (
        "remove-vm | remove-vmsnapshot | remove-vhd | dismount-vhd & *-force* | *-name* | *-all*",
        DESTRUCTIVE,
        0.78,
        "Deletes virtual machines or their disks",
    ),
    (
        "remove-az* | remove-azresourcegroup | remove-ec2* | remove-s3bucket | remove-gcs* & *-force* | *-confirm:$false* | *-deletecontent*",
        DESTRUCTIVE,
        0.84,
        "Deletes cloud resources",
    ),
    (
        "remove-azresourcegroup | remove-azvm | remove-azstorageaccount | remove-azkeyvault | remove-azsqldatabase | remove-s3bucket | remove-ec2instance",
        DESTRUCTIVE,
        0.75,
        "Deletes cloud resources",
    ),
    ("*invoke-sqlcmd* & drop | truncate | *delete from*", DESTRUCTIVE, 0.85, "Drops or empties a database"),
    (
        "reg | reg.exe & delete & */f* & *hklm\\* | *hkey_local_machine* | *hkcr* | *hkey_classes_root*",
        DESTRUCTIVE,
        0.8,
        "Deletes settings of the system",
    ),
    ("schtasks | schtasks.exe & */delete* & */f*", DESTRUCTIVE, 0.72, "Deletes scheduled jobs"),
    ("sc | sc.exe & delete", DESTRUCTIVE, 0.72, "Deletes a service"),
    ("reagentc | reagentc.exe & */disable*", DESTRUCTIVE, 0.88, BACKUP),
    (
        "manage-bde | manage-bde.exe | enable-bitlocker & *-on* | *-password* | *-protectors* | *recoverypassword*",
        DESTRUCTIVE,
        0.6,
        "Locks a disk",
    ),
    ("get-process | gps & stop-process & *-force*", DESTRUCTIVE, 0.7, "Stops programs without asking"),
    ("taskkill | taskkill.exe & *im ** | */fi *", DESTRUCTIVE, 0.7, "Stops programs without asking"),
    ("disable-netadapter | remove-netipaddress", DESTRUCTIVE, 0.72, "Takes the machine off the network"),
    (
        "netsh | netsh.exe & interface & disable | *admin=disable*",
        DESTRUCTIVE,
        0.72,
        "Takes the machine off the network",
    ),
    ("clear-recyclebin", DESTRUCTIVE, 0.5, "Deletes what could still be brought back"),
    ("*$recycle.bin*", DESTRUCTIVE, 0.7, "Deletes what could still be brought back"),
    ("fsutil | fsutil.exe & *setzerodata* | *deletejournal* | *createnew*", DESTRUCTIVE, 0.75, "Writes over files"),
    ("fsutil | fsutil.exe & *symlinkevaluation*", DESTRUCTIVE, 0.7, GUARD),
    (
        "robocopy | robocopy.exe & */mir* | */purge* & *empty* | *c:\\windows* | *c:\\users*",
        DESTRUCTIVE,
        0.82,
        "Empties a folder by mirroring another over it",
    ),
    (
        "icacls | icacls.exe | cacls & */deny* | */remove* | */reset* & *c:\\* | everyone*",
        DESTRUCTIVE,
        0.72,
        "Takes system files over",
    ),
    ("net | net.exe & share & */delete*", DESTRUCTIVE, 0.72, "Takes shared folders away"),
    ("remove-smbshare | remove-fileshare", DESTRUCTIVE, 0.72, "Takes shared folders away"),
    (
        "remove-item & *$env:* | *hklm:* | *hkcu:* | *c:\\* & *-recurse* | *-force*",
        DESTRUCTIVE,
        0.62,
        "Deletes files without asking",
    ),
    // Further guards.
    (
        "reg | reg.exe | set-itemproperty | new-itemproperty & *policies\\* | *currentcontrolset\\* | *\\lsa* | *terminal server* | *\\explorer\\advanced* | *lanmanserver* & 0 | 1 | *dword*",
        DESTRUCTIVE,
        0.62,
        GUARD,
    ),
    (
        "*consentpromptbehavioradmin* | *promptonsecuredesktop* | *autoshareserver* | *autosharewks* | *symlinkremotetolocal* | *showsuperhidden*",
        DESTRUCTIVE,
        0.78,
        GUARD,
    ),
    (
        "*import-certificate* | certutil* | *addstore* & *root* | *trustedpublisher*",
        PERSISTENCE,
        0.75,
        "Makes the system trust another certificate",
    ),
    (
        "*userauthentication* | *rdp-tcp* & 0 | *portnumber* | *reg_dword*",
        PERSISTENCE,
        0.75,
        "Opens the machine to be controlled from outside",
    ),
    // Further starts.
    ("*active setup\\installed components* & *stubpath* | *version* | *set-itemproperty*", PERSISTENCE, 0.85, START),
    (
        "*terminal server client\\default\\addins* | *startupprograms* | *background\\shell* | *\\shellex\\* | *amsi\\providers* | *appx_process* | *cor_profiler* | *dotnet_startup_hooks* | *\\netsh* & add | *reg* | *.dll* | *.exe*",
        PERSISTENCE,
        0.8,
        START,
    ),
    ("netsh | netsh.exe & *add helper*", PERSISTENCE, 0.88, START),
    ("pnputil | pnputil.exe & *add-driver* | -i | -a", PERSISTENCE, 0.5, "Loads a driver"),
    ("appcmd | appcmd.exe | *appcmd.exe* | new-webglobalmodule & *install* | *-image*", PERSISTENCE, 0.82, START),
    ("dnscmd | dnscmd.exe & *serverlevelplugindll*", PERSISTENCE, 0.93, START),
    (
        "*winhttp*  | netsh* & *portproxy* & add | *connectaddress*",
        EXFILTRATION,
        0.8,
        "Opens a way around the network's borders",
    ),
    ("at | at.exe & */interactive*", PERSISTENCE, 0.82, START),
    // Further proxies.
    (
        "certoc* | cmdl32* | ie4uinit* | *microsoft.workflow.compiler* | verclsid* | xwizard* | runscripthelper* | rasautou* | tttracer* | ttdinject* | unregmp2* | gfxdownloadwrapper* | agentexecutor* | appvlp* | bginfo* | diskshadow* | extrac32* | jsc.exe | ilasm* | msdeploy* | mspub* | squirrel* | vsjitdebugger* | wuauclt* | *fxsst* | print.exe | *datasvcutil* | *onedrivestandaloneupdater* | *winfile* | *protocolhandler* | *devinit* | finger.exe | wfc.exe | visualuiaverifynative* | *stordiag* | sqlps* | sqltoolsps* | dotnet-dump | dump64* | ntsd | cdb.exe & http* | *.dll* | *.inf* | *.exe* | *.xml* | */s* | */c* | *-basesettings* | *-loaddll* | *.js* | *.vsp* | *.cab* | *.txt*",
        OBFUSCATED,
        0.78,
        PROXY,
    ),
    ("control | control.exe & *.cpl* | *.dll*", OBFUSCATED, 0.72, PROXY),
    ("conhost | conhost.exe & *--headless* | *.exe* | cmd", OBFUSCATED, 0.78, PROXY),
    ("hh | hh.exe & *-decompile* | *.chm* | *http*", OBFUSCATED, 0.72, PROXY),
    ("forfiles | forfiles.exe | pcalua | pcalua.exe | scriptrunner* & */c* | *-a*", OBFUSCATED, 0.75, PROXY),
    ("ftp | ftp.exe & *-s:*", OBFUSCATED, 0.7, PROXY),
    ("findstr | findstr.exe & */v* & */l* & *\\\\*", OBFUSCATED, 0.78, PROXY),
    ("mount-diskimage | *mount-vhd*", OBFUSCATED, 0.5, HIDE),
    ("*invoke-cimmethod* & *win32_product* | *win32_process*", OBFUSCATED, 0.75, "Runs commands on other machines"),
    (
        "*creationtime* | *lastwritetime* | *lastaccesstime* & *= * & *19* | *01/01* | *get-date*",
        OBFUSCATED,
        0.6,
        "Changes the times of files to hide what was done",
    ),
    (
        "copy* | ren | rename | copy-item & *\\system32\\* & *%temp%* | *%appdata%* | *$env:temp* | *appdata* | *users\\public*",
        OBFUSCATED,
        0.7,
        HIDE,
    ),
    ("*[char]0x* | *-f's'* | *}{* & *invoke-ex* | *iex* | *-join* | *-f*", OBFUSCATED, 0.6, HIDE),
    ("*.attributes* & *hidden* | *system*", OBFUSCATED, 0.55, HIDE),
    (
        "net | net.exe | new-psdrive & use | *-root* & *\\\\* & *c$* | *admin$* | *ipc$*",
        OBFUSCATED,
        0.72,
        "Reaches into other machines",
    ),
    (
        "anydesk* | teamviewer* | ultraviewer* | ammyy* | *aa_v3* | radmin* | splashtop* | *netsupport* | rustdesk* | screenconnect* | *connectwise* | logmein* | *vncviewer* | *pdqdeploy* | remcom* | *quickassist* & *start-process* | *.exe* | *install* | */s* | *--silent*",
        OBFUSCATED,
        0.62,
        "Starts a program that lets others control the machine",
    ),
    (
        "plink | plink.exe | *plink.exe* | pscp | pscp.exe | *pscp.exe* & *-pw*",
        OBFUSCATED,
        0.6,
        "Runs commands on other machines",
    ),
    (
        "*soaphound* | *sharphound* | *powerdump* | *msolspray* | *passwordspray* | *get-keystrokes* | *invoke-psimage* | *gsecdump* | *invoke-phantom* | *sharpup* | *psattack* | *jaws-enum* | *psiphon* | *hashcat*",
        CREDENTIALS,
        0.85,
        TOOL,
    ),
    (
        "*convertto-securestring* & *-asplaintext* & *foreach* | *spray* | *$passwords*",
        CREDENTIALS,
        0.78,
        "Tries passwords",
    ),
    ("rpcping | rpcping.exe & */u* | *-u*", CREDENTIALS, 0.75, DUMP),
    ("*169.254.169.254*", CREDENTIALS, 0.82, "Takes credentials from the metadata service of a cloud"),
    (
        "*consolehost_history* & *select-string* | *get-content* | type | cat | findstr",
        CREDENTIALS,
        0.82,
        "Searches for passwords",
    ),
    (
        "get-childitem | gci | dir | findstr & *.kdbx* | *.pfx* | *.ppk* | *password*  | *.pem* | *.key*",
        CREDENTIALS,
        0.7,
        "Searches for passwords",
    ),
    ("pktmon | pktmon.exe & filter | start", CREDENTIALS, 0.6, "Records the network"),
    ("*tshark* | *windump* & *-i*", CREDENTIALS, 0.5, "Records the network"),
    ("psr | psr.exe & */start*", EXFILTRATION, 0.8, "Records what a person types or sees"),
    (
        "compress-archive | makecab | makecab.exe | *rar.exe* | 7z | 7z.exe | *winzip* & *userprofile* | *documents* | *desktop* | *.hiv* | *c:\\users* | *-hp* | *-p* | *-s\"*",
        EXFILTRATION,
        0.7,
        "Packs files to take away",
    ),
    (
        "rclone* | *megatools* | *megacmd* & *config* | *copy* | *sync* & *mega* | *--config* | *remote:*",
        EXFILTRATION,
        0.75,
        SEND,
    ),
    (
        "*-useragent* | *curl* & *httpbrowser* | *wget/* | *opera/8*",
        EXFILTRATION,
        0.6,
        "Pretends to be another program",
    ),
    ("resolve-dnsname | nslookup & *txt* & *get-random* | *for* | *subdomain*", EXFILTRATION, 0.72, SEND),
];

const CODE: &[Row] = &[
    (
        "*exec(base64.* | *eval(base64.* | *exec(b64decode* | *eval(b64decode* | *exec(zlib.* | *exec(marshal.* | *exec(codecs.* | *exec(bytes.fromhex* | *exec(__import__('base64* | *exec(__import__(\"base64*",
        CODE_OBFUSCATED,
        0.9,
        "Decodes something and runs it",
    ),
    (
        "*exec(* | *eval(* | *exec (* & *b64decode(* | *base64.decode* | *zlib.decompress* | *marshal.loads* | *fromhex(* | *codecs.decode* | *bytes.fromhex* | *rot13* | *lzma.decompress*",
        CODE_OBFUSCATED,
        0.68,
        "Decodes something and runs it",
    ),
    ("*eval(* | *function(* & *atob(*", CODE_OBFUSCATED, 0.85, "Decodes something and runs it"),
    (
        "*eval(* | *vm.run* | *new function(* & *buffer.from(* & *base64* | *hex*",
        CODE_OBFUSCATED,
        0.9,
        "Decodes something and runs it",
    ),
    (
        "*eval(* & *string.fromcharcode* | *unescape(* | *decodeuricomponent(*",
        CODE_OBFUSCATED,
        0.66,
        "Decodes something and runs it",
    ),
    (
        "*eval(* | *assert(* & *base64_decode(* | *gzinflate(* | *str_rot13(* | *gzuncompress(*",
        CODE_OBFUSCATED,
        0.95,
        "Decodes something and runs it",
    ),
    (
        "*eval(* | *system(* | *assert(* | *exec(* | *passthru(* | *shell_exec(* & *$_get* | *$_post* | *$_request* | *$_cookie*",
        CODE_EXECUTION,
        0.95,
        "Runs what a visitor sends (a web shell)",
    ),
    ("*eval * | *eval(* & *base64.decode64* | *unpack(*", CODE_OBFUSCATED, 0.9, "Decodes something and runs it"),
    (
        "*os.system(* | *subprocess.* | *popen(* | *os.popen(* & *curl * | *wget * | *powershell* | */dev/tcp* | *nc -* | *rm -rf* | *| sh* | *|sh* | *| bash* | *|bash* | *certutil*",
        CODE_EXECUTION,
        0.85,
        "Runs a dangerous command from code",
    ),
    (
        "*child_process* & *curl * | *wget * | *powershell* | */dev/tcp* | *nc -* | *rm -rf* | *| sh* | *| bash* | *|bash* | *certutil*",
        CODE_EXECUTION,
        0.85,
        "Runs a dangerous command from code",
    ),
    ("*__import__(* & *os* & *.system(* | *.popen(*", CODE_EXECUTION, 0.85, "Runs a command from code"),
    (
        "*__import__(* & *subprocess* | *base64* | *exec(* | *getattr(* | *socket*",
        CODE_EXECUTION,
        0.75,
        "Runs a command from code",
    ),
    (
        "*__class__* & *__subclasses__* | *__globals__* | *__builtins__*",
        CODE_EXECUTION,
        0.9,
        "Breaks out of a template or sandbox",
    ),
    (
        "*pickle.loads(* | *cpickle.loads(* | *marshal.loads(* | *yaml.unsafe_load(* | *dill.loads(* & *request* | *b64decode* | *recv(* | *urlopen* | *http*",
        CODE_EXECUTION,
        0.82,
        "Loads an object from outside, which may run code",
    ),
    ("*pickle.loads(* | *marshal.loads(*", CODE_EXECUTION, 0.45, "Loads an object, which may run code"),
    (
        "*__reduce__* & *os.system* | *subprocess* | *eval* | *exec*",
        CODE_EXECUTION,
        0.85,
        "Makes an object that runs code when it is loaded",
    ),
    (
        "*shutil.rmtree* & *('/'* | *(\"/\"* | *expanduser* | *path.home()* | *'/etc* | *'/home* | *\"/home*",
        DESTRUCTIVE,
        0.9,
        WIPE,
    ),
    (
        "*fs.rm* | *rimraf* | *rmsync(* | *rmdirsync(* & *('/')* | *('/'* | *(\"/\"* | *homedir()*  & *recursive*",
        CODE_EXECUTION,
        0.9,
        WIPE,
    ),
    (
        "*socket* & *dup2(* & *subprocess* | */bin/sh* | */bin/bash* | *pty.spawn*",
        EXFILTRATION,
        0.95,
        "Gives a shell to whoever is at the other end",
    ),
    ("*pty.spawn(* & *socket* | */bin/*", EXFILTRATION, 0.85, "Gives a shell to whoever is at the other end"),
    (
        "*fsockopen(* | *tcpsocket* | *net.socket(* | *io.socket* | *net.connect(* & */bin/sh* | */bin/bash* | *cmd.exe* | *exec(* | *spawn(*",
        EXFILTRATION,
        0.86,
        "Gives a shell to whoever is at the other end",
    ),
    (
        "use socket & exec* & */bin/sh* | */bin/bash*",
        EXFILTRATION,
        0.93,
        "Gives a shell to whoever is at the other end",
    ),
    ("*runtime.getruntime().exec(*", CODE_EXECUTION, 0.72, "Runs a command from code"),
    (
        "*os.environ* | *process.env* | *env.to_h* | *env.to_hash* | *env.inspect* & *requests.post* | *axios.post* | *fetch(* | *https.request* | *http.request* | *urlopen(* | *net::http* | *urllib.request* | *httpx.post* & *post* | *json.stringify* | *dumps(* | *urlencode* | *b64* | *data=* | *json=* | *dict(* | *to_json*",
        CODE_EXFILTRATION,
        0.82,
        "Sends the environment away",
    ),
    (
        "*.ssh/id_* | *.aws/credentials* | */etc/passwd* | */etc/shadow* | *.npmrc* | *.env* | *.git-credentials* | *.kube/config* | *wallet.dat* | *login data* | *.bash_history* | *.pypirc* & *requests.post* | *axios* | *fetch(* | *https.request* | *urlopen(* | *http.client* | *net::http* | *http.post* | *socket* | *curl *",
        CODE_EXFILTRATION,
        0.86,
        "Sends a file that holds credentials away",
    ),
    (
        "*discord.com/api/webhooks* | *discordapp.com/api/webhooks* | *api.telegram.org/bot* | *webhook.site* | *pipedream.net* | *oastify.com* | *burpcollaborator* | *interact.sh* | *oast.* | *ngrok* & *post* | *requests* | *fetch(* | *http* | *urlopen*",
        CODE_EXFILTRATION,
        0.7,
        "Sends data to a site made for dropping it",
    ),
    (
        "*urlretrieve(* | *urlopen(* | *requests.get(* | *download* & *os.system(* | *subprocess* | *startfile(* | *popen(* | *exec(* | *chmod(* & *.exe* | *.sh* | *0o7* | *0o755* | *exec(* | *.ps1* | *chmod(*",
        CODE_EXECUTION,
        0.8,
        "Downloads a program and runs it",
    ),
    ("*exec(* & *requests.get(* | *urlopen(* | *urllib.request*", CODE_EXECUTION, 0.66, FETCH),
    ("*eval(* & *fetch(* | *axios.get(* | *https.get(* | *xmlhttprequest*", CODE_EXECUTION, 0.72, FETCH),
    (
        "*ctypes* & *virtualalloc* | *createthread* | *rtlmovememory*",
        CODE_EXECUTION,
        0.93,
        "Puts machine code into memory and runs it",
    ),
    (
        "*cmdclass* | *setuptools* & *os.system(* | *subprocess* | *urlopen(* | *exec(* | *requests.* & install | *develop* | *egg_info*",
        CODE_EXECUTION,
        0.6,
        "Runs code while it is being installed",
    ),
    (
        "preinstall | postinstall | *\"install\"* & *curl * | *wget * | *node -e* | *powershell* | *bash -c* | *| sh* | *|sh* | *base64*",
        CODE_EXECUTION,
        0.8,
        "Runs code while it is being installed",
    ),
    (
        "*pyarmor* | *__pyarmor__* | *_0x* & *import* | *function* & *runtime* | *eval* | *fromcharcode* | *push* ",
        CODE_OBFUSCATED,
        0.62,
        HIDE,
    ),
    (
        "*imagegrab.grab(* | *pyautogui.screenshot(* | *pyperclip.paste(* | *pynput* | *keylogger* | *getclipboarddata* & *post* | *send* | *while* | *open(* | *save* | *socket*",
        CODE_EXFILTRATION,
        0.72,
        "Records what a person types or sees",
    ),
];

impl Signatures {
    /// Builds the lexicon of all words and of `programs`.
    pub(crate) fn new(programs: &[&str]) -> Result<Signatures, String> {
        let mut words: Vec<&'static str> = Vec::new();
        let mut rows = Vec::new();
        let mut number = |word: &'static str| {
            let at = words.iter().position(|known| *known == word).unwrap_or_else(|| {
                words.push(word);
                words.len() - 1
            });
            u16::try_from(at).map_err(|_| "too many words".to_owned())
        };
        let tables = WINDOWS.iter().map(|row| (row, NEAR)).chain(CODE.iter().map(|row| (row, FAR)));
        for ((text, category, score, message), reach) in tables {
            let mut parts = Vec::new();
            let mut without = Vec::new();
            for part in text.split(" & ") {
                let alternatives = part.split(" | ").map(str::trim);
                match part.trim().strip_prefix('!') {
                    Some(word) => without.push(number(word)?),
                    None => parts.push(alternatives.map(&mut number).collect::<Result<Vec<_>, _>>()?),
                }
            }
            rows.push(Compiled { parts, without, category, score: *score, message, reach });
        }
        let mut encoded = Vec::new();
        let entries: Vec<(&str, u16)> = words
            .iter()
            .zip(0u16..)
            .map(|(word, id)| match word.strip_prefix("base64:") {
                Some(word) => {
                    encoded.push(id);
                    (word, id)
                }
                None => (*word, id),
            })
            .collect();
        let programs = programs.iter().map(|name| (*name, PROGRAM));
        let lexicon = Lexicon::new(entries.into_iter().chain(programs)).map_err(|error| error.to_string())?;
        let mut first = vec![Vec::new(); words.len()];
        for (row, at) in rows.iter().zip(0u16..) {
            for word in row.parts.first().into_iter().flatten() {
                if let Some(slot) = first.get_mut(usize::from(*word)) {
                    slot.push(at);
                }
            }
        }
        Ok(Signatures { lexicon, rows, first, encoded })
    }

    /// All words in `text`, but for those that long encodings hold by chance.
    pub(crate) fn words(&self, text: &str) -> Words {
        let mut hits = self.lexicon.hits(text, false, MOST_HITS);
        let cut = hits.len() >= MOST_HITS;
        hits.sort_by_key(|hit| hit.start);
        let mut run = 0..0;
        hits.retain(|hit| {
            if hit.start >= run.end {
                run = run_around(text.as_bytes(), hit.start);
            }
            run.len() <= LONGEST_RUN || hit.end > run.end || self.encoded.contains(&hit.id)
        });
        let (mut programs, signed): (Vec<Hit>, Vec<Hit>) = hits.into_iter().partition(|hit| hit.id == PROGRAM);
        programs.sort_by_key(|hit| hit.end);
        let mut by_word = signed.clone();
        by_word.sort_by_key(|hit| hit.id);
        Words { signed, by_word, programs, cut }
    }

    /// Reports every signature in `words`. `place` translates what is found to where it came from.
    pub(crate) fn inspect(&self, words: &Words, place: impl Fn(Range<usize>) -> Range<usize>, report: &mut Report) {
        let mut done: Vec<u16> = Vec::new();
        for hit in &words.signed {
            for &row in self.first.get(usize::from(hit.id)).into_iter().flatten() {
                // Once a signature is told, telling it again adds nothing.
                if done.contains(&row) {
                    continue;
                }
                let Some(compiled) = self.rows.get(usize::from(row)) else { continue };
                if let Some(range) = compiled.around(words, hit) {
                    report.add(compiled.category, compiled.score, compiled.message, &place(range));
                    done.push(row);
                }
            }
        }
    }
}

impl Compiled {
    /// The stretch around `anchor` that holds a word of every part.
    fn around(&self, words: &Words, anchor: &Hit) -> Option<Range<usize>> {
        let near = anchor.start.saturating_sub(self.reach)..=anchor.end + self.reach;
        let mut range = anchor.start..anchor.end;
        for part in self.parts.get(1..)? {
            let found = part.iter().filter_map(|word| words.nearest(*word, anchor, &near));
            let found = found.min_by_key(|hit| (hit.start.abs_diff(anchor.start), hit.start))?;
            range = range.start.min(found.start)..range.end.max(found.end);
        }
        let kept = self.without.iter().any(|word| {
            let hits = words.of(*word);
            hits.get(hits.partition_point(|hit| hit.start < *near.start())).is_some_and(|hit| near.contains(&hit.start))
        });
        (!kept).then_some(range)
    }
}

impl Words {
    /// Where this word is, in order.
    fn of(&self, word: u16) -> &[Hit] {
        let from = self.by_word.partition_point(|hit| hit.id < word);
        let rest = self.by_word.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|hit| hit.id == word)).unwrap_or_default()
    }

    /// Where this word is nearest to `anchor`, beginning in `near`, and not in the very piece of text that stands for the anchor.
    fn nearest(&self, word: u16, anchor: &Hit, near: &RangeInclusive<usize>) -> Option<&Hit> {
        let hits = self.of(word);
        let (before, behind) = hits.split_at(hits.partition_point(|hit| hit.start < anchor.end));
        // Those that overlap the anchor are few: a word is shorter than its reach.
        let before = before.iter().rev().find(|hit| hit.end <= anchor.start);
        let both = before.into_iter().chain(behind.first()).filter(|hit| near.contains(&hit.start));
        both.min_by_key(|hit| (hit.start.abs_diff(anchor.start), hit.start))
    }
}

/// Whether base64 is made of this byte.
pub(crate) fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// The stretch of letters, digits, `+` and `/` in which `at` lies; empty where it lies in none.
fn run_around(bytes: &[u8], at: usize) -> Range<usize> {
    let (before, behind) = bytes.split_at_checked(at).unwrap_or_default();
    let end = at + behind.iter().take_while(|byte| in_run(**byte)).count();
    // What lies before belongs to a run only where `at` does.
    let start = if end == at { at } else { at - before.iter().rev().take_while(|byte| in_run(**byte)).count() };
    start..end
}
