//! The words beside a value, and what they say it is.

use crate::kind::Kind;

/// A set of topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topics(u64);

/// Furthest a label may stand before a value, and after it.
const BEFORE: usize = 64;
const AFTER: usize = 24;
/// Words before a value that count as right beside it.
const NEAR: usize = 3;
/// Most words looked at on one side.
const MOST_WORDS: usize = 12;

impl Topics {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const PHONE: Self = Self(1);
    /// Words that stand beside telephone numbers and beside much else: they count only right there.
    pub(crate) const CALL: Self = Self(1 << 1);
    /// Those words, with another one or two in between.
    pub(crate) const CALLED: Self = Self(1 << 27);
    pub(crate) const CARD: Self = Self(1 << 2);
    pub(crate) const IP: Self = Self(1 << 3);
    /// Versions.
    pub(crate) const SOFTWARE: Self = Self(1 << 4);
    pub(crate) const BIRTH: Self = Self(1 << 5);
    pub(crate) const PASSPORT: Self = Self(1 << 6);
    pub(crate) const LICENCE: Self = Self(1 << 7);
    /// Numbers that are no personal data: orders, sizes, times.
    const OTHER: Self = Self(1 << 8);
    const SSN: Self = Self(1 << 9);
    const US_TAX: Self = Self(1 << 10);
    const SIN: Self = Self(1 << 11);
    const NINO: Self = Self(1 << 12);
    const NHS: Self = Self(1 << 13);
    const DE_TAX: Self = Self(1 << 14);
    const NIR: Self = Self(1 << 15);
    const DNI: Self = Self(1 << 16);
    const FISCAL: Self = Self(1 << 17);
    const BSN: Self = Self(1 << 18);
    const PESEL: Self = Self(1 << 19);
    const PERSONNUMMER: Self = Self(1 << 20);
    const AADHAAR: Self = Self(1 << 21);
    const CPF: Self = Self(1 << 22);
    const CNPJ: Self = Self(1 << 23);
    const TFN: Self = Self(1 << 24);
    const MEDICARE: Self = Self(1 << 25);
    const BANK: Self = Self(1 << 26);
    /// Any number of a state for its people.
    const TAX: Self =
        Self(Self::US_TAX.0 | Self::DE_TAX.0 | Self::FISCAL.0 | Self::CPF.0 | Self::CNPJ.0 | Self::TFN.0 | Self::SSN.0);
    const SOCIAL: Self = Self(Self::SSN.0 | Self::NIR.0 | Self::SIN.0 | Self::NINO.0 | Self::BSN.0);
    const IDENTITY: Self =
        Self(Self::TAX.0 | Self::SOCIAL.0 | Self::DNI.0 | Self::PESEL.0 | Self::PERSONNUMMER.0 | Self::AADHAAR.0);
    const HEALTH: Self = Self(Self::NHS.0 | Self::MEDICARE.0 | Self::NIR.0);

    pub(crate) fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What makes a number one of this kind.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Email => Self::NONE,
            Kind::Phone => Self::PHONE,
            Kind::Card => Self::CARD,
            Kind::Iban => Self::BANK,
            Kind::Ip => Self::IP,
            Kind::DateOfBirth => Self::BIRTH,
            Kind::UsSsn => Self::SSN,
            Kind::UsItin => Self::US_TAX,
            Kind::UsPassport => Self::PASSPORT,
            Kind::UsDriverLicence => Self::LICENCE,
            Kind::CaSin => Self::SIN,
            Kind::UkNino => Self::NINO,
            Kind::UkNhs => Self::NHS,
            Kind::DeTaxId => Self::DE_TAX,
            Kind::FrNir => Self::NIR,
            Kind::EsDni | Kind::EsNie => Self::DNI,
            Kind::ItFiscalCode => Self::FISCAL,
            Kind::NlBsn => Self::BSN,
            Kind::PlPesel => Self::PESEL,
            Kind::SePersonnummer => Self::PERSONNUMMER,
            Kind::InAadhaar => Self::AADHAAR,
            Kind::BrCpf => Self::CPF,
            Kind::BrCnpj => Self::CNPJ,
            Kind::AuTfn => Self::TFN,
            Kind::AuMedicare => Self::MEDICARE,
        }
    }
}

