//! Sentences with personal data, in the number formats of many countries, and sentences with other figures.

use crate::pii::Sentence;
use crate::random::Random;

/// What sentences are made with.
pub(crate) const KINDS: [&str; 6] = ["phone", "email", "card", "us_ssn", "ip", "iban"];

/// National and international formats: `#` is a digit, `N` one from 2 to 9, `Z` one from 1 to 9, `Q` one from 0 to 8.
const PHONES: &[&str] = &[
    // United States, Canada.
    "(N1#) 6##-####",
    "NQ#-N8#-####",
    "NQ#.N8#.####",
    "+1 NQ# N6# ####",
    "+1-NQ#-N6#-####",
    "1-800-N6#-####",
    "NQ# N8# ####",
    // United Kingdom, Ireland.
    "020 7### ####",
    "0161 4## ####",
    "07Z## ######",
    "+44 20 7### ####",
    "+44 7Z## ######",
    "(0161) 496 8###",
    "086 ### ####",
    "+353 86 ### ####",
    "01 ### ####",
    // Germany, Austria, Switzerland.
    "030 N#######",
    "0171 N######",
    "089/N######",
    "+49 30 N######",
    "+49 (0)171 N######",
    "0664 ### ####",
    "+43 664 #######",
    "079 ### ## ##",
    "044 ### ## ##",
    "+41 79 ### ## ##",
    // France, Belgium, Luxembourg.
    "01 4# ## ## ##",
    "06 ## ## ## ##",
    "06.##.##.##.##",
    "+33 6 ## ## ## ##",
    "0470 ## ## ##",
    "02 5## ## ##",
    "+32 470 ## ## ##",
    "+352 ### ###",
    // Spain, Portugal, Italy.
    "6## ## ## ##",
    "91 ### ## ##",
    "+34 6## ### ###",
    "91# ### ###",
    "+351 91# ### ###",
    "347 ### ####",
    "06 N#######",
    "+39 347 #######",
    // Netherlands, Poland, Czechia.
    "06 ########",
    "020 ### ####",
    "06-########",
    "+31 6 ########",
    "5## ### ###",
    "+48 5## ### ###",
    "+420 7## ### ###",
    // The north.
    "070-### ## ##",
    "08-### ### ##",
    "+46 70 ### ## ##",
    "9## ## ###",
    "+47 9## ## ###",
    "N# ## ## ##",
    "+45 N# ## ## ##",
    "040 ### ####",
    "+358 40 ### ####",
    // Asia and the Pacific.
    "9#### #####",
    "+91 9#### #####",
    "090-N###-####",
    "+81 90 N### ####",
    "03-N###-####",
    "138 #### ####",
    "+86 138 #### ####",
    "9### ####",
    "+65 9### ####",
    "04## ### ###",
    "(02) 9### ####",
    "+61 4## ### ###",
    "021 ### ####",
    "+64 21 ### ####",
    // Africa, Latin America, the near East.
    "082 ### ####",
    "+27 82 ### ####",
    "(11) 9####-####",
    "+55 11 9####-####",
    "55 N### ####",
    "+52 55 N### ####",
    "05## ### ## ##",
    "+90 5## ### ## ##",
    "052-###-####",
    "+972 52 ### ####",
    "8 (9##) ###-##-##",
    "+7 9## ###-##-##",
];

/// Where a telephone number stands.
const PHONE_FRAMES: &[&str] = &[
    "You can get hold of her on @ until six.",
    "My number is @.",
    "Give the clinic a ring on @, they open at eight.",
    "Ring me back: @",
    "Text @ when you are outside.",
    "Tel. @",
    "Ph: @",
    "Phone @ or write to us.",
    "Mobile @, landline on request",
    "T: @",
    "M @",
    "Reach the driver under @.",
    "Please dial @ and ask for Mr Osei.",
    "WhatsApp me on @",
    "Her new cell is @",
    "Leave a voicemail at @.",
    "Fax the form to @.",
    "Emergency contact: Ana Ruiz, @",
    "Meine Handynummer ist @.",
    "Rufen Sie mich unter @ an.",
    "Appelez-moi au @.",
    "Ll\u{e1}mame al @.",
    "Mijn nummer is @.",
    "Chiamami al @.",
    "The helpline (@) is open all night.",
    "Customer since 2019, phone @, prefers mornings",
    "name: Ana; phone: @; city: Porto",
    "Ana Ruiz <ana@posteo.net>, @",
    "Ana Ruiz, 14 Mill Lane, @",
    "So I told him @ and he wrote it down.",
    "Best,\nAna Ruiz\n@",
    "the tenant (@) has not paid",
];
/// Sentences whose words no table of the detector was made after: nothing may be changed because of what is missed in them.
const OTHER_PHONE_FRAMES: &[&str] = &[
    "You will find me at @ most days.",
    "He picks up on @ after lunch.",
    "Questions go to @, complaints to the manager.",
    "Speak to Ana: @",
    "Book a slot via @ or online.",
    "Taxi @",
    "The vet's line is @ on weekends.",
    "Jot this down: @",
    "Plumber, day and night: @",
    "Room service @, front door 12",
    "We tried @ twice and nobody picked up.",
    "He left @ on a note for you.",
    "Delivery slot at nine, driver @, blue van",
    "Inquiries @ (weekdays)",
    "F\u{fc}r Fragen: @",
    "Pour toute question : @",
    "Consultas: @",
];
const EMAIL_FRAMES: &[&str] = &[
    "Write to @.",
    "mail @ for access",
    "Contact: @",
    "<@>",
    "cc @, please",
    "\"@\" is not verified",
    "login=@&next=/",
    "@ has joined",
    "from: Ana Ruiz <@>",
    "mailto:@",
    "@, @2",
];
const CARD_FRAMES: &[&str] = &[
    "Charge it to @.",
    "card number: @",
    "My card @ was declined",
    "pan=@",
    "He paid with @ on Monday",
    "Visa @ exp 04/29",
    "Please block @, I lost it.",
    "card ending aside, the full number is @",
];
const SSN_FRAMES: &[&str] = &[
    "SSN: @",
    "My social security number is @.",
    "ssn=@",
    "social @, born in Ohio",
    "SSN @ on file",
    "Her Social Security No. is @",
    "the applicant (@) has signed",
    "tax form for @",
];
const IP_FRAMES: &[&str] = &[
    "Blocked @ after ten tries",
    "from @ port 51432",
    "ip=@",
    "The server answers at @.",
    "Login from @ (Lisbon)",
    "ssh root@@2",
    "client @ asked for /",
    "@ - - [12/May] \"GET /\"",
    "A record: @",
    "ping @",
];
const IBAN_FRAMES: &[&str] = &["IBAN: @", "Transfer it to @.", "account @ at the savings bank", "pay @ by Friday"];

