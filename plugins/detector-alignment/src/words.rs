//! Words of a text, and how much of one text is not in another.

use std::collections::BTreeSet;

use plugin_model::{NOTHING, step};
use plugin_text::folded;

/// Words that say nothing about what a text is about, by language. The language of a text is the one of which it has most.
const FILLERS: [(Language, &str); 8] = [
    (
        Language::English,
        "the a an of to in for and or is are on with by at from as be this that it its i you your my me we our they their his her he she \
         him them us please can could would will should shall may might must what how which who whom when where why do does did has \
         have had was were been being not no all any some more most much many than then into about there here just also only very \
         so if but up out over under after before between per each every need needs want wants like know tell let make makes get \
         gets give one s t re m ve ll d am using use used via",
    ),
    (
        Language::German,
        "der die das den dem des ein eine einen einem einer eines und oder ist sind mit für von vom zu zum zur im in am an auf aus bei \
         nach wie was wer wann wo bitte ich du er sie es wir ihr mein meine meinen meinem dein sein seine nicht kein keine auch noch \
         nur sich mir mich dir dich uns euch dass wenn über unter alle aller als um wird werden kann soll sollen hat haben",
    ),
    (
        Language::French,
        "le la les un une des du de et ou est sont avec pour par sur dans au aux ce cette ces mon ma mes ton ta tes son sa ses notre \
         nos votre vos leur je tu il elle nous vous ils qui que quoi dont où ne pas plus moi toi lui se en y à d l qu s'il plaît",
    ),
    (
        Language::Spanish,
        "el la los las un una unos unas de del y o es son con para por en al lo su sus mi mis tu tus este esta estos esas que qué \
         quien cual cuando donde como no más me te se nos le les yo él ella nosotros favor hay está",
    ),
    (
        Language::Portuguese,
        "o a os as um uma de do da dos das e ou é são com para por em no na nos nas ao à seu sua meu minha este esta que quem qual \
         quando onde como não mais me te se lhe eu ele ela nós você favor",
    ),
    (
        Language::Italian,
        "il lo la i gli le un uno una di del della dei delle e o è sono con per da in nel nella al alla che chi quale quando dove \
         come non più mi ti si ci vi io lui lei noi mio mia tuo suo questo questa favore",
    ),
    (
        Language::Dutch,
        "de het een en of is zijn met voor van te in op aan uit bij naar hoe wat wie wanneer waar ik jij je u hij zij wij mijn jouw \
         zijn niet geen ook nog alleen mij ons dat die dit deze als om wordt worden kan moet heeft hebben alstublieft graag",
    ),
    (
        Language::Polish,
        "i w z na do nie to jest są się o po za od dla jak co kto kiedy gdzie proszę mi mnie mój moja moje twój ten ta te tego tej \
         oraz lub ale czy przez przy mam być",
    ),
];

/// The language of a text, as far as it matters here: whether two texts can be compared word by word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Language {
    Unknown,
    English,
    German,
    French,
    Spanish,
    Portuguese,
    Italian,
    Dutch,
    Polish,
    Cyrillic,
    Greek,
    Arabic,
    Hebrew,
    Indic,
    Thai,
    Han,
    Japanese,
    Korean,
    Other,
}

impl Language {
    /// Whether its words can be looked for in a text of the other language. A few words without a language of their own (names,
    /// codes) are compared with English as tools are named in it.
    pub(crate) fn compares(self, other: Self) -> bool {
        let plain = |one: Self| if one == Self::Unknown { Self::English } else { one };
        plain(self) == plain(other)
    }

    fn of_script(c: char) -> Option<Self> {
        Some(match u32::from(c) {
            0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x24f | 0x1e00..=0x1eff => Self::Unknown,
            0x370..=0x3ff => Self::Greek,
            0x400..=0x52f => Self::Cyrillic,
            0x590..=0x5ff => Self::Hebrew,
            0x600..=0x6ff | 0x750..=0x77f => Self::Arabic,
            0x900..=0xdff => Self::Indic,
            0xe00..=0xe7f => Self::Thai,
            0x3040..=0x30ff => Self::Japanese,
            0x3400..=0x9fff | 0x2_0000..=0x3_ffff => Self::Han,
            0xac00..=0xd7af | 0x1100..=0x11ff => Self::Korean,
            _ if c.is_alphabetic() => Self::Other,
            _ => return None,
        })
    }
}

/// Most words of a text that are looked at.
const MOST_WORDS: usize = 2048;
/// Most numbers of a text, and most identifiers, that are looked at.
const MOST_NUMBERS: usize = 128;
/// Letters of a piece by which words are compared.
const PIECE: usize = 4;

