use portcullis_plugin::testing::{JsonPayload, run_cases};

use super::*;

fn detector(config: &str) -> Result<Pii, String> {
    portcullis_plugin::glue::parse_config(config).and_then(Pii::configure)
}

/// Category, score and places of every finding in one text.
fn found_with(config: &str, text: &str) -> Vec<(String, f32, Vec<String>)> {
    let payload = JsonPayload::new(&serde_json::json!({ "text": text }).to_string()).unwrap();
    let texts = payload.texts();
    let findings = detector(config).unwrap().inspect(&Call::default(), &payload).unwrap();
    let slice = |span: &Span| span.slice(&texts).unwrap().to_owned();
    findings.into_iter().map(|one| (one.category, one.score, one.spans.iter().map(slice).collect())).collect()
}

/// Kind and place of what acts without a label: findings from 0.6 on.
fn found(text: &str) -> Vec<(String, String)> {
    let all = found_with("", text).into_iter().filter(|one| one.1 >= 0.6);
    all.flat_map(|(kind, _, places)| places.into_iter().map(move |place| (kind["pii.".len()..].to_owned(), place)))
        .collect()
}

#[track_caller]
fn finds(text: &str, kind: &str, value: &str) {
    assert_eq!(found(text), [(kind.to_owned(), value.to_owned())], "{text}");
}

#[track_caller]
fn finds_nothing(text: &str) {
    assert_eq!(found(text), [], "{text}");
}

#[test]
fn cases() {
    run_cases::<Pii>("cases");
}

#[test]
fn every_kind_has_a_row_of_its_own() {
    for (at, row) in Kind::ALL.iter().enumerate() {
        assert_eq!(serde_json::from_value::<Kind>(row.1.into()).unwrap(), row.0);
        assert!(!Kind::ALL[..at].iter().any(|before| before.0 == row.0 || before.1 == row.1));
    }
    // The name of a kind that is in the type but not in the list.
    assert!(Kind::ALL.iter().all(|row| row.0.name() != "other"));
    assert_eq!(Kind::ALL.len(), Kind::AuMedicare as usize + 1);
}

