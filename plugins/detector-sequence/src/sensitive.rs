//! What is sensitive: by the words of a reading call, and by what a result looks like.

use std::collections::BTreeSet;

use plugin_text::{Lexicon, luhn, targets};
use portcullis_plugin::Text;

use crate::config::Config;

/// Most kinds: a bit each, and one more for what is only perhaps of the kind.
const MOST: usize = 16;
/// Longest text that is searched for places: those of documents are only spoken of.
const MOST_PLACE: usize = 2048;
/// As many times the addresses are certainly a list of customers.
const CERTAIN: usize = 8;
const CREDENTIALS: usize = 0;
const CUSTOMERS: usize = 4;
const CARDS: usize = 5;
const DUMP: usize = 6;

/// The kinds that are known without configuration: what they are called, words of a call that reads such things, and
/// places that say so whatever the call does.
const KINDS: [(&str, &str, &str); 7] = [
    (
        "credentials",
        "credential|credentials|secret|secrets|password|passwords|passphrase|private key|private keys|api key|api keys|apikey|\
         api_key|api_keys|ssh key|ssh keys|ssh_key|access key|access keys|access_key|secret key|secret_key|private_key|keychain|\
         keystore|vault|service account key|recovery codes|zugangsdaten|passwort|passwörter|contraseña|contraseñas|mot de passe|\
         mots de passe",
        "*id_rsa*|*id_ed25519*|*id_ecdsa*|*.ssh/*|*.aws/credentials*|*.aws/config*|*.kube/config*|*.npmrc|*.pypirc|\
         *.netrc|*.pgpass|*.git-credentials|*.docker/config.json|*etc/shadow|*etc/passwd|*proc/self/environ|*secrets.y*|*secrets.json|\
         *credentials.json|*service-account*.json|*.pem|*.p12|*.pfx|*.kdbx|*wallet.dat|*login data|*var/run/secrets*|\
         *169.254.169.254*|*application_default_credentials*",
    ),
    (
        "payroll",
        "payroll|payrolls|payslip|payslips|salary|salaries|wage|wages|compensation|bonus list|gehalt|gehälter|gehaltsliste|nómina|\
         nóminas|fiche de paie|salaire|salaires|stipendio|stipendi",
        "",
    ),
    (
        "personnel",
        "personnel|personnel file|personnel files|hr record|hr records|hr file|hr files|employee record|employee records|\
         employee_records|employee data|employee file|employee files|performance review|performance reviews|disciplinary|\
         background check|termination letter|personalakte|personalakten",
        "",
    ),
    (
        "health",
        "patient|patients|medical|medical record|medical records|health record|health records|diagnosis|diagnoses|prescription|\
         prescriptions|lab results|ehr|emr|insurance claim|insurance claims|clinical notes|patientenakte|krankenakte",
        "",
    ),
    (
        "customers",
        "export customers|export_customers|customer export|customer_export|customer list|customer_list|customer database|\
         customer records|all customers|list_customers|list customers|export contacts|export_contacts|contact export|crm export|\
         export users|export_users|user export|user_export|all users|subscriber list|mailing list export|kundenliste|kundendaten",
        "",
    ),
    (
        "finances",
        "bank statement|bank statements|bank_statement|bank account|bank accounts|bank_accounts|tax return|tax returns|tax_return|credit card|\
         credit cards|credit_card|card number|card numbers|iban|ibans|ledger export|balance sheet|financial records|kontoauszug|kontoauszüge",
        "",
    ),
    (
        "a database dump",
        "database dump|db dump|dump database|dump_database|database_dump|db_dump|database backup|backup database|export database|\
         export_database|dump table|dump_table|full export|select * from users|select * from customers|select * from accounts|\
         select * from employees|select * from patients",
        "*pg_dump*|*mysqldump*|*mongodump*|*redis-cli --rdb*",
    ),
];

/// Everything that is looked for.
#[derive(Debug)]
pub(crate) struct Sensitive {
    names: Vec<String>,
    /// Words count in what reads, the others everywhere: those have [`EVERYWHERE`] added.
    lexicon: Lexicon,
    many_addresses: usize,
    many_cards: usize,
    /// Bits that are not looked for.
    off: u32,
}

const EVERYWHERE: u16 = 0x100;