/// Words in small letters without accents, alone or two of them without the space, in order.
const WORDS: &[(&str, Topics)] = &[
    ("aadhaar", Topics::AADHAAR),
    ("aadhar", Topics::AADHAAR),
    ("account", Topics::OTHER),
    ("addr", Topics::IP),
    ("address", Topics::IP),
    ("amex", Topics::CARD),
    ("amount", Topics::OTHER),
    ("anrufen", Topics::CALL),
    ("answering", Topics::CALL),
    ("answers", Topics::CALL),
    ("appel", Topics::CALL),
    ("appeler", Topics::CALL),
    ("appelez", Topics::CALL),
    ("article", Topics::OTHER),
    ("asn", Topics::OTHER),
    ("bankaccount", Topics::BANK),
    ("batch", Topics::OTHER),
    ("bday", Topics::BIRTH),
    ("bel", Topics::CALL),
    ("bellen", Topics::CALL),
    ("birth", Topics::BIRTH),
    ("birthdate", Topics::BIRTH),
    ("birthday", Topics::BIRTH),
    ("block", Topics::OTHER),
    ("born", Topics::BIRTH),
    ("branch", Topics::OTHER),
    ("bsn", Topics::BSN),
    ("build", Topics::SOFTWARE),
    ("burgerservicenummer", Topics::BSN),
    ("bytes", Topics::OTHER),
    ("call", Topics::CALL),
    ("callback", Topics::CALL),
    ("caller", Topics::PHONE),
    ("callme", Topics::PHONE),
    ("card", Topics::CARD),
    ("carte", Topics::CARD),
    ("case", Topics::OTHER),
    ("cc", Topics::CARD),
    ("ccn", Topics::CARD),
    ("cel", Topics::PHONE),
    ("cell", Topics::PHONE),
    ("cellphone", Topics::PHONE),
    ("celular", Topics::PHONE),
    ("checksum", Topics::OTHER),
    ("chiama", Topics::CALL),
    ("chiamami", Topics::CALL),
    ("chiamare", Topics::CALL),
    ("client", Topics::IP),
    ("cnpj", Topics::CNPJ),
    ("code", Topics::OTHER),
    ("codicefiscale", Topics::FISCAL),
    ("commit", Topics::OTHER),
    ("contact", Topics::CALL),
    ("contribuinte", Topics::TAX),
    ("count", Topics::OTHER),
    ("cpf", Topics::CPF),
    ("created", Topics::OTHER),
    ("credit", Topics::CARD),
    ("creditcard", Topics::CARD),
    ("cvv", Topics::CARD),
    ("date", Topics::OTHER),
    ("datenaissance", Topics::BIRTH),
    ("debit", Topics::CARD),
    ("desk", Topics::CALL),
    ("dial", Topics::CALL),
    ("dialing", Topics::CALL),
    ("dialled", Topics::CALL),
    ("direct", Topics::CALL),
    ("dl", Topics::LICENCE),
    ("dlnumber", Topics::LICENCE),
    ("dni", Topics::DNI),
    ("dob", Topics::BIRTH),
    ("driverlicence", Topics::LICENCE),
    ("driverlicense", Topics::LICENCE),
    ("driverslicence", Topics::LICENCE),
    ("driverslicense", Topics::LICENCE),
    ("drivinglicence", Topics::LICENCE),
    ("drivinglicense", Topics::LICENCE),
    ("emergency", Topics::CALL),
    ("epoch", Topics::OTHER),
    ("erreichbar", Topics::CALL),
    ("erreichen", Topics::CALL),
    ("error", Topics::OTHER),
    ("extension", Topics::CALL),
    ("fax", Topics::PHONE),
    ("fiscalcode", Topics::FISCAL),
    ("fon", Topics::PHONE),
    ("geboren", Topics::BIRTH),
    ("geburtsdatum", Topics::BIRTH),
    ("gsm", Topics::PHONE),
    ("handy", Topics::PHONE),
    ("handynr", Topics::PHONE),
    ("handynummer", Topics::PHONE),
    ("hash", Topics::OTHER),
    ("healthcard", Topics::HEALTH),
    ("healthservice", Topics::NHS),
    ("height", Topics::OTHER),
    ("helpline", Topics::PHONE),
    ("host", Topics::IP),
    ("hotline", Topics::PHONE),
    ("iban", Topics::BANK),
    ("id", Topics::OTHER),
    ("identification", Topics::IDENTITY),
    ("identifikationsnummer", Topics::DE_TAX),
    ("identity", Topics::IDENTITY),
    ("idnr", Topics::DE_TAX),
    ("index", Topics::OTHER),
    ("inet", Topics::IP),
    ("insee", Topics::NIR),
    ("insurancenumber", Topics::SOCIAL),
    ("invoice", Topics::OTHER),
    ("ip", Topics::IP),
    ("ipaddress", Topics::IP),
    ("ipv", Topics::IP),
    ("isbn", Topics::OTHER),
    ("issn", Topics::OTHER),
    ("issue", Topics::OTHER),
    ("item", Topics::OTHER),
    ("itin", Topics::US_TAX),
    ("joindre", Topics::CALL),
    ("kartennummer", Topics::CARD),
    ("kreditkarte", Topics::CARD),
    ("landline", Topics::CALL),
    ("landlinenumber", Topics::PHONE),
    ("length", Topics::OTHER),
    ("ligar", Topics::CALL),
    ("ligue", Topics::CALL),
    ("line", Topics::OTHER),
    ("llama", Topics::CALL),
    ("llamame", Topics::CALL),
    ("llamar", Topics::CALL),
    ("login", Topics::IP),
    ("mastercard", Topics::CARD),
    ("medicare", Topics::MEDICARE),
    ("message", Topics::CALL),
    ("messages", Topics::CALL),
    ("mobiel", Topics::PHONE),
    ("mobiele", Topics::PHONE),
    ("mobil", Topics::PHONE),
    ("mobile", Topics::PHONE),
    ("mobilnr", Topics::PHONE),
    ("mobilnummer", Topics::PHONE),
    ("mobiltelefon", Topics::PHONE),
    ("movil", Topics::PHONE),
    ("msisdn", Topics::PHONE),
    ("nacido", Topics::BIRTH),
    ("nacimiento", Topics::BIRTH),
    ("naissance", Topics::BIRTH),
    ("nascimento", Topics::BIRTH),
    ("nascita", Topics::BIRTH),
    ("natel", Topics::PHONE),
    ("nationalid", Topics::IDENTITY),
    ("nationalidentity", Topics::IDENTITY),
    ("nationalinsurance", Topics::NINO),
    ("nhs", Topics::NHS),
    ("ni", Topics::NINO),
    ("nie", Topics::DNI),
    ("nif", Topics::DNI),
    ("nino", Topics::NINO),
    ("nir", Topics::NIR),
    ("office", Topics::CALL),
    ("offset", Topics::OTHER),
    ("order", Topics::OTHER),
    ("page", Topics::OTHER),
    ("pager", Topics::CALL),
    ("pan", Topics::CARD),
    ("parcel", Topics::OTHER),
    ("passport", Topics::PASSPORT),
    ("peer", Topics::IP),
    ("personalnumber", Topics::PERSONNUMMER),
    ("personnummer", Topics::PERSONNUMMER),
    ("pesel", Topics::PESEL),
    ("ph", Topics::PHONE),
    ("phone", Topics::PHONE),
    ("phoned", Topics::CALL),
    ("phonenumber", Topics::PHONE),
    ("phonenumbers", Topics::PHONE),
    ("phones", Topics::PHONE),
    ("ping", Topics::IP),
    ("pnr", Topics::PERSONNUMMER),
    ("port", Topics::OTHER),
    ("position", Topics::OTHER),
    ("price", Topics::OTHER),
    ("product", Topics::OTHER),
    ("purchase", Topics::OTHER),
    ("reach", Topics::CALL),
    ("reachable", Topics::CALL),
    ("reached", Topics::CALL),
    ("reception", Topics::CALL),
    ("ref", Topics::OTHER),
    ("reference", Topics::OTHER),
    ("registered", Topics::CALL),
    ("release", Topics::SOFTWARE),
    ("remote", Topics::IP),
    ("request", Topics::OTHER),
    ("revision", Topics::OTHER),
    ("ring", Topics::CALL),
    ("ringing", Topics::CALL),
    ("rufen", Topics::CALL),
    ("rufnummer", Topics::PHONE),
    ("secu", Topics::NIR),
    ("securite", Topics::NIR),
    ("securitesociale", Topics::NIR),
    ("sequence", Topics::OTHER),
    ("serial", Topics::OTHER),
    ("server", Topics::IP),
    ("sin", Topics::SIN),
    ("size", Topics::OTHER),
    ("sku", Topics::OTHER),
    ("sms", Topics::PHONE),
    ("socialinsurance", Topics::SIN),
    ("socialsecurity", Topics::SOCIAL),
    ("sofi", Topics::BSN),
    ("ss", Topics::SSN),
    ("ssn", Topics::SSN),
    ("steueridentifikationsnummer", Topics::DE_TAX),
    ("steuernummer", Topics::DE_TAX),
    ("switchboard", Topics::CALL),
    ("tarjeta", Topics::CARD),
    ("tax", Topics::TAX),
    ("taxfile", Topics::TFN),
    ("taxid", Topics::TAX),
    ("taxpayer", Topics::TAX),
    ("tel", Topics::PHONE),
    ("telef", Topics::PHONE),
    ("telefon", Topics::PHONE),
    ("telefone", Topics::PHONE),
    ("telefonnummer", Topics::PHONE),
    ("telefono", Topics::PHONE),
    ("telefonu", Topics::PHONE),
    ("telefoon", Topics::PHONE),
    ("telefoonnummer", Topics::PHONE),
    ("telemovel", Topics::PHONE),
    ("telephone", Topics::PHONE),
    ("telnr", Topics::PHONE),
    ("text", Topics::CALL),
    ("texted", Topics::CALL),
    ("texting", Topics::CALL),
    ("tfn", Topics::TFN),
    ("tfno", Topics::PHONE),
    ("ticket", Topics::OTHER),
    ("time", Topics::OTHER),
    ("timestamp", Topics::OTHER),
    ("tin", Topics::TAX),
    ("total", Topics::OTHER),
    ("tracking", Topics::OTHER),
    ("transaction", Topics::OTHER),
    ("uidai", Topics::AADHAAR),
    ("upgrade", Topics::SOFTWARE),
    ("urgence", Topics::CALL),
    ("uuid", Topics::OTHER),
    ("version", Topics::SOFTWARE),
    ("versions", Topics::SOFTWARE),
    ("visa", Topics::CARD),
    ("visitor", Topics::IP),
    ("voicemail", Topics::PHONE),
    ("weight", Topics::OTHER),
    ("whatsapp", Topics::PHONE),
    ("width", Topics::OTHER),
];

