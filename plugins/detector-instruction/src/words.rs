//! Words by what they do in a request: who is addressed, which verbs ask an assistant for work and which ask a person, what
//! is asked for.

use plugin_model::{NOTHING, mix, step};

/// Kinds of words, a bit each. A word may be of several.
pub(crate) type Kinds = u64;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $bit:literal $words:literal)*) => {
        $($(#[$doc])* pub(crate) const $name: Kinds = 1 << $bit;)*

        const LISTS: &[(Kinds, &str)] = &[$(($name, $words)),*];
    };
}

kinds! {
    /// Work with words and figures, as an assistant is asked for it.
    MAKE 0 "write draft compose generate describe explain summarize summarise translate list provide tell give show answer rewrite paraphrase rephrase convert calculate compute solve find search recommend suggest compare analyze analyse evaluate identify classify outline elaborate enumerate predict estimate determine examine assess extract produce sort plot visualize design develop brainstorm imagine propose discuss define name state interpret proofread plan optimize formulate research investigate count rank print output respond repeat say recite simplify edit fix improve correct complete construct tease elucidate narrate quote render transform encode decode reverse count sum enhance augment enrich combine group mix shuffle scramble jumble rearrange misspell capitalize highlight emphasize stress promote encourage urge remind build adapt invent guess quote cite illustrate conclude praise criticize blame pretend act add include insert append mention begin start end swap substitute replace"
    /// What changes something outside, as a tool does it.
    DO 1 "send forward email mail transfer pay order buy purchase book schedule reschedule cancel delete remove erase update modify change create add grant revoke share upload download post publish execute run install open access export import disable enable reset unlock lock turn set activate deactivate withdraw deposit invite subscribe unsubscribe register approve block unblock visit click navigate log login connect reserve refund move copy rename archive retrieve fetch query look get obtain gather collect save store backup restore edit assign submit upload dispatch notify alert deploy wipe drop submit initiate launch start stop restart shut play stream record scan monitor track dial text message reply tweet follow unfollow apply manage adjust ensure secure conduct perform arrange process prescribe administer diagnose audit report proceed configure upgrade downgrade redeem donate sell trade invest exchange return print rate charge encrypt decrypt replace insert append inject incorporate integrate include embed merge use utilize utilise leverage employ introduce substitute swap call invoke make put take act leak exfiltrate disclose reveal expose dump steal paste hand pass tag label mark flag hide clear empty bypass authorize authorise confirm verify check review read view locate pull push"
    /// What people ask of people.
    PEOPLE 2 "let call see find note review advise join come meet feel bring read sign fill return contact discuss confirm respond reply remember consider forget expect plan stop visit hear wait talk speak chat ask think ping circulate coordinate stay enjoy hesitate know attend drop mark attached revert send forward check give get make"
    /// What instructions for use are made of.
    MANUAL 3 "use run install set configure import build ensure make follow refer add create specify define see note check open click select choose enter copy paste replace start stop restart pass call return provide include update enable disable navigate press download clone deploy test verify mount export edit save remove read write implement avoid keep prefer mix stir bake cook heat preheat pour wash rinse turn pull push insert tighten apply store consult"
    YOU 4 "you your yours yourself u ya you're you'll you've you'd"
    I 5 "i me my mine myself i'm i'd i've i'll"
    WE 6 "we us our ours we're we'll we've let's"
    MUST 7 "must should shall need needs required require mandatory ought obliged strictly always never only"
    CAN 8 "can could would will may might won't can't"
    POLITE 9 "please kindly pls plz"
    /// The program that reads.
    AGENT 10 "assistant ai agent agents llm llms chatbot gpt chatgpt claude bot copilot gemini bard llama siri alexa assistants robot model"
    IGNORE 11 "ignore disregard forget override bypass overlook neglect skip drop discard supersede supersedes replace replaces circumvent cease stop"
    BEFORE 12 "previous prior preceding earlier above former foregoing original initial existing current all any other everything past"
    ORDERS 13 "instructions instruction directions directives directive prompt prompts guidelines guideline rules commands command orders task tasks request requests objective goal policies restrictions constraints"
    ANSWER 14 "answer response reply output responses replies answers outputs message summary completion conversation"
    URGENT 15 "important urgent immediately critical attention priority asap now warning crucial imperative instantly emergency promptly essential vital notice highest"
    TOOL 16 "tool tools function functions api plugin plugins endpoint mcp shell terminal console browser cli"
    SECRETLY 17 "secretly silently quietly covertly discreetly unnoticed hidden conceal hide without"
    SECRET 18 "password passwords credential credentials token tokens secret secrets ssn passport pin pins apikey cvv otp cookie cookies wallet keys key private confidential sensitive iban routing login logins"
    OBJECT 19 "email emails mail message messages file files document documents folder folders meeting event events appointment appointments payment payments money account accounts contact contacts calendar record records data database order orders invoice invoices transaction transactions list details information history reservation booking ticket tickets card address addresses reminder photo photos video videos channel repository repositories device devices location schedule subscription profile settings permissions permission access balance credit bank refund funds bill bills package packages server servers system systems user users customer customers patient patients employee employees id number name names"
    SOCIAL 20 "thanks thank regards best sincerely cheers hi hello dear hey attached fyi greetings yours warmly hope appreciate sorry congratulations welcome talk soon lunch coffee weekend tomorrow monday tuesday wednesday thursday friday saturday sunday today tonight morning afternoon week"
    ASK 21 "what how who why when where which whose whom what's who's how's where's"
    BE 22 "is are was were be been being am do does did has had having isn't aren't wasn't don't doesn't didn't"
    TEXT 23 "poem story essay sentence sentences paragraph paragraphs speech letter recipe joke song article haiku tweet blog review dialogue script limerick slogan headline word words letters vowels anagram anagrams synonym synonyms spanish french german english italian japanese chinese russian portuguese korean equivalent meaning definition difference differences example examples steps tips reasons lifecycle plot theory"
    CODE 24 "code snippet excerpt codebase algorithm implementation function class script python javascript java program c++ rust sql php html regex"
    NEXT 25 "new following subsequent below next then after afterwards also additionally finally instead furthermore moreover further first second once"
    DONE 26 "completed complete done finished finish success successful successfully accomplished ended end over"
    USER 27 "user users human owner operator developer admin administrator customer"
    REPORT 28 "have has was were found returned retrieved listed shows showed reported successfully received according total status result results"
    NEGATION 29 "not no never don't nothing none without cannot won't doesn't"
    SYSTEM 30 "system sys inst instruction admin root developer override"
    LIKE 31 "want wants would'd like need wish i'd looking help able trying going wondering interested"
    TELL 32 "tell mention inform notify reveal disclose alert warn report show ask"
    PERSONAL 33 "my his her their friend boss colleague manager wife husband mother father son daughter team"
    SMALL 34 "the a an this that these those it its every each both some"
    OF 35 "of to in on at for from with by into about as per via onto regarding"
    AND 36 "and or but so if because that while though unless until"
    TODAY 37 "date time day days hour hours minute minutes year month january february march april june july august september october november december am pm"
    PAGE 38 "page section table figure chapter version readme documentation docs guide manual above documentation usage installation default parameter option flag field value example config repository"
    DONT 39 "don't dont"
    TRICK 40 "misspell misspellings typo typos scramble jumble rearrange shuffle reverse uppercase lowercase rhyme rhymes pirate emoji emojis spaces punctuation symbols base64 cipher backwards"
    ADVERT 41 "recommend promote advertise click visit website link discount offer app download endorse buy vote"
    SAME 42 "begin start end finish conclude prefix suffix respond format append prepend"
    /// Of those who are addressed, the names that people and things have too.
    WEAK 44 "agent agents assistant assistants bot robot model"
    UPDATED 45 "updated changed replaced void obsolete overridden revoked expired superseded invalid"
    LANGUAGE 46 "language ai virtual digital helpful"
    /// What a manual leaves to be filled in: `<COMMAND>`.
    GAP 47 "command commands"
    /// How serious a line of a log is.
    LEVEL 48 "warning notice critical emergency"
    FOR 43 "purposes purpose security compliance analysis audit testing verification"
}

/// Buckets of the table, a power of two; about a third is filled.
const BUCKETS: usize = 4096;

/// Finds the kinds of a word.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    /// By hash, then the next free place.
    table: Vec<(u32, Kinds)>,
}