impl Sensitive {
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let mut off = 0;
        for (index, what) in config.not_sensitive.iter().enumerate() {
            let bit = KINDS.iter().position(|(name, _, _)| name == what).ok_or_else(|| {
                let known: Vec<_> = KINDS.iter().map(|(name, _, _)| *name).collect();
                format!("not_sensitive[{index}]: {what:?} is none of {}", known.join(", "))
            })?;
            off |= 1 << bit;
        }
        let mut names: Vec<String> = KINDS.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        let mut words: Vec<(String, u16)> = Vec::new();
        let bit = |names: &[String]| u16::try_from(names.len()).unwrap_or(u16::MAX);
        for (number, (_, reading, anywhere)) in (0..).zip(KINDS) {
            for (list, number) in [(reading, number), (anywhere, number | EVERYWHERE)] {
                words.extend(list.split('|').filter(|word| !word.is_empty()).map(|word| (word.to_owned(), number)));
            }
        }
        for (index, kind) in config.sensitive.iter().enumerate() {
            let what = kind.what.trim();
            if what.is_empty() || what.len() > 64 || what.chars().any(char::is_control) {
                return Err(format!("sensitive[{index}].what: give 1 to 64 bytes"));
            }
            if kind.words.is_empty() {
                return Err(format!("sensitive[{index}].words: give at least one word"));
            }
            let number = match names.iter().position(|name| name == what) {
                Some(known) => u16::try_from(known).unwrap_or(u16::MAX),
                None => {
                    let number = bit(&names);
                    names.push(what.to_owned());
                    number
                }
            };
            for (position, word) in kind.words.iter().enumerate() {
                if word.trim_matches('*').trim().is_empty() {
                    return Err(format!("sensitive[{index}].words[{position}]: give a word"));
                }
                words.push((word.trim().to_owned(), number));
            }
        }
        if names.len() > MOST {
            return Err(format!("sensitive: at most {} kinds of your own", MOST - KINDS.len()));
        }
        let words: Vec<(String, u16)> =
            words.into_iter().map(|(word, number)| (plugin_text::folded(&word).to_lowercase(), number)).collect();
        let lexicon = Lexicon::new(words.iter().map(|(word, number)| (word.as_str(), *number)));
        let lexicon = lexicon.map_err(|error| format!("sensitive: {error}"))?;
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            names,
            lexicon,
            many_addresses: count(config.many_addresses),
            many_cards: count(config.many_cards),
            off,
        })
    }

    /// What a bit is called.
    pub(crate) fn name(&self, bit: usize) -> &str {
        self.names.get(bit).map_or("something", String::as_str)
    }

    /// The bits of names that are known.
    pub(crate) fn bit_of(&self, name: &str) -> u32 {
        self.names.iter().position(|known| known == name).map_or(0, |bit| 1 << bit)
    }

    /// The certain bits that are set, as numbers.
    pub(crate) fn each(bits: u32) -> impl Iterator<Item = usize> {
        (0..MOST).filter(move |bit| bits & (1 << bit) != 0)
    }

    /// What is only perhaps so, as if it were certain.
    pub(crate) fn perhaps(bits: u32) -> u32 {
        bits >> MOST
    }

    /// Whether these are more than numbers and lists: keys open doors.
    pub(crate) fn opens_doors(bits: u32) -> bool {
        bits & (1 << CREDENTIALS) != 0
    }

    /// What a call reads: by the name of the tool, by names and places in its arguments, and perhaps by words of a longer text.
    pub(crate) fn of_call(&self, reads: bool, tool: &str, texts: &[Text]) -> u32 {
        let mut bits = if reads { self.words(&spoken(tool)).0 } else { 0 };
        for text in texts.iter().map(|text| text.value.trim()).filter(|text| reads || text.len() <= MOST_PLACE) {
            let (words, places) = self.words(text);
            if text.len() <= MOST_PLACE {
                bits |= places;
                if names_env(text) {
                    bits |= 1 << CREDENTIALS;
                }
            }
            if reads {
                bits |= if text.contains(char::is_whitespace) { words << MOST } else { words };
            }
        }
        bits & !(self.off | self.off << MOST)
    }

    /// The kinds whose words a text holds, and those whose places it holds.
    fn words(&self, text: &str) -> (u32, u32) {
        let folded = plugin_text::folded(text);
        let (mut words, mut places) = (0, 0);
        for hit in self.lexicon.hits(&folded, false, usize::MAX) {
            let bit = 1_u32.checked_shl(u32::from(hit.id & !EVERYWHERE)).unwrap_or(0);
            if hit.id & EVERYWHERE == 0 { words |= bit } else { places |= bit }
        }
        (words, places)
    }

    /// What a result holds, by what it looks like.
    pub(crate) fn of_result(&self, texts: &[Text]) -> u32 {
        let mut bits = 0;
        let (mut addresses, mut cards) = (BTreeSet::new(), BTreeSet::new());
        let mut tables = 0_usize;
        let enough = self.many_addresses.saturating_mul(CERTAIN);
        for text in texts {
            let text = text.value.as_str();
            if holds_key(text) {
                bits |= 1 << CREDENTIALS;
            }
            gather(&mut addresses, mails(text), enough);
            gather(&mut cards, cards_in(text), self.many_cards);
            tables += text.matches("INSERT INTO ").take(3).count() + text.matches("COPY public.").take(3).count();
        }
        if self.many_addresses > 0 && addresses.len() >= self.many_addresses {
            // A full inbox has as many.
            bits |= if addresses.len() >= enough { 1 << CUSTOMERS } else { 1 << CUSTOMERS << MOST };
        }
        if self.many_cards > 0 && cards.len() >= self.many_cards {
            bits |= 1 << CARDS;
        }
        if tables >= 3 {
            bits |= 1 << DUMP;
        }
        bits & !(self.off | self.off << MOST)
    }
}