/// Words that say nothing and stand between a label and its value.
const FILLERS: &[&str] = &[
    "a", "al", "and", "at", "au", "back", "de", "di", "is", "it", "me", "my", "n", "no", "nr", "num", "number",
    "numero", "of", "on", "s", "the", "to", "us", "your",
];

/// The words around the values of one text. What stands before a place is looked up once.
pub(crate) struct Context<'a> {
    bytes: &'a [u8],
    /// What the name of the text's member says.
    name: Topics,
    /// The last place asked about, and what stands before it: right beside it, anywhere in reach, whether it is about
    /// something else.
    last: Option<(usize, Before)>,
    /// Up to where letters have been looked for, and one past the last one.
    seen: usize,
    letter: usize,
}

/// What stands before a place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    near: Topics,
    all: Topics,
    /// The nearest label is one of numbers that are no personal data.
    other: bool,
}

impl<'a> Context<'a> {
    /// `name` is what the member's name says of the text.
    pub(crate) fn new(bytes: &'a [u8], name: Topics) -> Self {
        Self { bytes, name, last: None, seen: 0, letter: 0 }
    }

    /// Topics of the labels of a value at `start..end`.
    pub(crate) fn around(&mut self, start: usize, end: usize) -> Topics {
        let before = self.before(start);
        if before.other { Topics::NONE } else { before.all.and(self.name).and(after(self.bytes, end)) }
    }