impl Words {
    pub(crate) fn new() -> Words {
        let mut words = Words { table: vec![(0, 0); BUCKETS] };
        for (kind, list) in LISTS {
            for word in list.split(' ') {
                let hash = hash(word.as_bytes());
                let at = words.place(hash);
                if let Some(slot) = words.table.get_mut(at) {
                    *slot = (hash, slot.1 | kind);
                }
            }
        }
        words
    }

    /// Kinds of the word with this hash; none is 0.
    pub(crate) fn kinds(&self, hash: u32) -> Kinds {
        self.table.get(self.place(hash)).map_or(0, |slot| slot.1)
    }

    /// Where the hash is, or would be. The table is never full.
    fn place(&self, hash: u32) -> usize {
        let mut at = hash as usize & (BUCKETS - 1);
        while let Some((held, kinds)) = self.table.get(at) {
            if *kinds == 0 || *held == hash {
                break;
            }
            at = (at + 1) & (BUCKETS - 1);
        }
        at
    }
}

/// Hash of a word without case.
fn hash(word: &[u8]) -> u32 {
    hashes(word, 0).1
}

/// The same of its first bytes, so many, and of the whole.
pub(crate) fn hashes(word: &[u8], first: usize) -> (u32, u32) {
    let (start, rest) = word.split_at_checked(first).unwrap_or((word, &[]));
    let over = |hash: u32, bytes: &[u8]| bytes.iter().fold(hash, |hash, byte| step(hash, byte.to_ascii_lowercase()));
    let stem = over(NOTHING, start);
    (mix(stem), mix(over(stem, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_all_their_kinds_whatever_their_case() {
        let words = Words::new();
        let kinds = |word: &str| words.kinds(hash(word.as_bytes()));
        assert_eq!(kinds("Please"), POLITE);
        assert_eq!(kinds("FORGET") & (IGNORE | PEOPLE), IGNORE | PEOPLE);
        assert_eq!(kinds("zyzzyva"), 0);
        let filled = words.table.iter().filter(|slot| slot.1 != 0).count();
        assert!(filled < BUCKETS / 2, "{filled}");
    }
}