/// The words of a tool's name: `readPayrollFile` and `read_payroll_file` are three.
pub(crate) fn spoken(tool: &str) -> String {
    let mut out = String::with_capacity(tool.len() + 8);
    let mut before = ' ';
    for c in tool.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push(' ');
        }
        out.push(if matches!(c, '_' | '-' | '.' | '/' | ':') { ' ' } else { c });
        before = c;
    }
    // Once as words, once as it is written: some words hold marks.
    out.push(' ');
    out.push_str(tool);
    out
}

/// Adds what is new to a set until there is enough in it: what was seen before hides nothing behind it.
fn gather<T: Ord>(set: &mut BTreeSet<T>, mut from: impl Iterator<Item = T>, enough: usize) {
    while set.len() < enough
        && let Some(one) = from.next()
    {
        set.insert(one);
    }
}

fn mails(text: &str) -> impl Iterator<Item = &str> {
    targets(text).take_while(|target| target.mail).map(|target| target.written)
}

/// Whether a text names a file `.env`, or one of its kind that is no example.
fn names_env(text: &str) -> bool {
    text.match_indices(".env").any(|(at, mark)| {
        let before = text.get(..at).unwrap_or_default().chars().next_back();
        let after = text.get(at + mark.len()..).unwrap_or_default();
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '('));
        let begins = before.is_none_or(|c| matches!(c, '/' | '\\' | ' ' | '"' | '\'' | '=' | '@' | ':'));
        begins
            && (ends(after)
                || [".local", ".prod", ".production", ".dev", ".staging"]
                    .iter()
                    .any(|kind| after.strip_prefix(kind).is_some_and(ends)))
    })
}

/// Whether a private key or a cloud key begins here.
fn holds_key(text: &str) -> bool {
    let header = |rest: &str| {
        let line = rest.get(..rest.ceil_char_boundary(64)).unwrap_or(rest);
        line.split_once("-----").is_some_and(|(kind, _)| kind.contains("PRIVATE KEY"))
    };
    let aws = |rest: &str| {
        let id = rest.bytes().take(17).take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count();
        id == 16
    };
    let shadow = |rest: &str| rest.starts_with('$') || rest.starts_with("x:0:0:");
    text.match_indices("-----BEGIN ").any(|(at, mark)| text.get(at + mark.len()..).is_some_and(header))
        || text.match_indices("AKIA").any(|(at, mark)| text.get(at + mark.len()..).is_some_and(aws))
        || text.match_indices("root:").any(|(at, mark)| text.get(at + mark.len()..).is_some_and(shadow))
}