    /// Topics of the label right before a value.
    pub(crate) fn beside(&mut self, start: usize) -> Topics {
        let before = self.before(start);
        if before.other { Topics::NONE } else { before.near.and(self.name) }
    }

    /// Whether the nearest label is one of numbers that are no personal data.
    pub(crate) fn is_other(&mut self, start: usize) -> bool {
        self.before(start).other || self.name.any(Topics::OTHER)
    }

    fn before(&mut self, start: usize) -> Before {
        match self.last {
            Some((at, before)) if at == start => before,
            _ => {
                let before = if self.letters(start) { before(self.bytes, start) } else { Before::default() };
                self.last = Some((start, before));
                before
            }
        }
    }
}

impl Context<'_> {
    /// Whether any letter stands in reach before a place. Tables of numbers are passed over by this.
    fn letters(&mut self, start: usize) -> bool {
        let from = start.saturating_sub(BEFORE);
        let new = self.bytes.get(self.seen.max(from).min(start)..start).unwrap_or_default();
        #[cfg(test)]
        crate::tests::looked_at(new.len());
        if let Some(at) = new.iter().rposition(u8::is_ascii_alphabetic) {
            self.letter = start - new.len() + at + 1;
        }
        self.seen = self.seen.max(start);
        // Places before the furthest one are asked for seldom: then the words are read.
        self.letter > from || start < self.seen
    }
}