#[test]
fn a_configuration_error_names_the_key() {
    let error = |json: &str| detector(json).unwrap_err();
    assert!(detector("").is_ok() && detector(r#"{"kinds": {"ip": false}, "regions": []}"#).is_ok());
    assert!(error(r#"{"kind": {}}"#).starts_with("kind: unknown field"));
    assert!(error(r#"{"kinds": {"emial": true}}"#).contains("unknown variant `emial`"));
    assert!(error(r#"{"regions": ["us", "xx"]}"#).starts_with("regions[1]: unknown variant"));
    assert!(error(r#"{"regions": ["us"], "kinds": {"uk_nhs": true}}"#).starts_with("kinds.uk_nhs: its country"));
    assert!(error(r#"{"min_score": 2}"#).starts_with("min_score: 2 is not between"));
    assert!(error(r#"{"allow": {"domains": ["a@b.com"]}}"#).starts_with("allow.domains: `a@b.com`"));
    assert!(error(r#"{"allow": {"sha256": ["abc"]}}"#).starts_with("allow.sha256: must be 64"));
    assert!(error(r#"{"allow": {"sha265": []}}"#).starts_with("allow.sha265: unknown field"));
}

#[test]
fn e_mail_addresses() {
    finds("write to ana.lopez+x@mail.corp.co.uk.", "email", "ana.lopez+x@mail.corp.co.uk");
    finds("<Ana.Lopez@CORP.com>", "email", "Ana.Lopez@CORP.com");
    finds("mailto:ana@corp.com?subject=x", "email", "ana@corp.com");
    finds("https://x.io/find?email=ana@corp.com&y=1", "email", "ana@corp.com");
    finds("https://x.io/find?email=ana%40corp.com", "email", "ana%40corp.com");
    finds("jos\u{e9}@corp.com", "email", "jos\u{e9}@corp.com");
    for text in [
        "ana@example.com, ana@mail.example.org, ana@host.test",
        "git@github.com:a/b.git",
        "postgres://app:pw@db.corp.com/x",
        "ssh://deploy@build.corp.com",
        "logo@2x.png and lodash@4.17.21, user@host",
        "a@b..com a@.com @corp.com a@-b.com a.@b.com",
        "getty@tty1.service",
    ] {
        finds_nothing(text);
    }
}

#[test]
fn more_values_than_an_answer_takes_are_covered_all_the_same() {
    let text: String = (0..12_000).map(|number| format!("ana{number}@firma-x.de, ")).collect();
    let payload = JsonPayload::new(&serde_json::json!([text]).to_string()).unwrap();
    let findings = detector("{}").unwrap().inspect(&Call::default(), &payload).unwrap();
    let spans: Vec<Span> = findings.iter().flat_map(|finding| finding.spans.clone()).collect();
    assert!((1..=10_000).contains(&spans.len()) && findings.len() <= 1000, "{} {}", findings.len(), spans.len());
    let joined = portcullis_plugin::join_spans(spans);
    let covered = |at: usize| joined.iter().any(|span| span.range().contains(&at));
    assert!(text.match_indices('@').step_by(97).all(|(at, _)| covered(at)));
}

#[test]
fn telephone_numbers() {
    for number in [
        "+14155552671",
        "+1 (415) 555-2671",
        "+44 20 7183 8750",
        "+41 (0)44 318 27 60",
        "+49 30 901820",
        "(415) 867-5309",
        "415-867-5309",
        "+1-415-867-5309x123",
        "020 7183 8750",
        "07911 123456",
        "030/9018200",
        "01 42 68 53 00",
        "06-12345098",
        "98765 01234",
        "(02) 9374 4000",
        "(11) 91234-0987",
        "0047 22 22 55 55",
    ] {
        finds(&format!("reach us: {number}, thanks"), "phone", number);
    }
    for number in ["4158675309", "512 480 617", "764 2093", "31-58-42-97", "0352 7419608"] {
        finds(&format!("Phone: {number}."), "phone", number);
    }
    finds("648 315 702 office\n", "phone", "648 315 702");
}

#[test]
fn telephone_numbers_of_other_countries_are_known_by_their_groups() {
    for number in [
        "079 123 45 76",
        "0664 621 5365",
        "0532 416 28 79",
        "02 549 22 18",
        "8 (904) 604-86-12",
        "138 6595 5417",
        "090-5510-3011",
        "052-481-9036",
    ] {
        finds(&format!("then {number}, as before"), "phone", number);
    }
    // Whoever names countries wants theirs only.
    assert_eq!(found_with(r#"{"regions": ["us"]}"#, "then 0664 621 5365, as before"), []);
    for text in
        ["Contract 002-2024-1061 was signed.", "row 0 12 345", "002 003 004 005", "Sizes 36 38 40 42 44 are left."]
    {
        finds_nothing(text);
    }
}

#[test]
fn words_about_calling_and_addresses_make_a_number_one_of_a_telephone() {
    finds("Ring me back: 543 060 631", "phone", "543 060 631");
    finds("Llamame al 54 63 76 55", "phone", "54 63 76 55");
    let both = [("email".to_owned(), "ana@posteo.net".to_owned()), ("phone".to_owned(), "980 93 497".to_owned())];
    assert_eq!(found("Ana Ruiz <ana@posteo.net>, 980 93 497"), both);
    // A word two places before says nothing of digits in a row, and the name of a member says nothing at all.
    finds_nothing("{\"Desk Lamp\": \"6817146515\"}");
    let payload = JsonPayload::new(r#"{"message": "543 060 631"}"#).unwrap();
    let findings = detector("").unwrap().inspect(&Call::default(), &payload).unwrap();
    assert!(findings.iter().all(|one| one.score < 0.6), "{findings:?}");
}

#[test]
fn what_only_looks_like_a_telephone_number() {
    for text in [
        "order 4158675309, ticket 415-867-5309",
        "1700000000 1700000000123 20240115103000",
        "2024-01-15 10:30:00, 15.01.2024, 01/15/2024",
        "v1.2.3.4 and 10.15.7-3",
        "phone: +1 415 555 0123, (202) 555-0199, 020 7946 0958, 07700 900123",
        "call 123-456-7890 or 555-555-5555",
        "550e8400-e29b-41d4-a716-446655440000",
        "$415 867 5309 or 415-867-5309%",
        "id_4158675309 a4158675309b #415-867-5309",
        "978-3-16-148410-0",
        "x = 415-867-5309-22",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    ] {
        finds_nothing(text);
    }
}

#[test]
fn payment_cards() {
    for number in
        ["4539526018159083", "4539 5260 1815 9083", "4539-5260-1815-9083", "5412849340722470", "371276174093192"]
    {
        finds(&format!("pay with {number}."), "card", number);
    }
    finds("card 4539 5260 1815 9083 12/27 123", "card", "4539 5260 1815 9083");
    finds("my card 3595908100339075", "card", "3595908100339075");
    for text in [
        "4539526018159084",
        "4242 4242 4242 4242 and 4111-1111-1111-1111, 378282246310005",
        "14539526018159083 45395260181590831",
        "4539526018159083-1, 1-4539526018159083, 4539526018159083.5",
        "a4539526018159083 4539526018159083b",
        "card 4539 526018 159083",
        "1590730093437731",
        "4539526018159 and 4539 5260 1815 and 5916 3466 1682 5916 3466 1682",
    ] {
        finds_nothing(text);
    }
}

#[test]
fn accounts_and_national_numbers_speak_for_themselves() {
    for (kind, number) in [
        ("iban", "DE66500105173643122097"),
        ("iban", "GB31 MIDL 4280 3407 5702 95"),
        ("iban", "nl09ingb8268770387"),
        ("us_ssn", "536-90-4399"),
        ("us_itin", "912-70-1234"),
        ("fr_nir", "1 84 05 75 072 345 17"),
        ("fr_nir", "184052A99150982"),
        ("es_dni", "55691555E"),
        ("es_dni", "55691555-E"),
        ("es_nie", "Y4220917V"),
        ("es_nie", "Y-4220917-V"),
        ("it_fiscal_code", "BNCLRA79C52F205X"),
        ("uk_nino", "PW 52 10 39 A"),
        ("de_tax_id", "77 460 179 528"),
        ("br_cpf", "979.237.470-16"),
        ("br_cnpj", "58.785.011/0001-04"),
        ("se_personnummer", "850412-1982"),
        ("au_medicare", "4450 01828 1"),
    ] {
        finds(&format!("(it is {number})"), kind, number);
    }
}

#[test]
fn other_numbers_need_their_label() {
    for (kind, label, number) in [
        ("us_ssn", "SSN", "536904399"),
        ("us_itin", "tax id", "912701234"),
        ("us_passport", "passport no.", "C03005988"),
        ("us_driver_licence", "driver's license number is", "K514-2207-9316"),
        ("ca_sin", "social insurance number", "522331081"),
        ("uk_nino", "national insurance", "PW521039A"),
        ("uk_nhs", "NHS number", "435 606 8831"),
        ("de_tax_id", "Steuernummer", "77460179528"),
        ("nl_bsn", "BSN", "560440509"),
        ("pl_pesel", "PESEL", "85041108890"),
        ("se_personnummer", "personnummer", "8504121982"),
        ("in_aadhaar", "Aadhaar", "5916 3466 1682"),
        ("br_cpf", "CPF", "97923747016"),
        ("au_tfn", "TFN", "332 014 212"),
        ("au_medicare", "Medicare card", "4450018281"),
        ("date_of_birth", "date of birth", "12/03/1985"),
        ("date_of_birth", "born", "12 March 1985"),
        ("date_of_birth", "DOB", "March 12th, 1985"),
    ] {
        finds(&format!("{label}: {number}"), kind, number);
        let bare = found_with("", &format!("see {number} there"));
        assert!(bare.iter().all(|one| one.1 < 0.8), "{kind} without a label: {bare:?}");
    }
    finds_nothing("the order of 12/03/1985 and build 536904399");
}

#[test]
fn addresses_of_the_network() {
    finds("login from 45.83.12.201:8080", "ip", "45.83.12.201");
    finds("http://45.83.12.201/x", "ip", "45.83.12.201");
    finds("10.0.0.1-45.83.12.201", "ip", "45.83.12.201");
    finds("ssh root@45.83.12.201", "ip", "45.83.12.201");
    finds("from 2a02:8108:9640:1d4::77.", "ip", "2a02:8108:9640:1d4::77");
    for text in [
        "10.0.0.1 192.168.1.20 172.16.5.5 127.0.0.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.0",
        "192.0.2.7 198.51.100.9 203.0.113.5 8.8.8.8 1.1.1.1 224.0.0.1",
        "::1 fe80::1 fd12:3456::9 2001:db8::42 ff02::1 ::ffff:10.0.0.1",
        "version 45.83.12.201, Chrome/120.0.6099.109, foo==1.2.3.4, v1.2.3.4",
        "section 1.2.3.4 of 1.2.3.4.5",
        "std::vec::Vec a::b dead::beef 12:30:45 aa:bb:cc:dd:ee:ff 00:1a:2b:3c:4d:5e:6f:70",
        "45.83.12.256 045.183.112.201",
    ] {
        finds_nothing(text);
    }
}

#[test]
fn the_name_of_a_member_is_a_label() {
    let inspect = |json: &str| {
        let payload = JsonPayload::new(json).unwrap();
        let findings = detector("").unwrap().inspect(&Call::default(), &payload).unwrap();
        findings.into_iter().map(|one| (one.category, one.score)).collect::<Vec<_>>()
    };
    let phone = [("pii.phone".to_owned(), 0.9)];
    assert_eq!(inspect(r#"{"customer": {"phone_number": "4158675309"}}"#), phone);
    assert_eq!(inspect(r#"{"phones": ["4158675309"]}"#), phone);
    assert_eq!(inspect(r#"{"rows": [{"name": "Mobile", "value": "4158675309"}]}"#), phone);
    assert_eq!(inspect(r#"{"order_id": "4158675309", "created": "415 867 5309"}"#), []);
    assert_eq!(inspect(r#"{"ssn": "536904399"}"#), [("pii.us_ssn".to_owned(), 0.95)]);
}

#[test]
fn each_value_has_one_finding_with_all_its_places() {
    let text = "Ana@corp.com, bo@corp.com, ana@corp.com; +1 415 867 5309 or (415) 867-5309; 4539 5260 1815 9083 4539526018159083";
    let all = found_with("", text);
    let places: Vec<_> = all.iter().map(|one| (one.0.as_str(), one.2.len())).collect();
    assert_eq!(places, [("pii.email", 2), ("pii.email", 1), ("pii.phone", 2), ("pii.card", 2)]);
}

#[test]
fn many_values_share_a_finding_and_none_is_left_out() {
    let text: String = (0..2000).map(|n| format!("user{n}@corp.com ")).collect();
    let all = found_with("", &text);
    assert_eq!(all.len(), MOST_VALUES + 1);
    assert_eq!(all.iter().map(|one| one.2.len()).sum::<usize>(), 2000);
}

#[test]
fn messages_and_errors_never_quote() {
    let payload = JsonPayload::new(r#"{"a": "ana@corp.com 4539526018159083", "bo@corp.com": 1}"#).unwrap();
    let findings = detector("").unwrap().inspect(&Call::default(), &payload).unwrap();
    assert_eq!(findings.len(), 3);
    assert!(findings.iter().all(|one| !one.message.contains('@') && !one.message.contains("4539")));
    assert!(findings.iter().any(|one| one.spans.is_empty() && one.message.contains("member's name")));
}

#[test]
fn values_are_let_through_by_domain_and_digest() {
    let domain = r#"{"allow": {"domains": ["corp.com"]}}"#;
    assert_eq!(found_with(domain, "ana@corp.com bo@mail.CORP.com"), []);
    assert_eq!(found_with(domain, "ana@notcorp.com").len(), 1);
    // echo -n ana@corp.com | sha256sum, and of +14158675309.
    let digests = r#"{"allow": {"sha256": ["DIGEST1", "DIGEST2"]}}"#
        .replace("DIGEST1", &hex(b"ana@corp.com"))
        .replace("DIGEST2", &hex(b"+14158675309"));
    assert_eq!(found_with(&digests, "Ana@corp.com (415) 867-5309"), []);
    assert_eq!(found_with(&digests, "bo@corp.com (415) 867-5308").len(), 2);
}

fn hex(value: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn examples_can_be_reported() {
    let all = r#"{"allow": {"examples": false, "private_addresses": false}}"#;
    let text = "ana@example.com 4242424242424242 SSN 078-05-1120 192.168.1.20 +1 415 555 0123 GB82WEST12345698765432";
    assert_eq!(found_with("", text), []);
    assert_eq!(found_with(all, text).len(), 6);
}

#[test]
fn regions_and_kinds_narrow_the_search() {
    let german = r#"{"regions": ["de"], "kinds": {"email": false}}"#;
    assert_eq!(found_with(german, "536-90-4399 (415) 867-5309 ana@corp.com PW 52 10 39 A"), []);
    assert_eq!(found_with(german, "030/9018200 or +14158675309").len(), 2, "international numbers are of no region");
}

#[test]
fn what_is_encoded_is_found_where_it_stands() {
    finds("x aGVyZSBpcyBhbmFAY29ycC5jb20gZm9yIHlvdQ== y", "email", "aGVyZSBpcyBhbmFAY29ycC5jb20gZm9yIHlvdQ==");
    finds("\u{ff14}\u{ff15}\u{ff13}\u{ff19}526018159083", "card", "\u{ff14}\u{ff15}\u{ff13}\u{ff19}526018159083");
    finds(r"hello\n415-867-5309\n", "phone", "415-867-5309");
    finds("4539\u{a0}5260\u{a0}1815\u{a0}9083", "card", "4539\u{a0}5260\u{a0}1815\u{a0}9083");
}

#[test]
fn no_text_makes_it_panic() {
    let alphabet = [
        "1",
        "12",
        "0",
        "4539526018159083",
        "+",
        "(",
        ")",
        "-",
        ".",
        "/",
        ":",
        "::",
        "@",
        " ",
        "a",
        "x",
        "ext",
        "phone ",
        "ssn ",
        "born ",
        "March",
        "GB82",
        "AB",
        "C",
        "\u{e9}",
        "\u{ff11}",
        "\n",
        "\\n",
        "%40",
        "#",
        "=",
        "_",
        "fe80",
        "1985",
        "X-",
        "-L",
    ];
    let detector = detector(r#"{"min_score": 0, "allow": {"examples": false, "private_addresses": false}}"#).unwrap();
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..6_000 {
        let mut text = String::new();
        for _ in 0..12 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            text.push_str(alphabet[(dice >> 16) as usize % alphabet.len()]);
        }
        for hit in detector.scanner.text(&text, context::Topics::PHONE) {
            assert!(text.get(hit.range.clone()).is_some_and(|value| !value.is_empty()), "{text:?} {hit:?}");
        }
    }
}

std::thread_local! {
    /// Bytes that this thread has looked at.
    static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts bytes, for tests of how work grows.
pub(crate) fn looked_at(bytes: usize) {
    LOOKED_AT.set(LOOKED_AT.get() + bytes + 1);
}

#[test]
fn work_grows_with_the_text_and_no_faster() {
    let detector = detector("").unwrap();
    for unit in
        ["1", "1 ", "12 345 ", "1.", "1-", "a@", "a.", "1:", "::", "ab:", "+1 ", "a1", "AB12 ", "4539 ", "x1", "(1)"]
    {
        let work = |bytes: usize| {
            let before = LOOKED_AT.get();
            detector.scanner.text(&unit.repeat(bytes / unit.len()), context::Topics::NONE);
            LOOKED_AT.get() - before
        };
        let (one, ten) = (work(3_000), work(30_000));
        assert!(ten <= 11 * one + 1_000, "{unit:?}: {one} {ten}");
    }
}