/// Which words say nothing, made once.
#[derive(Debug)]
pub(crate) struct Fillers {
    /// Hashes of words, sorted, with a bit for each language.
    words: Vec<(u32, u16)>,
}

impl Fillers {
    pub(crate) fn new() -> Self {
        let mut words: Vec<(u32, u16)> = Vec::new();
        for (number, (_, list)) in FILLERS.iter().enumerate() {
            words.extend(list.split_whitespace().map(|word| (hash(&folded(word)), 1_u16 << number)));
        }
        words.sort_unstable();
        words.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 |= next.1;
            }
            same
        });
        Self { words }
    }

    /// A bit for each language that uses the word as a filler.
    fn languages(&self, hash: u32) -> u16 {
        let at = self.words.binary_search_by_key(&hash, |(known, _)| *known);
        at.ok().and_then(|at| self.words.get(at)).map_or(0, |(_, bits)| *bits)
    }
}

/// Hash of a word.
pub(crate) fn hash(word: &str) -> u32 {
    word.bytes().fold(NOTHING, step)
}

/// The words of a text that say something, without their endings, each once, in order of first appearance.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) stems: Vec<String>,
    /// Short numbers, without leading zeros; neither years nor months of dates.
    pub(crate) numbers: Vec<String>,
    /// Long numbers and what mixes digits with letters, as written but in small letters.
    pub(crate) identifiers: Vec<String>,
    /// The first letters of all words, to find abbreviations in.
    pub(crate) initials: String,
    pub(crate) language: Language,
}

impl Words {
    pub(crate) fn of(fillers: &Fillers, text: &str) -> Self {
        let mut stems = Vec::new();
        let (mut numbers, mut identifiers, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut initials = String::new();
        let mut counts = [0_u32; FILLERS.len()];
        let mut words = 0;
        let text = folded(text);
        let mut take = |word: &str, sort: Sort| {
            words += 1;
            if words > MOST_WORDS {
                return false;
            }
            match sort {
                Sort::Number => {
                    let number = word.trim_start_matches('0');
                    let year = number.len() == 4 && (number.starts_with("19") || number.starts_with("20"));
                    if !number.is_empty()
                        && !year
                        && numbers.len() < MOST_NUMBERS
                        && !numbers.iter().any(|known| known == number)
                    {
                        numbers.push(number.to_owned());
                    }
                    return true;
                }
                Sort::Identifier => {
                    if identifiers.len() < MOST_NUMBERS && !identifiers.iter().any(|known| known == word) {
                        identifiers.push(word.to_owned());
                    }
                    return true;
                }
                Sort::Word => {}
            }
            initials.extend(word.chars().next());
            let languages = fillers.languages(hash(word));
            if languages == 0 {
                let stem = stem(word);
                if seen.insert(hash(stem)) {
                    stems.push(stem.to_owned());
                }
            } else {
                for (number, count) in counts.iter_mut().enumerate() {
                    *count += u32::from(languages >> number & 1);
                }
            }
            true
        };
        split(&text, &mut take);
        let most = counts.iter().copied().max().unwrap_or_default();
        let scripted = script(&text);
        let language = match scripted {
            Language::Unknown if most >= 2 => {
                let at = counts.iter().position(|count| *count == most);
                at.and_then(|at| FILLERS.get(at)).map_or(Language::Unknown, |(language, _)| *language)
            }
            other => other,
        };
        Self { stems, numbers, identifiers, initials, language }
    }
}

/// The script of most letters.
fn script(text: &str) -> Language {
    let mut counts = [0_u32; Language::Other as usize + 1];
    for language in text.chars().take(4096).filter_map(Language::of_script) {
        if let Some(count) = counts.get_mut(language as usize) {
            // One sign is a word or half of one there.
            *count += if matches!(language, Language::Han | Language::Japanese | Language::Korean) { 3 } else { 1 };
        }
    }
    let all = [
        Language::Unknown,
        Language::Cyrillic,
        Language::Greek,
        Language::Arabic,
        Language::Hebrew,
        Language::Indic,
        Language::Thai,
        Language::Han,
        Language::Japanese,
        Language::Korean,
        Language::Other,
    ];
    let count = |language: &Language| counts.get(*language as usize).copied().unwrap_or_default();
    // The first of those that have most: Latin wins a tie.
    let best = all.iter().rev().max_by_key(|language| count(language)).copied().unwrap_or(Language::Unknown);
    // Japanese is written with both.
    if best == Language::Han && count(&Language::Japanese) > 0 { Language::Japanese } else { best }
}

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Word,
    Number,
    Identifier,
}

