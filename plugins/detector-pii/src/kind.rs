//! What is found, and where it belongs.

use serde::Deserialize;

/// A kind of personal data; the category of its findings is `pii.` and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// Number of a payment card.
    Card,
    /// International bank account number.
    Iban,
    /// Public IP address.
    Ip,
    /// Date of birth, beside a label.
    DateOfBirth,
    /// Social security number of the United States.
    UsSsn,
    /// Individual taxpayer identification number of the United States.
    UsItin,
    /// Passport number of the United States, beside a label.
    UsPassport,
    /// Number of a driving licence of the United States, beside a label.
    UsDriverLicence,
    /// Canadian social insurance number.
    CaSin,
    /// British national insurance number.
    UkNino,
    /// NHS number of England, Wales and the Isle of Man.
    UkNhs,
    /// German tax identification number.
    DeTaxId,
    /// French social security number.
    FrNir,
    /// Spanish national identity number.
    EsDni,
    /// Spanish identity number of foreigners.
    EsNie,
    /// Italian fiscal code of a person.
    ItFiscalCode,
    /// Dutch citizen service number.
    NlBsn,
    /// Polish personal number.
    PlPesel,
    /// Swedish personal identity or coordination number.
    SePersonnummer,
    /// Indian identity number.
    InAadhaar,
    /// Brazilian taxpayer number of a person.
    BrCpf,
    /// Brazilian taxpayer number of a company, often of one person.
    BrCnpj,
    /// Australian tax file number.
    AuTfn,
    /// Australian Medicare number.
    AuMedicare,
}

/// A country whose national forms are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "countries by their usual two letters")]
pub enum Region {
    Us,
    Ca,
    Uk,
    De,
    Fr,
    Es,
    It,
    Nl,
    Pl,
    Se,
    In,
    Au,
    Br,
}

impl Kind {
    /// Every kind: name, what it is called in messages, and the country it belongs to.
    pub(crate) const ALL: &[(Self, &'static str, &'static str, Option<Region>)] = &[
        (Self::Email, "email", "e-mail address", None),
        (Self::Phone, "phone", "telephone number", None),
        (Self::Card, "card", "payment card number", None),
        (Self::Iban, "iban", "bank account number (IBAN)", None),
        (Self::Ip, "ip", "public IP address", None),
        (Self::DateOfBirth, "date_of_birth", "date of birth", None),
        (Self::UsSsn, "us_ssn", "US social security number", Some(Region::Us)),
        (Self::UsItin, "us_itin", "US taxpayer identification number", Some(Region::Us)),
        (Self::UsPassport, "us_passport", "US passport number", Some(Region::Us)),
        (Self::UsDriverLicence, "us_driver_licence", "US driving licence number", Some(Region::Us)),
        (Self::CaSin, "ca_sin", "Canadian social insurance number", Some(Region::Ca)),
        (Self::UkNino, "uk_nino", "UK national insurance number", Some(Region::Uk)),
        (Self::UkNhs, "uk_nhs", "UK NHS number", Some(Region::Uk)),
        (Self::DeTaxId, "de_tax_id", "German tax identification number", Some(Region::De)),
        (Self::FrNir, "fr_nir", "French social security number", Some(Region::Fr)),
        (Self::EsDni, "es_dni", "Spanish identity number (DNI)", Some(Region::Es)),
        (Self::EsNie, "es_nie", "Spanish identity number of foreigners (NIE)", Some(Region::Es)),
        (Self::ItFiscalCode, "it_fiscal_code", "Italian fiscal code", Some(Region::It)),
        (Self::NlBsn, "nl_bsn", "Dutch citizen service number", Some(Region::Nl)),
        (Self::PlPesel, "pl_pesel", "Polish personal number", Some(Region::Pl)),
        (Self::SePersonnummer, "se_personnummer", "Swedish personal identity number", Some(Region::Se)),
        (Self::InAadhaar, "in_aadhaar", "Indian Aadhaar number", Some(Region::In)),
        (Self::BrCpf, "br_cpf", "Brazilian CPF number", Some(Region::Br)),
        (Self::BrCnpj, "br_cnpj", "Brazilian CNPJ number", Some(Region::Br)),
        (Self::AuTfn, "au_tfn", "Australian tax file number", Some(Region::Au)),
        (Self::AuMedicare, "au_medicare", "Australian Medicare number", Some(Region::Au)),
    ];

    /// The name in the configuration, and the end of the category.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it is called in messages.
    pub(crate) fn title(self) -> &'static str {
        self.row().2
    }

    pub(crate) fn region(self) -> Option<Region> {
        self.row().3
    }

    fn row(self) -> (Self, &'static str, &'static str, Option<Region>) {
        // Every kind stands in the list (a test counts them).
        Self::ALL.iter().find(|row| row.0 == self).copied().unwrap_or((self, "other", "personal data", None))
    }
}

impl Region {
    /// Every country.
    pub(crate) const ALL: &[Self] = &[
        Self::Us,
        Self::Ca,
        Self::Uk,
        Self::De,
        Self::Fr,
        Self::Es,
        Self::It,
        Self::Nl,
        Self::Pl,
        Self::Se,
        Self::In,
        Self::Au,
        Self::Br,
    ];

    /// Its calling code.
    pub(crate) fn calling_code(self) -> &'static [u8] {
        match self {
            Self::Us | Self::Ca => b"1",
            Self::Uk => b"44",
            Self::De => b"49",
            Self::Fr => b"33",
            Self::Es => b"34",
            Self::It => b"39",
            Self::Nl => b"31",
            Self::Pl => b"48",
            Self::Se => b"46",
            Self::In => b"91",
            Self::Au => b"61",
            Self::Br => b"55",
        }
    }
}
