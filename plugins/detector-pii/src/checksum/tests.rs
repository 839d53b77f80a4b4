//! Vectors are the examples of the public specifications and of the offices' own pages, or made by another program.

use super::*;

/// Every change of one digit must be noticed.
fn notices_each_digit(check: fn(&[u8]) -> bool, good: &[u8]) {
    assert!(check(good), "{}", String::from_utf8_lossy(good));
    for at in 0..good.len() {
        for digit in b'0'..=b'9' {
            let mut bad = good.to_vec();
            if bad[at].is_ascii_digit() && bad[at] != digit {
                bad[at] = digit;
                assert!(!check(&bad), "{}", String::from_utf8_lossy(&bad));
            }
        }
    }
}

#[test]
fn luhn_and_what_uses_it() {
    for good in [&b"79927398713"[..], b"4111111111111111", b"378282246310005", b"046454286"] {
        notices_each_digit(luhn, good);
    }
    assert!(sin(b"130692544") && sin(b"522331081") && !sin(b"130692545"));
    assert!(!sin(b"046454286"), "a zero begins no number of a person");
    assert!(personnummer(b"8112189876") && personnummer(b"198112189876") && personnummer(b"6408233234"));
    assert!(personnummer(b"7010632391"), "a coordination number");
    assert!(!personnummer(b"8112189875") && !personnummer(b"8113189874") && !personnummer(b"178112189876"));
}

#[test]
fn iban_of_the_registry() {
    for good in [&b"GB82WEST12345698765432"[..], b"DE89370400440532013000", b"FR1420041010050500013M02606"] {
        notices_each_digit(iban, good);
    }
    assert!(!iban(b"GB82WEST1234569876543!") && !iban(b"GB8"));
}

#[test]
fn verhoeff_of_its_author_and_aadhaar() {
    notices_each_digit(verhoeff, b"2363");
    notices_each_digit(verhoeff, b"591634661682");
    assert!(!verhoeff(b"3263"), "neighbours changed places");
    assert!(aadhaar(b"999999990019") && !aadhaar(b"999999990018"));
    assert!(!aadhaar(b"099999990019") && !aadhaar(b""));
}

#[test]
fn numbers_of_the_united_kingdom() {
    notices_each_digit(nhs, b"9434765919");
    assert!(nhs(b"9876543210") && nhs(b"4356068831") && !nhs(b"943476591"));
    assert!(nino(b"AB123456C") && nino(b"JG103759A"));
    for bad in [&b"QQ123456C"[..], b"DA123456C", b"AO123456C", b"GB123456C", b"AB123456E", b"AB12345C", b"A", b""] {
        assert!(!nino(bad), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn numbers_of_the_united_states() {
    assert!(ssn(b"536904399") && ssn(b"899010001"));
    for bad in [&b"000121234"[..], b"666121234", b"900121234", b"536004399", b"536900000", b"5369", b""] {
        assert!(!ssn(bad), "{}", String::from_utf8_lossy(bad));
    }
    assert!(itin(b"900501234") && itin(b"999881234") && itin(b"912941234"));
    assert!(!itin(b"900891234") && !itin(b"900931234") && !itin(b"900491234") && !itin(b"800701234"));
}

#[test]
fn numbers_of_germany_and_the_netherlands() {
    for good in [&b"86095742719"[..], b"47036892816", b"65929970489", b"77460179528"] {
        assert!(de_tax_id(good), "{}", String::from_utf8_lossy(good));
    }
    assert!(!de_tax_id(b"86095742718") && !de_tax_id(b"06095742719") && !de_tax_id(b"1234567890"));
    assert!(!de_tax_id(b"11122233344"), "more than one digit comes more than once");
    notices_each_digit(bsn, b"111222333");
    assert!(bsn(b"123456782") && bsn(b"560440509") && !bsn(b"123456789") && !bsn(b"000000000"));
}

#[test]
fn numbers_of_france() {
    notices_each_digit(nir, b"184057507234517");
    assert!(nir(b"255081416802538") && !nir(b"255081416802537"));
    assert!(nir_body(b"2550814168025") && !nir_body(b"3550814168025") && !nir_body(b"2551314168025"));
    // Corsica: 2A counts as 19.
    assert!(nir(b"184051999150982"));
}

#[test]
fn numbers_of_spain_and_italy() {
    for good in [&b"12345678Z"[..], b"00000000T", b"X1234567L", b"Y1234567X", b"Z1234567R", b"55691555E"] {
        assert!(dni(good), "{}", String::from_utf8_lossy(good));
    }
    assert!(!dni(b"12345678A") && !dni(b"X1234567M") && !dni(b"W1234567L") && !dni(b"1234567Z") && !dni(b""));
    for good in [&b"RSSMRA85T10A562S"[..], b"MRTMTT91D08F205J", b"BNCLRA79C52F205X", b"RSSMRA85T10A56NH"] {
        assert!(fiscal_code(good), "{}", String::from_utf8_lossy(good));
    }
    for bad in [&b"RSSMRA85T10A562T"[..], b"RSSMRA85F10A562S", b"RSSMRA85T35A562S", b"RSSMRA85T10A562", b"!"] {
        assert!(!fiscal_code(bad), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn numbers_of_poland_and_brazil() {
    assert!(pesel(b"44051401359") && pesel(b"02070803628") && pesel(b"85041108890"));
    assert!(!pesel(b"44051401358") && !pesel(b"44131401359") && !pesel(b"4405140135"));
    for good in [&b"11144477735"[..], b"52998224725", b"97923747016"] {
        assert!(cpf(good), "{}", String::from_utf8_lossy(good));
    }
    assert!(!cpf(b"11144477734") && !cpf(b"11111111111") && !cpf(b"111444777"));
    assert!(cnpj(b"11222333000181") && cnpj(b"58785011000104"));
    assert!(!cnpj(b"11222333000180") && !cnpj(b"00000000000000"));
}

#[test]
fn numbers_of_australia() {
    notices_each_digit(tfn, b"123456782");
    assert!(tfn(b"876543210") && tfn(b"332014212") && !tfn(b"876543211") && !tfn(b"000000000") && !tfn(b"12"));
    assert!(medicare(b"2123456701") && medicare(b"21234567011") && medicare(b"4450018281"));
    assert!(
        !medicare(b"2123456711") && !medicare(b"7123456701") && !medicare(b"212345670") && !medicare(b"2123456700")
    );
}