/// What the name of a member says: the last two names of its pointer that are no index.
pub(crate) fn of_pointer(pointer: &str) -> Topics {
    let mut names = pointer.rsplit('/').filter(|name| !name.is_empty() && !name.bytes().all(|b| b.is_ascii_digit()));
    let last = names.next().unwrap_or_default();
    let found = before(last.as_bytes(), last.len());
    if found.other {
        return Topics::OTHER;
    }
    let parent = names.next().unwrap_or_default();
    let parent = before(parent.as_bytes(), parent.len());
    let all = if parent.other { found.all } else { found.all.and(parent.all) };
    // `/message` and `/text` hold everything.
    all.without(Topics::CALL.and(Topics::CALLED))
}

/// What a label says that is a text of its own, as in `{"name": "phone", "value": "…"}`.
pub(crate) fn of_label(label: &str) -> Topics {
    let found = before(label.as_bytes(), label.len());
    if found.other { Topics::OTHER } else { found.all }
}

fn before(bytes: &[u8], start: usize) -> Before {
    let from = start.saturating_sub(BEFORE);
    let window = bytes.get(from..start).unwrap_or_default();
    #[cfg(test)]
    crate::tests::looked_at(window.len());
    let words = Words::backwards(window);
    let mut out = Before::default();
    let mut at = 0;
    let mut distance = 0;
    while let Some(word) = words.get(at) {
        let pair = words.get(at + 1).and_then(|farther| lookup(farther, word));
        let found = pair.or_else(|| lookup(b"", word));
        at += 1 + usize::from(pair.is_some());
        distance += 1;
        let Some(topics) = found else { continue };
        if topics == Topics::OTHER {
            if out.all == Topics::NONE {
                out.other = true;
                return out;
            }
            continue;
        }
        if topics == Topics::CALL && distance > 1 {
            if distance <= NEAR {
                out.all = out.all.and(Topics::CALLED);
            }
            continue;
        }
        out.all = out.all.and(topics);
        if distance <= NEAR {
            out.near = out.near.and(topics);
        }
    }
    out
}

fn after(bytes: &[u8], end: usize) -> Topics {
    let rest = bytes.get(end..).unwrap_or_default();
    let window = rest.get(..rest.len().min(AFTER)).unwrap_or_default();
    if !window.iter().any(u8::is_ascii_alphabetic) {
        return Topics::NONE;
    }
    // A label that has a value of its own behind it does not belong to this one.
    let stop = window.iter().position(|byte| b"\n\r;|:={}".contains(byte)).unwrap_or(window.len());
    if window.get(stop).is_some_and(|byte| b":=".contains(byte)) {
        return Topics::NONE;
    }
    let words = Words::backwards(window.get(..stop).unwrap_or_default());
    // The words come from the far end.
    let all = (0..words.count).filter_map(|at| Some((at + 1 == words.count, lookup(b"", words.get(at)?)?)));
    let counts = |(first, topics): &(bool, Topics)| *topics != Topics::OTHER && (*topics != Topics::CALL || *first);
    all.filter(counts).fold(Topics::NONE, |all, (_, topics)| all.and(topics))
}

