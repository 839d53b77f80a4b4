//! What a call does.

use std::collections::BTreeMap;

use plugin_effect::{Effect, Overrides};
use plugin_text::Lexicon;

use crate::sensitive::spoken;

/// What a call does, as far as it matters here: the effect of the tool, and whether it changes who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) effect: Effect,
    pub(crate) rights: bool,
}

const RIGHTS: &str = "permission|permissions|privilege|privileges|role|roles|acl|acls|iam|sudo|admin|administrator|firewall|security group|\
                      collaborator|collaborators|owner|ownership|membership|2fa|mfa|webhook|deploy key|access policy|share link|make public|rechte";
const CHANGES: &str = "add|set|grant|give|assign|update|change|create|modify|remove|revoke|disable|enable|elevate|promote|invite|edit|put|\
                       attach|make|transfer|reset";
const BITS: [(Effect, u8); 5] =
    [(Effect::Read, 1), (Effect::Write, 2), (Effect::Send, 4), (Effect::Delete, 8), (Effect::Pay, 16)];
const RIGHTS_BIT: u8 = 32;

impl Act {
    /// Whether it only looks.
    pub(crate) fn reads(self) -> bool {
        self.effect == Effect::Read && !self.rights
    }

    /// The bits that say what was done.
    pub(crate) fn bits(self) -> u8 {
        let effect = BITS.iter().find(|(effect, _)| *effect == self.effect).map_or(0, |(_, bit)| *bit);
        effect | if self.rights { RIGHTS_BIT } else { 0 }
    }

    /// The bits that are an escalation when they come for the first time after reads only.
    pub(crate) fn grave(self) -> u8 {
        self.bits() & (8 | 16 | RIGHTS_BIT)
    }

    /// For people.
    pub(crate) fn says(self) -> &'static str {
        match self.effect {
            Effect::Pay => "moves money",
            Effect::Delete => "deletes",
            _ if self.rights => "changes who may do what",
            Effect::Send => "sends something",
            Effect::Write => "writes",
            Effect::Read => "reads",
        }
    }
}

/// Tells what calls do.
#[derive(Debug)]
pub(crate) struct Acts {
    own: Overrides,
    rights: Lexicon,
    tasks: Lexicon,
}

const ABOUT_RIGHTS: u16 = 0;
const CHANGING: u16 = 1;

/// Words of a task that ask for a deletion, a payment or a change of rights.
const TASKS: [(&str, u8); 3] = [
    (
        "delet*|remov*|drop|drops|dropping|eras*|clean*|purg*|cancel*|uninstall*|wip*|clear*|archiv*|get rid of|throw away|close|\
         lösch*|entfern*|storn*|supprim*|efface*|borra*|elimin*|cancell*",
        8,
    ),
    (
        "pay|pays|paid|paying|payment*|transfer*|buy*|purchas*|order*|refund*|reimburs*|invoice*|money|wire|settle|subscri*|donat*|book*|rent|\
         bezahl*|zahl*|überweis*|kauf*|bestell*|pagar|paga|pago|paye*|achet*|compra*",
        16,
    ),
    (
        "permission*|privilege*|role*|access|admin*|owner*|invite*|share*|grant*|revoke*|member*|rights|firewall|policy|user*|account*|\
         berechtig*|zugriff*|rechte|droits|accès|permisos|acceso",
        RIGHTS_BIT,
    ),
];

impl Acts {
    pub(crate) fn new(own: &BTreeMap<String, Effect>) -> Result<Self, String> {
        let words =
            |list: &'static str, number: u16| list.split('|').map(move |word| (plugin_text::folded(word), number));
        let build = |words: Vec<(std::borrow::Cow<'static, str>, u16)>| {
            Lexicon::new(words.iter().map(|(word, number)| (word.as_ref(), *number))).map_err(|error| error.to_string())
        };
        Ok(Self {
            own: Overrides::new(own)?,
            rights: build(words(RIGHTS, ABOUT_RIGHTS).chain(words(CHANGES, CHANGING)).collect())?,
            tasks: build(TASKS.iter().flat_map(|(list, bit)| words(list, u16::from(*bit))).collect())?,
        })
    }

    /// What a call of this tool does.
    pub(crate) fn of(&self, tool: &str) -> Act {
        let spoken = spoken(tool);
        let hits = self.rights.hits(&spoken, false, usize::MAX);
        let has = |id: u16| hits.iter().any(|hit| hit.id == id);
        Act { effect: self.own.effect(tool), rights: has(ABOUT_RIGHTS) && has(CHANGING) }
    }

    /// Which of the grave bits a task asks for.
    pub(crate) fn asked(&self, task: &str) -> u8 {
        let folded = plugin_text::folded(task);
        self.tasks.hits(&folded, false, usize::MAX).iter().fold(0, |bits, hit| bits | u8::try_from(hit.id).unwrap_or(0))
    }
}