/// Numbers of 13 to 19 digits, single spaces or hyphens between them, that pass Luhn's check and begin as cards do.
fn cards_in(text: &str) -> impl Iterator<Item = u64> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            if !byte.is_ascii_digit() {
                at += 1;
                continue;
            }
            let inside = at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(u8::is_ascii_alphanumeric);
            let (mut digits, mut number, mut count) = ([0_u8; 20], 0_u64, 0_usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'0'..=b'9' => {
                        if let Some(slot) = digits.get_mut(count) {
                            *slot = *byte;
                        }
                        number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                        count += 1;
                    }
                    b' ' | b'-' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
                    _ => break,
                }
                at += 1;
            }
            let outside = bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            if !inside && outside && (13..=19).contains(&count) {
                let digits = digits.get(..count).unwrap_or_default();
                let differ = digits.iter().any(|digit| Some(digit) != digits.first());
                if matches!(digits.first(), Some(b'3'..=b'6')) && differ && luhn(digits) {
                    return Some(number);
                }
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    fn texts(all: &[&str]) -> Vec<Text> {
        all.iter().map(|value| Text { pointer: String::new(), value: (*value).to_owned() }).collect()
    }

    fn sensitive() -> Sensitive {
        Sensitive::new(&Config::default()).unwrap()
    }

    /// What is only perhaps so has a question mark.
    fn named(bits: u32) -> Vec<String> {
        let all = sensitive();
        let certain = Sensitive::each(bits).map(|bit| all.name(bit).to_owned());
        certain.chain(Sensitive::each(Sensitive::perhaps(bits)).map(|bit| format!("{}?", all.name(bit)))).collect()
    }

    #[test]
    fn calls_tell_by_their_words() {
        let of = |reads, tool: &str, arguments: &[&str]| named(sensitive().of_call(reads, tool, &texts(arguments)));
        assert_eq!(of(true, "readPayroll", &[]), ["payroll"]);
        assert_eq!(of(true, "get_secret", &["db"]), ["credentials"]);
        assert_eq!(of(true, "read_file", &["/home/a/.ssh/id_ed25519"]), ["credentials"]);
        assert_eq!(of(false, "run_shell", &["cat /srv/app/.env"]), ["credentials"]);
        assert_eq!(of(true, "query", &["SELECT *  FROM customers"]), ["a database dump?"]);
        assert_eq!(of(true, "search", &["medical records of May"]), ["health?"]);
        assert_eq!(of(true, "read_file", &["medical_records/may.csv"]), ["health"]);
        assert_eq!(of(true, "search_web", &["how do I reset my password"]), ["credentials?"]);
        for file in [".env", "app/.env", ".env.production", "cat ./.env | head"] {
            assert_eq!(of(true, "read_file", &[file]), ["credentials"], "{file}");
        }
        assert_eq!(of(true, "read_file", &[".env.example", "process.env.PORT", "my.env", ".environment"]), [""; 0]);
        let long = "The keys of a host lie in ~/.ssh/. ".repeat(80);
        assert_eq!(of(false, "write_file", &[&long]), [""; 0], "a document speaks of places");
        assert_eq!(of(false, "send_mail", &["the payroll is late, sorry"]), [""; 0]);
        assert_eq!(of(true, "read_file", &["docs/environment.md", "max_tokens", "secretary", "salaryman"]), [""; 0]);
    }

    #[test]
    fn results_tell_by_what_they_look_like() {
        let of = |all: &[&str]| named(sensitive().of_result(&texts(all)));
        assert_eq!(of(&["-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"]), ["credentials"]);
        assert_eq!(of(&["-----BEGIN CERTIFICATE-----\nMIIB"]), [""; 0]);
        let many = |count: usize| (0..count).map(|n| format!("person{n}@mail{n}.example.org, ")).collect::<String>();
        assert_eq!(of(&[&many(25)]), ["customers?"]);
        assert_eq!(of(&[&many(200)]), ["customers"]);
        assert_eq!(of(&[&"anna@example.org ".repeat(50)]), [""; 0], "one address, however often");
        assert_eq!(of(&["4111 1111 1111 1111", "5500-0055-5555-5559"]), ["finances"]);
        assert_eq!(of(&["4111 1111 1111 1112 and 1234567890123456789012345678"]), [""; 0]);
        assert_eq!(
            of(&["INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);\nINSERT INTO a VALUES (3);"]),
            ["a database dump"]
        );
    }

    #[test]
    fn what_is_repeated_hides_nothing_behind_it() {
        let of = |text: &str| named(sensitive().of_result(&texts(&[text])));
        assert_eq!(of("4111 1111 1111 1111, 4111 1111 1111 1111, 5500-0055-5555-5559"), ["finances"]);
        let customers = |count: usize| (0..count).map(|n| format!("person{n}@mail.example.org, ")).collect::<String>();
        assert_eq!(of(&("sender@example.org, ".repeat(300) + &customers(250))), ["customers"]);
        assert_eq!(of(&("sender@example.org, ".repeat(300) + &customers(30))), ["customers?"]);
    }

    #[test]
    fn own_kinds_are_checked() {
        let kind = |what: &str, words: &[&str]| Kind {
            what: what.to_owned(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let of = |sensitive: Vec<Kind>| Sensitive::new(&Config { sensitive, ..Config::default() });
        let own = of(vec![kind("blueprints", &["blueprint*"]), kind("payroll", &["lohnlauf"])]).unwrap();
        let bits = own.of_call(true, "read", &texts(&["blueprints/lohnlauf"]));
        assert_eq!(Sensitive::each(bits).map(|bit| own.name(bit)).collect::<Vec<_>>(), ["payroll", "blueprints"]);
        for (bad, key) in [
            (vec![kind("", &["a"])], "sensitive[0].what"),
            (vec![kind("a", &[])], "sensitive[0].words"),
            (vec![kind("a", &["b"]), kind("c", &["*"])], "sensitive[1].words[0]"),
        ] {
            assert!(of(bad).unwrap_err().starts_with(key));
        }
        let off = |what: &str| Sensitive::new(&Config { not_sensitive: vec![what.to_owned()], ..Config::default() });
        assert_eq!(off("payroll").unwrap().of_call(true, "read_payroll", &[]), 0);
        assert!(off("everything").unwrap_err().starts_with("not_sensitive[0]"));
        let many: Vec<Kind> = (0..40).map(|n| kind(&format!("kind{n}"), &["a"])).collect();
        assert!(of(many).unwrap_err().starts_with("sensitive: at most"));
    }
}