/// Figures that are nobody's.
const OTHERS: &[&str] = &[
    "Order ###-#######-####### has shipped.",
    "Invoice 2024-00### is due.",
    "ISBN 978-3-16-1#####-#",
    "The fair is on 2025-0Z-1#.",
    "It was 1Z.0Z.1998, a Tuesday.",
    "48.8### and 2.3### are the coordinates.",
    "The house costs 1 2## 000 crowns.",
    "Update to version 10.12.# or 4.18.0.1###.",
    "The screen has 1920 x 1080 pixels.",
    "Draws: Z1 2# 3# 4# 4#",
    "Rooms 204 205 206 are free.",
    "The town has 8 804 1## people.",
    "Part 73Z-22#1-55 is sold out.",
    "Ticket #4512### is closed.",
    "ZIP 94103-1###",
    "From 09:30 to 17:45 on 2#/0Z.",
    "Article no. ## ### ### is back.",
    "timestamp 17########",
    "Serial: 4F#-22#-9Z#",
    "They won 3-1, 2-0 and 4-4.",
    "row ### col ###, cell ####",
    "The tracking number is 1Z 999 AA1 01 2345 67##.",
    "matrix: 12 34 56 / 78 90 12",
    "Bus 10#, stop 4#, every 12 min",
    "Sizes 36 38 40 42 44 are left.",
    "Batch 0####-##",
    "error code 0x80070###",
    "Flight LH 4## at gate 2#",
    "Between 1914 and 1918, and from 1939 to 1945",
    "total 1,2##,### in 2023 and 1,3##,### in 2024",
    "uid 10## gid 10##",
    "See RFC 82## and section 4.2.1.",
    "Sample 12-345-#, dose 0.25 mg",
    "page 12#, lines 10-4#",
    "id=########",
    "The chip runs at 3 200 000 000 hertz.",
    "Lot 2024 0Z 1# 33",
    "pi is 3.14159265##",
    "Take 2 x 250 ml and 3 x 125 g.",
    "listening on 127.0.0.1:80## and 10.0.#.1#",
    "Contract 00#-2024-#### was signed.",
    "Case 22-cv-0####",
];

fn pick<'t>(random: &mut Random, of: &[&'t str]) -> &'t str {
    of.get(random.below(of.len())).copied().unwrap_or_default()
}

fn digit(random: &mut Random, least: usize, most: usize) -> char {
    char::from_digit(u32::try_from(least + random.below(most + 1 - least)).unwrap_or_default(), 10).unwrap_or('0')
}

fn filled(random: &mut Random, shape: &str) -> String {
    let fill = |c: char| match c {
        '#' => digit(random, 0, 9),
        'N' => digit(random, 2, 9),
        'Z' => digit(random, 1, 9),
        'Q' => digit(random, 0, 8),
        _ => c,
    };
    shape.chars().map(fill).collect()
}

/// A sentence with one or two values of a kind.
pub(crate) fn with(random: &mut Random, kind: &'static str) -> Sentence {
    let frames = match kind {
        "phone" => PHONE_FRAMES,
        "email" => EMAIL_FRAMES,
        "card" => CARD_FRAMES,
        "us_ssn" => SSN_FRAMES,
        "ip" => IP_FRAMES,
        _ => IBAN_FRAMES,
    };
    framed(random, kind, frames)
}

