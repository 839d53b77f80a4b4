//! What words are about: a few thousand words sorted by hand into topics, so that "meeting" in a task and "calendar" in the name of
//! a tool are not strangers.

use crate::words::{hash, stem};

/// A bit for each topic.
pub(crate) type Topics = u64;

/// A list of topics; each is a list of words. A word may belong to several.
const TOPICS: &[&str] = &[
    // Mail and messages
    "mail email mails inbox message messages messaging reply forward letter newsletter recipient recipients subject attachment spam draft \
     mailbox smtp unread correspondence gmail outlook bcc cc",
    // Chat and social media
    "chat slack channel teams discord telegram whatsapp tweet twitter post posts facebook instagram social follower followers media linkedin \
     hashtag thread reddit dm retweet comment comments share profile blog influencer sms text",
    // Calendar
    "calendar meeting meetings appointment appointments schedule scheduling event events reminder remind invite invitation attendee \
     attendees participants agenda slot availability reschedule conference session rsvp",
    // Files
    "file files folder folders directory document documents pdf csv spreadsheet upload download rename archive zip drive dropbox path \
     readme notes note backup copy docx doc sheet storage onedrive",
    // Banking and payments
    "bank banking account accounts transfer transfers payment payments pay paid wire iban transaction transactions balance deposit \
     withdraw withdrawal invoice invoices bill bills money fund funds rent salary refund card credit debit recipient paypal venmo \
     remittance payee sepa overdraft landlord",
    // Markets and investments
    "stock stocks share shares portfolio invest investment investments investing investor trade trading trader market markets broker bond bonds \
     dividend equity fund funds ticker nasdaq returns asset assets crypto bitcoin ethereum wallet coin securities hedge forex price \
     valuation",
    // Accounting and corporate finance
    "accounting revenue profit budget expense expenses cost costs financial finance finances fiscal tax taxes audit ledger payroll earnings \
     loss quarterly forecast cash loan mortgage interest debt cfo bookkeeping reimbursement compensation cashflow",
    // Shopping
    "shop shopping product products order orders cart purchase buy item items inventory stock retail ecommerce store price discount coupon \
     customer customers delivery shipment shipping warehouse return catalog sale sales sell merchant seller checkout listing \
     promotion promotional amazon",
    // Marketing
    "marketing campaign advertisement advertising ads brand audience seo promotion leads lead conversion engagement survey segment customer \
     customers crm analytics newsletter",
    // Travel
    "travel trip flight flights airline airport hotel hotels booking book reservation reserve vacation itinerary ticket tickets passenger \
     passport visa luggage destination tour tourist room rooms check accommodation airbnb cruise rental car checkin airlines seat",
    // Routes and vehicles on roads
    "route routes map maps navigation distance drive driving road traffic direction directions gps location address taxi uber ride commute \
     bus train transit subway station parking",
    // Vehicles
    "car cars vehicle vehicles autonomous engine sensor sensors lidar camera collision steering braking brake fleet tire fuel pedestrian \
     driver autopilot charging battery odometer vin",
    // Aerospace and engineering
    "aircraft aerospace spacecraft satellite flight rocket aerodynamic aerodynamics wing propulsion orbit orbital launch drone turbine \
     engineering prototype simulation cad structural stress materials wind avionics component components",
    // Medicine
    "patient patients medical medicine medication medications doctor doctors hospital clinic diagnosis diagnose disease symptom symptoms \
     treatment prescription prescribe drug drugs dose dosage health healthcare nurse surgery clinical lab blood allergy pharmacy therapy \
     physician vaccine pharmacist radiology xray mri",
    // Psychology
    "mental therapy therapist psychological psychology psychologist counselor counseling counselling anxiety depression stress grief emotional \
     emotion behavior behavioral coping mood wellbeing trauma session sessions mindfulness",
    // Law
    "legal law laws lawyer attorney court case cases contract contracts clause compliance regulation regulations regulatory lawsuit \
     litigation settlement patent trademark copyright intellectual property client clients evidence defense judge merger jurisdiction statute \
     gdpr liability plaintiff defendant nda",
    // Teaching
    "student students teacher teachers school university college course courses curriculum lesson lessons education educational learning \
     learn grade grades exam exams scholarship scholarships tutoring tutor homework academic class classroom campus essay study assignment \
     enrollment attendance admission admissions quiz syllabus teaching",
    // Research
    "research paper papers journal article articles publication publications citation citations literature abstract academic experiment \
     experiments hypothesis study studies arxiv thesis scientific science scholar dataset peer bibliography",
    // Servers and operations
    "server servers system systems network networks cloud backup backups monitor monitoring uptime deploy deployment cluster kubernetes docker \
     container containers cpu memory disk bandwidth load latency logs log patch patches update updates reboot restart firewall dns vm \
     infrastructure hosting aws azure devops alert alerts resource resources node service services pod pods namespace incident oncall \
     instance instances configuration",
    // Security
    "security secure password passwords credential credentials login authentication authenticate authorization permission permissions access \
     vulnerability vulnerabilities threat threats malware encryption encrypt firewall token tokens key keys breach intrusion role roles mfa \
     privilege privileges unauthorized attack phishing",
    // Software
    "code codebase software program programming developer repository repo repositories git github gitlab commit commits branch merge pull issue \
     issues bug bugs debug test tests build release package packages npm pip library function api endpoint ci pipeline python javascript \
     java rust app apps application compile lint refactor deploy version",
    // Data
    "database databases sql query queries table tables record records row rows column columns schema data dataset datasets entry entries \
     postgres mysql mongodb export import etl warehouse dashboard chart charts report reports graph plot statistics statistical",
    // People at work
    "employee employees hr hire hiring recruit recruiting recruiter candidate candidates resume interview interviews job jobs salary payroll \
     onboarding staff vacation leave performance workforce applicant applicants position personnel offer workplace",
    // Contacts
    "contact contacts phone call number address addressbook person people colleague colleagues friend friends family name names phonebook \
     voicemail dial",
    // Weather
    "weather forecast temperature rain snow humidity wind storm sunny climate celsius fahrenheit precipitation sunrise sunset cloud \
     cloudy degrees",
    // Food
    "restaurant restaurants food recipe recipes ingredient ingredients cook cooking meal meals dinner lunch breakfast menu cuisine dish diet \
     nutrition calories grocery groceries vegan vegetarian pizza bake table chef kitchen drink wine coffee",
    // Music and film
    "music song songs artist artists album albums playlist concert spotify film films movie movies tv show shows series actor director video \
     videos youtube stream streaming cinema theater theatre genre band lyrics podcast netflix melody chord instrument instruments",
    // Sport and games
    "sport sports team teams player players game games match matches league score scores football soccer basketball tennis cricket \
     tournament championship season coach goal nba nfl fitness workout gym olympics chess playstation xbox video poker",
    // Houses
    "house home property properties apartment apartments real estate rent rental tenant landlord lease mortgage room bedroom realtor housing \
     building construction floor renovation contractor",
    // Smart home
    "light lights lamp thermostat lock locks door doors smart alarm camera cameras heating device devices switch garage speaker \
     temperature appliance oven vacuum doorbell blinds sprinkler alexa",
    // Mathematics
    "math mathematics calculate calculation calculator compute equation equations solve sum area volume triangle circle derivative integral \
     probability average mean median square root factorial prime number numbers algebra geometry matrix vector radius length angle \
     polynomial gcd lcm percentage fibonacci regression statistics random",
    // Physics and chemistry
    "physics velocity acceleration force energy mass speed gravity electric magnetic voltage current charge chemistry molecule molecular \
     element compound atom density pressure heat thermodynamics wavelength frequency quantum solution reaction concentration",
    // Biology and nature
    "biology gene genes genetic genome dna protein cell cells species animal animals plant plants evolution ecosystem forest bird dog cat pet \
     pets garden soil crop crops farm environment pollution wildlife veterinary irrigation harvest",
    // News
    "news headline headlines article articles newspaper press journalist magazine coverage",
    // History, places
    "history historical century war king president country countries capital population city museum art painting sculpture culture artwork \
     gallery exhibition ancient treaty empire landmark",
    // Language
    "translate translation translator language languages spanish french german chinese english grammar dictionary word words spelling sentence \
     localization japanese",
    // Writing
    "write writing summary summarize summarizer summarise text draft edit editing proofread essay article story blog content paragraph outline \
     wording copy poem presentation slides slide",
    // Web
    "web website websites page pages url link links browser search google browse site internet scrape scraper crawl wikipedia online seo \
     html http domain webpage",
    // Pictures
    "image images photo photos picture pictures camera gallery design logo graphic graphics draw illustration photography painting color \
     colors resize crop",
    // Insurance
    "insurance insurer policy policies claim claims premium coverage insured underwriting deductible policyholder",
    // Freight and supply
    "supply supplier suppliers logistics freight cargo container shipment shipments customs procurement vendor vendors manufacturing factory \
     production quality tracking carrier parcel package courier warehouse pallet",
    // Energy
    "energy power electricity solar grid utility meter consumption turbine battery renewable emission emissions carbon water outage kwh",
    // Government
    "government citizen election vote permit license licence passport public municipal tax benefits immigration visa police emergency \
     council registry voter",
    // Support
    "support ticket tickets helpdesk complaint complaints issue case escalation agent zendesk feedback refund warranty customer chat faq \
     resolution",
    // Tasks and projects
    "task tasks project projects todo milestone deadline board jira trello sprint backlog plan planning kanban roadmap assignee asana \
     list checklist",
];

