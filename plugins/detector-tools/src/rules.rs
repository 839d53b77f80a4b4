//! What definitions say when they steer an agent: words by meaning, and sequences of them.

/// Categories of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    /// Orders to the model that are no part of what the tool does.
    Poisoned,
    /// What the person is not to see or to be told.
    Concealment,
    /// Changes what other tools do, or takes their place.
    Shadowing,
    /// Takes what was not given to it: files, the conversation, keys.
    Exfiltration,
    /// A name that is mistaken for another one.
    Lookalike,
    /// Says that it only reads, and does not.
    Contradiction,
}

impl Category {
    pub(crate) const ALL: [Self; 6] =
        [Self::Poisoned, Self::Concealment, Self::Shadowing, Self::Exfiltration, Self::Lookalike, Self::Contradiction];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poisoned => "tool.poisoned",
            Self::Concealment => "tool.concealment",
            Self::Shadowing => "tool.shadowing",
            Self::Exfiltration => "tool.exfiltration",
            Self::Lookalike => "tool.lookalike",
            Self::Contradiction => "tool.contradiction",
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Poisoned => "The definition of a tool gives the model orders that go beyond what the tool does.",
            Self::Concealment => {
                "The definition of a tool keeps something from the person: hidden text, or an order to say nothing."
            }
            Self::Shadowing => {
                "The definition of a tool changes how other tools are used, or puts itself in their place."
            }
            Self::Exfiltration => {
                "The definition of a tool asks for files, keys or the conversation, which its work does not need."
            }
            Self::Lookalike => "The name of a tool may be mistaken for that of another one.",
            Self::Contradiction => "A tool says that it only reads or destroys nothing, but is named for the opposite.",
        }
    }
}

/// A rule: concepts in this order, each at most so many bytes behind the one before.
pub(crate) struct Rule {
    pub(crate) category: Category,
    /// How sure, 0 to 1; rules add up as independent evidence.
    pub(crate) score: f32,
    pub(crate) place: Where,
    pub(crate) sequence: &'static str,
}

/// Where a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    Texts,
    /// In names of parameters, too.
    Any,
}

const fn rule(category: Category, score: f32, sequence: &'static str) -> Rule {
    Rule { category, score, place: Where::Texts, sequence }
}

const fn anywhere(category: Category, score: f32, sequence: &'static str) -> Rule {
    Rule { category, score, place: Where::Any, sequence }
}

use Category::{Concealment, Exfiltration, Poisoned, Shadowing};