/// A sentence with a telephone number, in words that the detector was not made after.
pub(crate) fn with_other_words(random: &mut Random) -> Sentence {
    framed(random, "phone", OTHER_PHONE_FRAMES)
}

fn framed(random: &mut Random, kind: &'static str, frames: &[&str]) -> Sentence {
    let value: fn(&mut Random) -> String = match kind {
        "phone" => phone,
        "email" => email,
        "card" => card,
        "us_ssn" => ssn,
        "ip" => ip,
        _ => iban,
    };
    let frame = pick(random, frames);
    let (mut text, mut places) = (String::new(), Vec::new());
    let mut rest = frame;
    while let Some(at) = rest.find('@') {
        let after = rest.get(at + 1..).unwrap_or_default();
        // A frame may hold an address itself, and an `@` before a place.
        let itself = rest.get(..at).is_some_and(|before| before.ends_with("ana") || before.ends_with("root"));
        text.push_str(rest.get(..at).unwrap_or_default());
        if itself {
            text.push('@');
            rest = after;
            continue;
        }
        let value = value(random);
        places.push((text.len(), text.len() + value.len(), kind));
        text.push_str(&value);
        rest = after.strip_prefix('2').unwrap_or(after);
    }
    text.push_str(rest);
    if let Some(at) = text.find("ana@posteo.net") {
        places.push((at, at + "ana@posteo.net".len(), "email"));
    }
    Sentence { text, places }
}

/// A sentence without personal data.
pub(crate) fn without(random: &mut Random) -> Sentence {
    let shape = pick(random, OTHERS);
    // `#` is also a sign of its own.
    let text = shape.replace("#4512", "\0");
    Sentence { text: filled(random, &text).replace('\0', "#4512"), places: Vec::new() }
}

fn phone(random: &mut Random) -> String {
    let shape = pick(random, PHONES);
    filled(random, shape)
}

fn email(random: &mut Random) -> String {
    let first = pick(random, &["ana", "j.osei", "mara_lind", "k-ruiz", "tom+news", "li", "o.brien92", "x1"]);
    let host = pick(
        random,
        &[
            "proton.me",
            "gmx.de",
            "posteo.net",
            "uni-bremen.de",
            "kyoto-u.ac.jp",
            "firma.co.uk",
            "studio.design",
            "mairie.fr",
        ],
    );
    format!("{first}@{host}")
}

fn card(random: &mut Random) -> String {
    let (prefix, length, groups): (&str, usize, &[usize]) = match random.below(5) {
        0 => ("4", 16, &[4, 4, 4, 4]),
        1 => ("5", 16, &[4, 4, 4, 4]),
        2 => ("37", 15, &[4, 6, 5]),
        3 => ("6011", 16, &[4, 4, 4, 4]),
        _ => ("3528", 16, &[4, 4, 4, 4]),
    };
    let mut digits: String = prefix.to_owned();
    if prefix == "5" {
        digits.push(digit(random, 1, 5));
    }
    while digits.len() < length - 1 {
        digits.push(digit(random, 0, 9));
    }
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(at, value)| if at % 2 == 0 { value * 2 / 10 + value * 2 % 10 } else { value })
        .sum();
    digits.push(char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0'));
    let sign = pick(random, &["", " ", "-"]);
    let mut out = Vec::new();
    let mut rest = digits.as_str();
    for group in groups {
        let (head, tail) = rest.split_at_checked(*group).unwrap_or((rest, ""));
        out.push(head.to_owned());
        rest = tail;
    }
    out.join(sign)
}

fn ssn(random: &mut Random) -> String {
    // No number begins with 000, 666 or 9.
    let area = loop {
        let area = 1 + random.below(899);
        if area != 666 {
            break area;
        }
    };
    format!("{area:03}-{:02}-{:04}", 1 + random.below(99), 1 + random.below(9999))
}

fn ip(random: &mut Random) -> String {
    if random.below(6) == 0 {
        let group = |random: &mut Random| format!("{:x}", 1 + random.below(0xfffe));
        return format!("2a01:4f8:{}:{}::{}", group(random), group(random), group(random));
    }
    let first = [23, 45, 51, 62, 77, 81, 91, 104, 109, 134, 151, 178, 185, 193, 212]
        .get(random.below(15))
        .copied()
        .unwrap_or(81);
    format!("{first}.{}.{}.{}", 20 + random.below(200), random.below(255), 1 + random.below(253))
}

fn iban(random: &mut Random) -> String {
    let (country, shape) = [
        ("DE", "##################"),
        ("FR", "#######################"),
        ("NL", "ABXA##########"),
        ("ES", "####################"),
    ]
    .get(random.below(4))
    .copied()
    .unwrap_or_default();
    let body = filled(random, shape).replace("ABXA", "ABNA");
    let number = |text: &str| {
        text.chars().fold(0_u32, |rest, c| {
            let value = c.to_digit(36).unwrap_or_default();
            (rest * if value > 9 { 100 } else { 10 } + value) % 97
        })
    };
    let check = 98 - number(&format!("{body}{country}00"));
    let plain = format!("{country}{check:02}{body}");
    if random.below(2) == 0 {
        return plain;
    }
    let letters: Vec<char> = plain.chars().collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