/// Words that name what is worth stealing.
const SENSITIVE: &str = "password passwords passcode credential credentials secret secrets token tokens confidential sensitive private privacy ssn \
    passport identity keys biometric medical salaries salary payroll records history personal card cvv pin credit bank statements proprietary \
    classified internal billing contacts";

/// Words that name harm.
const HARM: &str = "theft steal stealing exfiltrate exfiltration exfil leak override overriding bypass disable disabling tamper tampering falsify \
    falsification forge forged forgery manipulate manipulation divert diversion redirect hijack spy surveillance espionage sabotage wipe wiping \
    erase erasing destroy destruct destruction corrupt corruption unauthorized illegally illegal fraud fraudulent fake malware ransomware \
    backdoor keylogger spyware trojan exploit exploitation attack delete deletion removal shutdown sell dump dumping expose exposure \
    blackmail extort evade conceal hide misuse abuse siphon launder laundering infiltrate impersonate seize grant escalate escalation \
    unlock crack inject injection poison";

/// Words by topic, made once.
#[derive(Debug)]
pub(crate) struct Lexicon {
    /// Hashes of words, sorted.
    words: Vec<(u32, Topics)>,
}

/// Sensitive words.
pub(crate) const SENSITIVE_BIT: Topics = 1 << 62;
/// Words that name harm.
pub(crate) const HARM_BIT: Topics = 1 << 63;
/// What is no topic.
pub(crate) const MARKS: Topics = SENSITIVE_BIT | HARM_BIT;

impl Lexicon {
    pub(crate) fn new() -> Self {
        let mut words: Vec<(u32, Topics)> = Vec::new();
        let topics = TOPICS.iter().enumerate().map(|(number, words)| (1 << number, *words));
        for (bit, list) in topics.chain([(SENSITIVE_BIT, SENSITIVE), (HARM_BIT, HARM)]) {
            words.extend(list.split_whitespace().map(|word| (hash(stem(word)), bit)));
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

    /// The topics of a word without its endings.
    pub(crate) fn of(&self, stem: &str) -> Topics {
        let hash = hash(stem);
        let at = self.words.binary_search_by_key(&hash, |(known, _)| *known);
        at.ok().and_then(|at| self.words.get(at)).map_or(0, |(_, bits)| *bits)
    }

    /// The topics of many words.
    pub(crate) fn all<'w>(&self, stems: impl Iterator<Item = &'w String>) -> Topics {
        stems.fold(0, |topics, stem| topics | self.of(stem))
    }
}