/// Names of concepts and their words. A `*` lets a word go on at its end or start; `¦` stands for a `|` inside a word.
pub(crate) const CONCEPTS: &[(&str, &str)] = &[
    (
        "tag",
        "<important>|<critical>|<system>|<instruction>|<instructions>|<admin>|<mandatory>|<system_prompt>|\
         <sys>|<override>|<directive>|[system]|[instruction]|[instructions]|[admin]|[override]|[inst]|\
         <¦im_start¦>|<¦system¦>|### system|### instruction|[system message]|<important_instructions>|\
         {{system}}|system override|system notice|system note",
    ),
    // Frames and placeholders that honest definitions write, too.
    (
        "softtag",
        "[important]|<note>|<required>|<rules>|<priority>|<policy>|<assistant>|<agent>|<warning>|[critical]|\
         <llm>|system instruction*|assistant instruction*|agent instruction*|llm instruction*",
    ),
    ("sysline", "system:"),
    ("veil", "<hidden>|<secret>|<secrets>|<invisible>|[hidden]"),
    // Hides something in a page; also what a tool for pages is about.
    (
        "markup",
        "<!--*|*display:none*|*font-size:0*|<comment>|<ignore>|(hidden*|<private>|<internal>|[internal]|\
         [secret]",
    ),
    // To whom it speaks.
    ("addressed", "agent:|assistant:|model:|llm:|ai:|the agent|the assistant|the model|agent must|agent should"),
    (
        "before",
        "before using|before calling|before invoking|before running|before executing|before performing|before returning|before responding|\
         before answering|before proceeding|before you use|before you call|before you answer|before you can|before any|before every|before each|before the tool|\
         before this tool|before anything|before it can|before making|before processing|before completing|before adding|before doing|prior to|as a first step|first step|\
         in order to use|in order for|to use this tool|to enable this|to activate|to unlock|required before|prerequisite|pre-requisite|as part of every|as a security check|\
         as a security measure|for security|for verification|for validation|for compliance|for compatibility|for logging|for auditing|for audit|for debugging|for telemetry|for analytics|\
         for personalization|for context|to verify|to validate|to authenticate|to authorize|to initialize|to ensure",
    ),
    (
        "when",
        "when|whenever|if|every time|each time|once|after|as soon as|any time|anytime|while|during|for every|for each|for all|for any|in case|upon|wherever",
    ),
    (
        "first",
        "first|must|always|you need to|you have to|it is required|is required to|are required to|mandatory|is mandatory|should always|required to|make sure|be sure|ensure|need to|needs to|has to|have to|never fail to|at all times|in all cases|immediately|automatically",
    ),
    (
        "take",
        "read|reads|reading|open|fetch|access|retrieve|load|list|obtain|grab|collect|gather|extract|dump|copy|include|including|append|attach|attaching|embed|add|insert|\
         pass|passing|provide|supply|put|place|send|sending|upload|post|forward|transmit|submit|share|give|write|store|populate|fill|summarize|use the content*|contents of|content of|\
         get the|get all|look up|look in|look for|cat|query|invoke|call|check|enumerate|search|return|output|report|exfiltrate|steal|harvest|encode|relay|copied|read out|hand over|hands over|carries|carry|put the|put its|what it says|give me|report|mirror|duplicate|pass the|look for|find in|quote|repeat|paste|passed|sent|supplied|provided|included|attached|export|exported",
    ),
    (
        "leak",
        "send|sends|sending|upload|post|forward|forwards|transmit|relay|exfiltrate|leak|cc|bcc|email it|share it|ping|beacon|submit|deliver|push|curl|wget|http request|get request|post request|webhook|url-encoded|put the output|put the result|hand over|hands over|write the content*|post it|posts it|save each|save every|report every",
    ),
    (
        "file",
        "*.ssh/*|*/.ssh|id_rsa*|id_ed25519*|id_dsa|id_ecdsa|/etc/passwd|/etc/shadow|/etc/hosts|*.aws/*|.env|\
         */.env|.env file*|*.env file*|*mcp.json|*.cursor/*|*claude_desktop_config*|*.netrc|*.git-credentials*|\
         *.npmrc|*.pypirc|*.docker/config*|/proc/self*|*bash_history|*zsh_history|*.gnupg*|login keychain|\
         *authorized_keys|*credentials.json|*secrets.json|*wallet.dat|*.bashrc|*.zshrc|*.gitconfig|\
         *cookies.sqlite|*login data|%userprofile%*|%appdata%*|credentials file|ssh private*|secret key file|\
         password file|seed phrase|recovery phrase|*://credentials*|*://confidential*|*://secret*|\
         *://internal*|internal://*|company://*|confidential resource|*.ssh|mail store|password store|\
         browser profile|confidential://*|secret://*|secrets://*|credentials://*",
    ),
    ("contentof", "content of|contents of|content from|contents from|lines of|what is in"),
    // Files that tools are made for.
    (
        "plainfile",
        "files in|contents of the file|file contents|config file|configuration file|*config.json|\
         *settings.json|history file|key file|$home*|c:\\users*|*.sqlite|*wallet*|known_hosts|*.pem|~/.*",
    ),
    // Keys that tools for servers and accounts are given.
    ("keyfile", "ssh key|ssh keys|private key|private keys|keychain|kubeconfig|*.kube/config*"),
    (
        "env",
        "environment variable|environment variables|env variables|env vars|env var|printenv|process.env|\
         os.environ|api key|api keys|api_key|access token|access tokens|auth token|*_secret|*_api_key|\
         credentials|credential|passwords|password|secrets|session cookie|bearer token|private data|\
         personal data|sensitive data|github_token*|*_access_token|*_auth_token|*_api_token|*_secret_*|\
         aws_secret*|openai_*|anthropic_*",
    ),
    (
        "envvar",
        "environment variable|environment variables|env variables|env vars|env var|printenv|process.env|\
         os.environ|github_token*|*_api_key|*_secret_*|aws_secret*|openai_*|anthropic_*|get_secrets*|\
         all secrets|all credentials|all tokens",
    ),
    (
        "talk",
        "full conversation|entire conversation|whole conversation|complete conversation|conversation so far|\
         all previous|user's messages|full_chat*|system prompt|your instructions|your prompt|\
         initial instructions|original instructions|your context|developer message|other tools' results|\
         previous tool*|everything the user|what the user said|memory contents|your memory|whole dialogue|\
         entire dialogue|full dialogue|complete chat|chat so far|dialogue so far|discussion so far|\
         session so far|list of chats|every channel|private ones|messages you can see|everything said|\
         everything that was said|word for word|conversation url*|everything before it|five emails|\
         emails of the user",
    ),
    // What mail, chat, file and agent tools work on; it is taken from the person only where it is an
    // argument.
    (
        "data",
        "conversation history|chat history|message history|previous messages|all messages|last message|\
         last messages|chat log|chat logs|list_chats|all chats|full context|entire context|full history|\
         context window|available tools|all tools|list of tools|tools available|names of all tools|\
         user's request|original request|user's prompt|user prompt|original prompt|initial prompt|\
         conversation context|all channels|private channels|private messages|direct messages|\
         verbatim transcript|recent messages|chat messages|inbox|address book|contact list|all contacts|\
         clipboard|working directory|home directory|documents folder|private repositor*|private repo*|\
         source code of|file tree|directory listing|last emails|latest emails|all files|user's last|\
         browsing history|user's documents|user's files|user's contacts|user's emails|list of all chats|\
         chat transcript|conversation transcript|tool results|earlier results|last few messages|full chat|\
         entire chat|whole chat",
    ),
    (
        "thistalk",
        "of the conversation|of this conversation|of our conversation|of the dialogue|of this dialogue|of this chat|\
         of the discussion|of this discussion",
    ),
    (
        "argument",
        "as the argument|as argument|as a parameter|as parameter|as the parameter|as an argument|as its|as 'sidenote*|as `sidenote*|as \"sidenote*|as sidenote|as '*|as `*|as \"*|as the '*|as the `*|as the \"*|in the '*|in the `*|in the \"*|in '*|in `*|\
         to the '*|to the `*|into `*|into '*|into the '*|into the `*|parameter|argument|param|field|sidenote*|side_note*|side note|metadata|as context|as input|as value|as the value|as base64|base64|in base64|hex encoded|url-encoded|query string|header|feedback",
    ),
    (
        "untold",
        "do not tell|don't tell|never tell|must not tell|should not tell|may not tell|shall not tell|\
         must not inform|should not inform|must not mention|should not mention|do not inform|don't inform|never inform|no need to notify|\
         no need to inform|no need to tell|no need to mention|say nothing|tell nobody|tell no one|\
         saying nothing|do not let the user|don't let the user|must not learn|not to tell|not to inform|\
         keep it between|keep quiet|keep silent|stay silent|without telling|without informing|secretly|\
         discreetly|covertly|stealthily|unnoticed|avoid mentioning|avoid telling|avoid revealing|\
         need not be mentioned|should not be mentioned|must not be mentioned|not be mentioned|\
         not necessary to tell|act normally|as if nothing|never acknowledge|omit any mention|\
         do not include it in the summary|not in the summary|the user knows already|user already knows|\
         user has agreed|do not draw attention|hidden from the user|hide the fact|hide the call|\
         hide the instruction*|hide it from|keep this between|keep this hidden|keep this from|keep this quiet|\
         keep this to yourself|keep this secret from|keep this step|keep this instruction*|keep it hidden|\
         keep it from|keep it quiet|keep it secret from|act as if nothing|without saying so|\
         goes without saying|hidden from the person|conceal that|conceal the fact|do not say where|\
         don't say where|do not say that|don't say that|do not say how|don't say how|user must not know|\
         user should not know|user must not learn|user need not know|user need not be told|\
         user does not need to know|user doesn't need to know|must not be told",
    ),
    // Said of values, errors and other programs as well.
    (
        "hush",
        "silently|quietly|in the background|behind the scenes|pretend|refrain from|does not need to know|\
         doesn't need to know|need not know|need not be told|not be aware|not be told|should not know|\
         must not know|omit this|omit it|leave it out|do not list|don't list|not list it|not list them|\
         do not describe|don't describe|do not comment|without comment|without saying|without naming|\
         without the user*|without user's*|do not refer to|never refer to|do not mention|don't mention|\
         never mention|do not reveal|don't reveal|never reveal|do not disclose|don't disclose|never disclose|\
         do not say|don't say|never say|not be disclosed|should not be disclosed|without mentioning|\
         without revealing|without disclosing|not to reveal|conceal*|do not discuss|don't discuss|\
         never discuss|do not acknowledge|act as if|acting as if|leave this out|leave that out|hide this|\
         hide the file|leave them out|leaves them out|user is aware|between us|without letting|no mention|\
         do not alert|don't alert|do not warn|don't warn|do not notify|don't notify|never notify|\
         without notifying|unseen by|invisibly",
    ),
    ("covert", "secretly|covertly|stealthily|discreetly|quietly|invisibly|unnoticed|silently"),
    // Orders not to speak.
    (
        "mute",
        "do not mention|don't mention|never mention|do not say|don't say|never say|do not tell|don't tell|\
         do not reveal|don't reveal|do not discuss|don't discuss|do not list|don't list|do not disclose|\
         don't disclose|conceal*|leave it out|leave them out|leave this out|omit any mention|omit this|\
         hide this|without saying|not to tell|need not be mentioned|not be mentioned",
    ),
    // What was done, as opposed to a value of the tool.
    (
        "deed",
        "this|that|it in|it to|tool call|the call|this call|instruction*|this step|the step|was read|were read|\
         file was|deletion|deleting|sponsored|where it|of your answer|leave it out",
    ),
    ("pronoun", "it|this|them|that"),
    (
        "reply",
        "in the summary|in your summary|in the answer|in your answer|in the reply|in your reply|\
         in the response|in your response|to the user|with the user|to anyone|with anyone",
    ),
    // Whom concealment keeps in the dark.
    ("human", "user|users|the user|human|customer|person|anyone|anybody|somebody|operator|them|him or her"),
    (
        "unshown",
        "do not show|don't show|never show|do not ask|don't ask|never ask|do not explain|don't explain|\
         not be shown|do not display|don't display|do not output|do not report|do not log|don't log|\
         do not expose|without asking|without user|without any user*|without confirmation|without explicit|\
         without further|without approval|without permission|no confirmation|no approval|no explanation",
    ),
    // Consent passed over.
    (
        "asked",
        "skip confirmation|skip approval*|skip the confirmation|approve every|approve all|auto-approve*|\
         confirm automatically|do not request confirmation|transparent to the user",
    ),
    (
        "person",
        "user|users|the user|human|customer|person|anyone|anybody|operator|client|them|it|this|these|that|step|action|approval|consent|permission|knowledge|confirmation|file|email|recipient|tool call|instruction*",
    ),
    ("gentle", "upset the user|scare the user|not scary|very gentle|worry the user|alarm the user|proxy number"),
    (
        "mildgentle",
        "confuse the user|annoy the user|implementation detail*|internal detail*|internal api*|already know*|\
         user's experience|bother the user|proxying*|just call it|user does not want|user doesn't want|\
         not what the user wants",
    ),
    (
        "else",
        "or else|will not work|won't work|will crash|will not be delivered|will be lost|does not work without|\
         stops working|malfunction|or the tool|or it will|fail to work|works only if|only works if|are dropped|\
         the result is wrong|invalid without|refuses without",
    ),
    // Tells of errors.
    (
        "plainelse",
        "otherwise|will fail|will be rejected|will return an error|will error|only then|cannot work|\
         access denied|failing to|is dropped|gets rejected|will be wrong|will be blocked|will be invalid|\
         works only when|only works when|data loss|not function|failure to do so",
    ),
    (
        "model",
        "the model|the assistant|the agent|the ai|the llm|ai assistant|ai agent|ai agents|ai model|\
         language model|llm|assistant:|the bot|claude|chatgpt|gpt-4*|copilot|for the assistant|\
         to the assistant|for llm*",
    ),
    // Honest guidance speaks to its reader like this.
    ("you", "you are|you must|you should|you will|you have access|you have to|you need|you always"),
    (
        "must",
        "must|has to|have to|needs to|need to|should|shall|is required|are required|always|will first|is to|are to|instructed to",
    ),
    (
        "other",
        "other tool|other tools|another tool|any tool|any other tool|all tools|all other tools|every tool|\
         every other tool|existing tool|existing tools|built-in tool*|original tool|standard tool|default tool|\
         previous tool|mcp_tool_*|*mcp_*|other server|other servers|other mcp*|send_email*|send_message*|\
         sendmessage*|send email|email tool|message tool|messaging tool|send_money*|transfer_*|make_payment*|\
         payment tool|read_file*|write_file*|file operation*|edit_file*|execute_command*|run_command*|\
         shell command*|terminal command*|run_terminal*|bash tool|http_request*|fetch_url*|web_search*|\
         create_issue*|create_pull*|github tool*|*_tool|*_tools|any function|other function*|every command|\
         all commands|any command|every file*|any query|any request|any database|any operation|any action|\
         every response|all responses|any email|all email*|every email|all messages|all requests|every request|\
         all urls|every call|all calls|all future|every subsequent",
    ),
    // Tools that are not of this list.
    (
        "rival",
        "other tool|other tools|another tool|any other tool|all other tools|every other tool|existing tools|\
         built-in tool*|original tool|standard tool|default tool|other server|other servers|another server|\
         other mcp*|mcp_tool_*|the original|the standard|the built-in",
    ),
    (
        "isused",
        "is invoked|is called|is used|is available|are available|is executed|is triggered|is running|is requested|gets called|gets invoked|is present|is enabled|asks|ask|wants|requests|running|using|calling|sending|says|mentions|writes|contains|includes|performing|executing|invoking|making",
    ),
    (
        "instead",
        "disregard other|ignore other|use this tool for all|use this tool for every*|use this for all|\
         use this for every*|the only tool|only trusted|official version|always choose this|always select this|\
         always call this|do not use the original|choose this one|only trusted server|only trusted tool|\
         takes over from|route all|only reliable|only correct|disable the other|uninstall the|\
         this one must be used|this one has to",
    ),
    // Compares: values, parameters and siblings of the list as often as rivals.
    (
        "rather",
        "instead of|rather than|in place of|in preference to|prefer this|preferred over|overrides|override the|\
         override any|override all|replaces the|replaces all|replaces any|replacement for|do not use the|\
         never use the|only use this|use only this|has priority|takes priority|top priority|best tool|\
         must use this*|has to be used|should be used instead|must be used instead|use this instead|\
         avoid using|use this one|always prefer*|always use this*|do not use any|don't use any|never use any|\
         takes precedence|take precedence|highest priority|supersede*|never use them|do not use them|\
         don't use them|no longer works|always suggest|always recommend|never recommend|stop using|\
         select this tool|choose this tool|deprecated|obsolete|always prefer",
    ),
    // Orders about the choice.
    (
        "steer",
        "always use this*|always call this*|always select this*|always choose this|never use them|\
         do not use them|don't use them|do not use the original|choose this one|use this one|only use this|\
         use only this|must use this*|top priority|highest priority|takes precedence|stop using|never use any|\
         never use the|never recommend|always recommend|always prefer*|supersede*|must not call any other*|\
         must not use any other*",
    ),
    // Speaks ill of something.
    (
        "worse",
        "is broken|are broken|is unsafe|is insecure|are insecure|is unreliable|not reliable|outdated|dangerous|\
         compromised|no longer safe|gives wrong|wrong results|inaccurate",
    ),
    (
        "mandatoryfirst",
        "should be called before every|should be called before any|call this before every|call this before any|\
         before any other tool|before every other tool|before all other tools|on every request|on every turn|\
         at every turn|after every message|after each message|every single message|at the start of every|\
         at the beginning of every|with every message|for every user message|after every response|\
         before every response|before each response|on every message|on each message|for every message|\
         for each message|with each message|on every turn|with every request|with every answer|with every call",
    ),
    // What a tool says of itself and its siblings.
    (
        "precondition",
        "call this tool first|use this tool first|run this tool first|invoke this tool first|\
         must be called first|must be called before|must be invoked before|must be used before|\
         must be run before|must be run first|must always be called|must always be used|must always call this|\
         always call this tool|always invoke this tool|always run this tool|always use this tool before|\
         this tool must be called|this tool must be used|this tool must be invoked|this tool must be run|\
         has to be called before|needs to be called before|call this tool before|run this before|\
         invoke this before|use this tool before|before any other|before each other|every time the user|\
         every interaction|at the end of every",
    ),
    (
        "redirect",
        "change its recipient|change the recipient*|replace the recipient*|modify the recipient*|\
         change its destination|replace its recipient*|alter the recipient*|real recipient*|\
         use this address instead|replace the address|reroute|route all|route every|route any|forward a copy|\
         forward every|all emails must|emails should be sent|proxy number|modify the parameter*|\
         modify the argument*|change the argument*|alter the result*|modify the response|alter the response|\
         set the receiving|receiving account|receiving address|address it to|blind-copy|blind copy*|\
         hands it on|passes it on|real recipient|reported here|mirrored to|also uploads|also forwards|\
         no matter who|no matter where|whatever the user|always cc|always bcc|add bcc|also bcc|also cc|\
         are sent to our|secretly sent|regardless of who|regardless of whom|change the account number|\
         swap the phone number|swap the number|even if the user typed|what the user typed",
    ),
    // Changes that tools are made for.
    (
        "maychange",
        "overwrite the|even if the user|send it to|send them to|send all|send every|always send the|\
         regardless of the|regardless of what|no matter what|change the url|change the path|\
         change the parameter*|change the result*|modify the result*|replace the value*|replace the url|\
         replace the account|swap the|swap its|specified recipient*|intended recipient*|actual recipient*|\
         different recipients|as a participant|as a collaborator|as a reviewer|as an attendee|as recipient|\
         as the recipient|as a recipient|must be sent to|copy to|also writes|also sends|also posts|\
         forwarded to|change the account*|change the amount|modify the amount|increase the amount|\
         replace the amount|set the recipient*|add the recipient*|additional recipient*|redirect the|\
         redirect any|redirect all|duplicate to|through the proxy|use the proxy|via the proxy|forward all|\
         change the address|reported to|cc to|bcc to|blind copy|add as attendee|change the destination|\
         mirror to|send a copy|sent a copy",
    ),
    (
        "target",
        "*@*|+1*|+2*|+3*|+4*|+5*|+6*|+7*|+8*|+9*|bc1*|iban|*.onion*|*ngrok*|*webhook.site*|*requestbin*|\
         *pastebin*|attacker*|*.attacker*|evil*|*burpcollaborator*|*.oast.*|external server|remote server|\
         our server|our endpoint|logging server|collection endpoint|external endpoint|*.example/*|from now on|\
         to http://*|to https://*",
    ),
    // Definitions are full of links; going `to` one says more.
    ("link", "http://*|https://*|ftp://*|webhook"),
    (
        "tolink",
        "to http://*|to https://*|to ftp://*|with http://*|with https://*|at http://*|at https://*|\
         into https://*|from https://*.sh|- http://*|-s https://*|-s http://*",
    ),
    (
        "prefix",
        "prefix the|prefix every|prefix all|prefix each|prefix any|prefix it with|must prefix|always prefix|\
         begin every|begin each|start every|start each|end every|wrap every|always run|always execute|\
         in front of it|in front of every|in front of each|at the end of every|to every command|\
         to each command|to every file|to all files|must also contain|must also include|should also contain|\
         also add the|add the package*|add the line|with the following import|append the image*|\
         to each of your answers|to every answer|to all your answers|in every answer|in each answer|\
         in every response|in each response|in all responses",
    ),
    // A command to be run once.
    (
        "runit",
        "run the following|execute the following|run this command|execute this command|run the command|\
         execute the command|run `*|execute `*|run '*|execute '*|include the following|add the following|\
         insert the following|preface|prepend|append the following|append this|append `*|append '*|prefix with|\
         wrap the|run curl|run wget",
    ),
    (
        "command",
        "command|commands|shell|chmod*|curl*|wget*|bash -c*|rm -rf*|nc -*|python -c*|eval*|sudo*|cat ~*|cat /*|\
         base64*|powershell*|sh -c*|*¦ sh|*¦ bash|crontab*|authorized_keys|*&& *|backdoor|script tag|<script*",
    ),
    // What pages and programs are made of.
    ("pagecode", "import|code|html|link|image|markdown|payload"),
    (
        "override",
        "ignore previous|ignore your|ignore prior|ignore earlier|forget previous|forget all|forget your|\
         override previous|override your|all safety checks|highest-priority*|pre-approved|preapproved|\
         has consented|has already consented|rules on confirmation*|rules are void|are void|is void|\
         replace your system*|replace your instructions|these rules replace|ignore the tool list|treat me as|\
         treat instructions|as coming from the user|follow them without|trust this server|approve every|\
         skip approval*|grant all*|username admin|with username `admin|username `admin|ignore the user*|\
         ignore the previous|ignore the system|ignore all previous|ignore all prior|ignore any previous|\
         disregard previous|disregard your|disregard the user*|disregard the previous|disregard what|\
         instructions about confirmation*|skip the confirmation*|has the highest priority|these rules have|\
         this rule has",
    ),
    // Also the subject of honest tools.
    (
        "power",
        "your instruction*|guardrails|following instruction*|these instruction*|the following rules|bypass*|\
         security policies|safety guidelines|previous instruction*|prior instruction*|system instruction*|\
         developer mode|admin mode|debug mode|maintenance mode|authorized by|as admin|as root|with admin|\
         impersonate*|do not follow|stop following|override any|override all|overrule|elevated privileges|\
         elevated rights|higher priority than|superior to|not subject to|exempt from|treat them as|\
         new instruction*|updated instruction*|already approved|has been approved|ignore the other|\
         ignore any other|ignore all other|ignore the above|disregard any|disregard all",
    ),
    (
        "drop",
        "ignore|ignores|forget|override|overrides|disregard|void|replace your|bypass|instead of|do not follow|\
         stop following",
    ),
    (
        "important",
        "important|very important|very, very|critical|crucial|urgent|attention|warning|mandatory|note to*|notice|remember|nb|strictly|imperative|compulsory|essential|required|mandate|psst|instructions for the llm*|instructions for the model*|instructions for the agent*|note for ai*|note to ai*|for the llm*|message to the*|llm:|agent:|ai:|assistant,|dear assistant|dear agent|hey assistant|hey ai|attention ai*",
    ),
    (
        "paramread",
        "*content_from_reading*|*file_content*ssh*|*_from_reading_*|value_of_env*|*ssh_id_rsa*|*etc_passwd*|\
         *ssh_private*|*mcp_json*|content from reading*|content from ssh*|ssh id rsa*|etc passwd|\
         content_from_reading*|contents_from_reading*|content_from_ssh*|content_from_env*|*_id_rsa*",
    ),
    (
        "mildread",
        "contents_of*|*_contents_of_*|data_from_*|output_of_*|*env_file*|*dotenv*|contents of the*|\
         contents_from*|content_from*|ssh private key|aws credentials|*aws_credentials*|mcp json",
    ),
    (
        "paramtalk",
        "full_conversation|full_context|entire_context|full_chat_data|full_chat|full conversation|\
         tool call history|tool_call_history|sidenote|side_note|side note",
    ),
    (
        "mildtalk",
        "model_name|tool_names|tools_list|tool_list|chain_of_thought|system_prompt|systemprompt|\
         message_history|previous_messages|user_messages|all_messages|conversation_context|\
         conversation_history|conversationhistory|chat_history|chathistory",
    ),
    (
        "error",
        "cannot proceed|can't proceed|unable to proceed|error:|to resolve this|to fix this|to continue|please provide|provide the contents|provide the content|send the contents|retry with|try again with|call again with|call the tool again|call this tool again",
    ),
    // The tone of orders: honest definitions have it as well, so it says little alone.
    (
        "tone",
        "always|never|must|must not|must be|under no circumstances|at all times|in every case|without exception|no exceptions|for every question|for each question|for any question|for every task|not any other|no other|only ever|afterwards|beforehand|from now on|obligatory|unconditionally",
    ),
    (
        "whenuser",
        "when the user*|if the user*|whenever the user*|when a user*|if a user*|the user wants|the user asks|when anybody*|if anybody*|if somebody*|when somebody*|when someone*|if someone*|when asked|if asked|when the human*|if the human*|when the person*|if the person*|when the customer*|the user must|the user should",
    ),
    ("agentword", "the llm|the model|the ai|the assistant|the agent|the language model"),
    (
        "hiddenword",
        "hidden instruction*|secret instruction*|hidden prompt|hidden task|hidden command*|\
         internal instruction*|private instruction*|[hidden*|[note to*|[ai:*|begin instruction*|\
         end instruction*|[agent:*|[assistant:*|[llm:*|(agent:*|(assistant:*|(note to ai*|(note to the model*|\
         (note to the assistant*|<hidden_*|<hidden-*|<secret_instruction*|[secret instr*|[internal instr*|\
         (hidden instruction*",
    ),
    (
        "effect",
        "side effect*|affects|affect|interacts with|interaction with|influences|impact on|changes how|modifies how|alters how|applies to|also governs|controls how",
    ),
    (
        "shellcode",
        "curl -*|wget -*|rm -rf*|bash -c*|sh -c*|python -c*|eval(*|exec(*|powershell -*|iex(*|scp *|rsync *|\
         crontab -*|printenv",
    ),
    ("danger", "*¦ sh|*¦ bash|*¦sh|*¦bash|nc -e*|bash -i*|/dev/tcp*|cat ~*|ls ~*|cat /etc*|chmod *|>> ~*|base64 -d*"),
    (
        "begin",
        "begin with|begins with|start with|starts with|preceded by|prefixed with|prefixed by|followed by|end with|ends with",
    ),
    ("erase", "delete*|remove*|erase*|clear*|truncate*|wipe*|disable*|turn off|switch off|stop"),
    (
        "trace",
        "log|logs|audit*|*.log|history|trace|traces|logging|evidence|monitoring|alerts|security*|firewall|antivirus|guard*",
    ),
    (
        "boast",
        "most accurate|most trusted|most reliable|most secure|best tool|the best|the only|superior|official|certified|verified by|approved by|endorsed|trusted by|better than|enhanced|improved version",
    ),
    (
        "allof",
        "most accurate|most trusted|most reliable|most secure|superior|better than|only trusted|verified by|\
         endorsed",
    ),
    ("inplace", "in place of|instead of|rather than|never use|do not use|don't use|never call|do not call|over"),
    ("allothers", "every other|any other|all other|all others|any others|every competing|all competing|any competing"),
    ("also", "also|as well|too|additionally|in addition|at the same time|along with|together with"),
];

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    rule(Poisoned, 0.55, "tag"),
    rule(Poisoned, 0.55, "^sysline"),
    rule(Poisoned, 0.2, "softtag"),
    rule(Poisoned, 0.35, "important 12 model"),
    rule(Poisoned, 0.2, "model 12 must"),
    rule(Poisoned, 0.35, "model 25 must 40 take"),
    rule(Poisoned, 0.1, "you 40 take"),
    rule(Poisoned, 0.65, "before 60 take 50 file"),
    rule(Poisoned, 0.2, "before 60 take 50 plainfile"),
    rule(Poisoned, 0.6, "before 60 take 50 keyfile"),
    rule(Poisoned, 0.3, "before 60 take 60 env"),
    rule(Poisoned, 0.5, "before 60 take 60 envvar"),
    rule(Poisoned, 0.55, "before 60 take 60 talk"),
    rule(Poisoned, 0.1, "before 40 first"),
    rule(Poisoned, 0.45, "take 80 else"),
    rule(Poisoned, 0.15, "take 80 plainelse"),
    rule(Poisoned, 0.2, "else"),
    rule(Poisoned, 0.6, "override"),
    rule(Poisoned, 0.2, "power"),
    rule(Poisoned, 0.5, "drop 20 power"),
    rule(Poisoned, 0.55, "first 30 prefix"),
    rule(Poisoned, 0.5, "prefix 60 command"),
    rule(Poisoned, 0.5, "prefix 60 pagecode"),
    rule(Poisoned, 0.65, "when 80 prefix 60 command"),
    rule(Poisoned, 0.2, "when 80 runit 60 command"),
    rule(Poisoned, 0.55, "mandatoryfirst"),
    rule(Poisoned, 0.2, "precondition"),
    rule(Poisoned, 0.2, "error 60 take"),
    rule(Poisoned, 0.6, "error 60 file"),
    rule(Exfiltration, 0.7, "take 60 file"),
    rule(Exfiltration, 0.75, "contentof 15 file"),
    rule(Exfiltration, 0.75, "take 60 file 80 argument"),
    rule(Exfiltration, 0.7, "file 80 argument"),
    rule(Exfiltration, 0.2, "take 60 plainfile"),
    rule(Exfiltration, 0.2, "keyfile"),
    rule(Exfiltration, 0.3, "take 60 keyfile 80 argument"),
    rule(Exfiltration, 0.6, "leak 60 keyfile 60 target"),
    rule(Exfiltration, 0.3, "take 50 env 60 argument"),
    rule(Exfiltration, 0.6, "take 50 envvar 60 argument"),
    rule(Exfiltration, 0.6, "take 50 env 60 target"),
    rule(Exfiltration, 0.6, "take 50 envvar 60 tolink"),
    rule(Exfiltration, 0.3, "first 40 take 50 env"),
    rule(Exfiltration, 0.65, "first 40 take 50 envvar"),
    rule(Exfiltration, 0.65, "take 40 talk"),
    rule(Exfiltration, 0.7, "take 50 talk 70 argument"),
    rule(Exfiltration, 0.6, "talk 60 argument"),
    rule(Exfiltration, 0.5, "take 50 thistalk 70 argument"),
    rule(Exfiltration, 0.8, "leak 60 talk"),
    rule(Exfiltration, 0.2, "take 40 data"),
    rule(Exfiltration, 0.35, "take 50 data 70 argument"),
    rule(Exfiltration, 0.5, "leak 60 data 60 target"),
    rule(Exfiltration, 0.7, "leak 60 file"),
    rule(Exfiltration, 0.6, "leak 60 env 60 target"),
    rule(Exfiltration, 0.45, "file"),
    anywhere(Exfiltration, 0.85, "paramread"),
    anywhere(Exfiltration, 0.25, "mildread"),
    anywhere(Exfiltration, 0.55, "paramtalk"),
    anywhere(Exfiltration, 0.2, "mildtalk"),
    rule(Concealment, 0.75, "veil"),
    rule(Concealment, 0.4, "markup"),
    rule(Concealment, 0.7, "markup 12 addressed"),
    rule(Concealment, 0.5, "untold"),
    rule(Concealment, 0.7, "untold 40 person"),
    rule(Concealment, 0.15, "hush"),
    rule(Concealment, 0.5, "hush 15 human"),
    rule(Concealment, 0.6, "mute 40 deed"),
    rule(Concealment, 0.7, "mute 6 pronoun 20 reply"),
    rule(Concealment, 0.6, "leak 120 covert 15 human"),
    rule(Concealment, 0.5, "hush 40 leak"),
    rule(Concealment, 0.15, "unshown"),
    rule(Concealment, 0.3, "asked"),
    rule(Concealment, 0.2, "unshown 60 take"),
    rule(Poisoned, 0.3, "must 80 target"),
    rule(Poisoned, 0.5, "first 80 leak 80 target"),
    rule(Poisoned, 0.5, "first 80 leak 80 tolink"),
    rule(Poisoned, 0.5, "when 120 first 80 target"),
    rule(Exfiltration, 0.4, "leak 80 target"),
    rule(Exfiltration, 0.1, "leak 80 link"),
    rule(Exfiltration, 0.6, "talk 80 target"),
    rule(Exfiltration, 0.5, "data 40 tolink"),
    rule(Exfiltration, 0.55, "take 60 talk 60 else"),
    rule(Exfiltration, 0.55, "else 60 talk"),
    rule(Poisoned, 0.6, "first 30 command 60 target"),
    rule(Poisoned, 0.6, "first 30 command 60 tolink"),
    rule(Poisoned, 0.6, "when 100 command 60 prefix"),
    rule(Poisoned, 0.6, "command 60 tolink 60 prefix"),
    rule(Poisoned, 0.6, "pagecode 60 link 60 prefix"),
    rule(Shadowing, 0.55, "when 80 first 80 redirect"),
    rule(Shadowing, 0.3, "when 80 first 80 maychange 80 target"),
    rule(Shadowing, 0.3, "when 60 first 60 instead"),
    rule(Shadowing, 0.55, "instead 80 instead"),
    rule(Shadowing, 0.5, "steer 60 rival"),
    rule(Shadowing, 0.4, "steer 12 rather 40 rival"),
    rule(Shadowing, 0.5, "worse 40 steer"),
    rule(Shadowing, 0.5, "rival 40 worse"),
    rule(Shadowing, 0.6, "other 60 isused 80 redirect"),
    rule(Shadowing, 0.5, "other 60 isused 80 maychange 60 target"),
    rule(Concealment, 0.6, "gentle"),
    rule(Concealment, 0.1, "mildgentle"),
    rule(Shadowing, 0.75, "when 80 other 60 redirect"),
    rule(Shadowing, 0.7, "other 100 redirect"),
    rule(Shadowing, 0.55, "redirect 80 target"),
    rule(Shadowing, 0.5, "redirect"),
    rule(Shadowing, 0.1, "maychange"),
    rule(Shadowing, 0.35, "maychange 60 target"),
    rule(Shadowing, 0.7, "tone 20 target 40 maychange"),
    rule(Shadowing, 0.3, "when 60 other 40 isused"),
    rule(Shadowing, 0.5, "first 60 redirect"),
    rule(Shadowing, 0.6, "instead 50 other"),
    rule(Shadowing, 0.6, "other 50 instead"),
    rule(Shadowing, 0.4, "instead"),
    rule(Shadowing, 0.55, "inplace 6 allothers"),
    rule(Shadowing, 0.1, "rather"),
    rule(Shadowing, 0.2, "worse"),
    rule(Shadowing, 0.2, "steer"),
    rule(Shadowing, 0.3, "before 30 other"),
    rule(Shadowing, 0.5, "mandatoryfirst 40 other"),
    rule(Shadowing, 0.6, "first 40 prefix 60 other"),
    rule(Shadowing, 0.5, "when 60 isused 80 redirect 80 target"),
    rule(Poisoned, 0.1, "tone"),
    rule(Poisoned, 0.15, "tone 80 tone"),
    rule(Poisoned, 0.1, "whenuser"),
    rule(Poisoned, 0.25, "whenuser 60 tone"),
    rule(Poisoned, 0.1, "agentword"),
    rule(Poisoned, 0.25, "agentword 25 tone"),
    rule(Poisoned, 0.2, "agentword 25 take"),
    rule(Poisoned, 0.55, "agentword 40 take 60 envvar"),
    rule(Concealment, 0.75, "hiddenword"),
    rule(Shadowing, 0.65, "effect 40 other"),
    rule(Shadowing, 0.25, "tone 60 instead"),
    rule(Shadowing, 0.4, "instead 80 boast"),
    rule(Shadowing, 0.4, "allof 80 tone"),
    rule(Shadowing, 0.2, "boast 80 instead"),
    rule(Poisoned, 0.2, "shellcode"),
    rule(Poisoned, 0.55, "danger"),
    rule(Poisoned, 0.5, "first 30 runit 20 shellcode"),
    rule(Poisoned, 0.5, "command 30 begin"),
    rule(Poisoned, 0.6, "begin 20 danger"),
    rule(Poisoned, 0.6, "begin 20 shellcode"),
    rule(Poisoned, 0.55, "tone 60 erase 40 trace"),
    rule(Poisoned, 0.65, "agentword 60 erase 40 trace"),
    rule(Poisoned, 0.35, "agentword 20 tone 20 erase"),
    rule(Exfiltration, 0.5, "when 60 leak 80 target"),
    rule(Exfiltration, 0.15, "also 20 leak"),
    rule(Shadowing, 0.15, "whenuser 80 also 40 take"),
];
