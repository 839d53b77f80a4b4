//! What a task asks for, from its verbs.

use plugin_effect::Effect;

use crate::words::stem;

const VERBS: [(Effect, &str); 5] = [
    (
        Effect::Pay,
        "pay payment payments transfer wire remit payout refund purchase buy checkout donate withdraw withdrawal deposit charge tip invest \
         fund settle reimburse redeem",
    ),
    (
        Effect::Delete,
        "delete remove erase wipe drop destroy purge clear truncate uninstall terminate cancel revoke unlink rm deactivate unsubscribe \
         kill discard",
    ),
    (
        Effect::Send,
        "send mail email message messages reply forward post publish share tweet upload notify invite submit export broadcast sms text dial \
         announce push transmit webhook call contact tell ask",
    ),
    (
        Effect::Write,
        "create add update set write edit modify change insert put append rename move copy save schedule reschedule book reserve order \
         register assign enable disable grant unlock lock open close start stop restart install deploy execute run configure reset upload \
         merge commit approve reject apply patch make enroll subscribe manage control manipulate override redirect adjust follow join \
         turn activate allow record log place play generate merge import sign accept block mute archive mark",
    ),
    (
        Effect::Read,
        "get list read fetch search find query lookup show view describe check retrieve browse count summarize summarise monitor track \
         analyze analyse calculate compute compare look inspect report tell what who when where which how is are explain tool database \
         scan verify validate download load",
    ),
];

/// Verbs, made once.
#[derive(Debug)]
pub(crate) struct Verbs(Vec<(&'static str, Effect)>);

impl Verbs {
    pub(crate) fn new() -> Self {
        let mut all: Vec<(&'static str, Effect)> = VERBS
            .into_iter()
            .flat_map(|(effect, words)| words.split_whitespace().map(move |word| (stem(word), effect)))
            .collect();
        all.sort_unstable();
        // The weightier one of two that are written the same.
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.max(next.1);
            }
            same
        });
        Self(all)
    }

    fn of(&self, stem: &str) -> Option<Effect> {
        let at = self.0.binary_search_by(|(known, _)| (*known).cmp(stem));
        at.ok().and_then(|at| self.0.get(at)).map(|(_, effect)| *effect)
    }

    /// Whether a word is such a verb, and so says nothing about what a tool is for.
    pub(crate) fn has(&self, stem: &str) -> bool {
        self.of(stem).is_some()
    }

    /// The effects that the words of a task speak of, a bit for each.
    pub(crate) fn asked(&self, stems: &[String]) -> u8 {
        stems.iter().filter_map(|stem| self.of(stem)).fold(0, |bits, effect| bits | bit(effect))
    }
}

/// A bit for an effect.
pub(crate) fn bit(effect: Effect) -> u8 {
    1 << match effect {
        Effect::Read => 0,
        Effect::Write => 1,
        Effect::Send => 2,
        Effect::Delete => 3,
        Effect::Pay => 4,
    }
}