/// What a word says, or two words one after the other.
fn lookup(first: &[u8], second: &[u8]) -> Option<Topics> {
    let order = |word: &&(&str, Topics)| word.0.bytes().cmp(first.iter().chain(second).copied());
    let at = WORDS.binary_search_by(|word| order(&word)).ok()?;
    WORDS.get(at).map(|word| word.1)
}

/// The words of a short stretch in small letters, the last first, without fillers.
struct Words {
    text: [u8; BEFORE],
    ranges: [(u8, u8); MOST_WORDS],
    count: usize,
}

impl Words {
    /// Reads back from the end, up to the beginning of the line, or of the line before if this one holds no word yet.
    fn backwards(window: &[u8]) -> Self {
        let mut out = Self { text: [0; BEFORE], ranges: [(0, 0); MOST_WORDS], count: 0 };
        for (to, from) in out.text.iter_mut().zip(window) {
            *to = from.to_ascii_lowercase();
        }
        let byte = |at: usize| window.get(at).copied().unwrap_or(b' ');
        let mut end = window.len().min(BEFORE);
        while end > 0 && out.count < MOST_WORDS {
            if !byte(end - 1).is_ascii_alphabetic() {
                if byte(end - 1) == b'\n' && out.count > 0 {
                    break;
                }
                end -= 1;
                continue;
            }
            let mut start = end - 1;
            // `phoneNumber` is two words; `SSN` is one.
            while start > 0
                && byte(start - 1).is_ascii_alphabetic()
                && !(byte(start - 1).is_ascii_lowercase() && byte(start).is_ascii_uppercase())
            {
                start -= 1;
            }
            let filler = out.text.get(start..end).is_none_or(|word| FILLERS.iter().any(|one| one.as_bytes() == word));
            if !filler && let Some(range) = out.ranges.get_mut(out.count) {
                // The window is shorter than 256 bytes.
                *range = (start as u8, end as u8);
                out.count += 1;
            }
            end = start;
        }
        out
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        let (start, end) = self.ranges.get(..self.count)?.get(at)?;
        self.text.get(usize::from(*start)..usize::from(*end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_plain() {
        assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0), "{:?}", WORDS.windows(2).find(|two| two[0].0 >= two[1].0));
        assert!(WORDS.iter().all(|word| word.0.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    fn says(text: &str, topics: Topics) -> bool {
        let mut context = Context::new(text.as_bytes(), Topics::NONE);
        let at = text.find('#').unwrap();
        context.around(at, at + 1).any(topics)
    }

    #[test]
    fn labels_are_read_in_many_spellings() {
        assert!(says("Phone: #", Topics::PHONE));
        assert!(says("my social security number is #", Topics::SSN));
        assert!(says("\"socialSecurityNumber\": \"#\"", Topics::SSN));
        assert!(says("driver's license no. #", Topics::LICENCE));
        assert!(says("Date of birth\n#", Topics::BIRTH));
        assert!(says("# (mobile)", Topics::PHONE));
        assert!(says("tax_id=#", Topics::DE_TAX));
        assert_eq!(of_pointer("/customer/phoneNumbers/0"), Topics::NONE.and(Topics::PHONE));
        assert!(of_pointer("/phone/number").any(Topics::PHONE));
    }

    #[test]
    fn the_nearest_label_counts() {
        assert!(!says("phone for order id #", Topics::PHONE));
        assert!(says("order, by phone #", Topics::PHONE));
        assert!(!says("Phone: none\nCustomer #", Topics::PHONE));
        assert!(!says("#\nPhone: 1", Topics::PHONE));
        assert!(!says("# phone: 1", Topics::PHONE));
    }
}