/// Gives the words of a text in small letters until `take` has enough. A word ends where letters or digits end, where small
/// letters are followed by a great one, and between letters and digits; signs of languages without spaces come two by two.
fn split(text: &str, take: &mut impl FnMut(&str, Sort) -> bool) {
    for run in text.split(|c: char| !(c.is_alphanumeric() || c == '-')) {
        if run.is_empty() {
            continue;
        }
        if let Some(day) = day_of_date(run) {
            if !take(day, Sort::Number) {
                return;
            }
            continue;
        }
        for run in run.split('-').filter(|run| !run.is_empty()) {
            let digits = run.bytes().filter(u8::is_ascii_digit).count();
            let mixed = digits >= 2 && run.len() > digits && run.len() <= 64;
            let good =
                if digits >= 5 || mixed { take(&run.to_lowercase(), Sort::Identifier) } else { split_run(run, take) };
            if !good {
                return;
            }
        }
    }
}

/// The day of a date like 2026-11-22: what a task says of it, too, whatever it calls the month.
fn day_of_date(run: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (year, rest) = run.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    // A time may follow: 2026-11-22T10.
    let day = day.get(..2)?;
    (year.len() == 4 && month.len() == 2 && digits(year) && digits(month) && digits(day)).then_some(day)
}

/// The words in a run of letters and digits.
fn split_run(run: &str, take: &mut impl FnMut(&str, Sort) -> bool) -> bool {
    let mut word = String::new();
    let mut before = ' ';
    let sort = |word: &str| if word.bytes().all(|byte| byte.is_ascii_digit()) { Sort::Number } else { Sort::Word };
    for c in run.chars() {
        let together = !c.is_ascii()
            && matches!(Language::of_script(c), Some(Language::Han | Language::Japanese | Language::Thai));
        let ends = (c.is_uppercase() && before.is_lowercase()) || (c.is_numeric() != before.is_numeric()) || together;
        // Nothing that anybody reads is longer than that.
        if !word.is_empty() && ((ends && !(together && word.chars().count() == 1)) || word.len() > 64) {
            if !take(&word, sort(&word)) {
                return false;
            }
            word.clear();
        }
        if together && !word.is_empty() {
            word.push(c);
            if !take(&word, Sort::Word) {
                return false;
            }
            // The second sign begins the next pair.
            word.clear();
        }
        if c.is_ascii() {
            word.push(c.to_ascii_lowercase());
        } else {
            word.extend(c.to_lowercase().take(2));
        }
        before = c;
    }
    word.is_empty() || take(&word, sort(&word))
}

/// A word without the endings of English, as long as four letters stay.
pub(crate) fn stem(word: &str) -> &str {
    const ENDINGS: [&str; 15] =
        ["ization", "ations", "ation", "ings", "ing", "ments", "ment", "ers", "ies", "ed", "es", "er", "s", "ly", "al"];
    if !word.ends_with(['n', 's', 'g', 't', 'd', 'r', 'y', 'l']) {
        return word;
    }
    for ending in ENDINGS {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.len() >= 4
        {
            return stem;
        }
    }
    word
}

/// The pieces of a word: runs of four letters, or the whole word if it is shorter.
fn pieces(word: &str, mut take: impl FnMut(u32)) {
    let bytes = word.as_bytes();
    if word.is_ascii() {
        if bytes.len() < PIECE {
            take(bytes.iter().fold(0, |piece, byte| piece << 8 | u32::from(*byte)));
        }
        for piece in bytes.windows(PIECE) {
            take(piece.iter().fold(0, |piece, byte| piece << 8 | u32::from(*byte)));
        }
        return;
    }
    let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    if starts.len() <= PIECE {
        take(hash(word));
    }
    for (start, end) in starts.iter().zip(starts.iter().skip(PIECE)) {
        take(word.get(*start..*end).map_or(0, hash));
    }
}

/// The pieces of many words, to look others up in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces(Vec<u32>);

impl Pieces {
    pub(crate) fn of<'w>(words: impl Iterator<Item = &'w String>) -> Self {
        let mut all = Vec::new();
        words.for_each(|word| pieces(word, |piece| all.push(piece)));
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    /// How much of a word is not in here, 0 to 1.
    pub(crate) fn novelty(&self, word: &str) -> f64 {
        let (mut known, mut count) = (0.0, 0.0);
        pieces(word, |piece| {
            count += 1.0;
            #[cfg(test)]
            crate::tests::count(1);
            if self.0.binary_search(&piece).is_ok() {
                known += 1.0;
            }
        });
        // Half of the pieces is the same word with other endings.
        (1.0_f64 - 2.0 * known / f64::max(count, 1.0)).max(0.0)
    }
}
