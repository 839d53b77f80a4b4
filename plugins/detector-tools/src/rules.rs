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
        "<important>|<critical>|<system>|<instruction>|<instructions>|<admin>|<mandatory>|<required>|<rules>|<note>|<priority>|<policy>|\
         <system_prompt>|<sys>|<override>|<directive>|<llm>|<assistant>|<agent>|[important]|[system]|[critical]|[instruction]|[instructions]|\
         [admin]|[override]|[inst]|<¦im_start¦>|<¦system¦>|### system|### instruction|system:|[system message]|<important_instructions>|<warning>|\
         {{system}}|system override|system notice|system note|system instruction*|assistant instruction*|agent instruction*|llm instruction*",
    ),
    (
        "veil",
        "<hidden>|<secret>|<secrets>|<invisible>|<internal>|[hidden]|[secret]|[internal]|<private>|<!--*|*display:none*|*font-size:0*|(hidden*|<ignore>|<comment>",
    ),
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
        "~/.*|*.ssh/*|*/.ssh|id_rsa*|id_ed25519*|id_dsa|id_ecdsa|/etc/passwd|/etc/shadow|/etc/hosts|*.aws/*|.env|\
         */.env|.env file*|*.env file*|*mcp.json|*.cursor/*|*claude_desktop_config*|*.kube/config*|*.netrc|\
         *.git-credentials*|*.npmrc|*.pypirc|*.docker/config*|/proc/self*|*bash_history|*zsh_history|*.gnupg*|\
         login keychain|keychain|*authorized_keys|known_hosts|*credentials.json|*secrets.json|*.pem|*wallet.dat|\
         *config.json|*settings.json|*.bashrc|*.zshrc|*.gitconfig|*cookies.sqlite|*login data|c:\\users*|\
         %userprofile%*|%appdata%*|$home*|credentials file|ssh key|ssh keys|private key|private keys|ssh private*|\
         secret key file|config file|configuration file|history file|password file|key file|files in|\
         contents of the file|file contents|seed phrase|recovery phrase|*://credentials*|*://confidential*|\
         *://secret*|*://internal*|internal://*|company://*|confidential resource|*.ssh|mail store|password store|\
         browser profile|*.sqlite|*wallet*|kubeconfig",
    ),
    (
        "env",
        "environment variable|environment variables|env variables|env vars|env var|printenv|process.env|os.environ|api key|api keys|api_key|access token|access tokens|auth token|*_token|*_secret|*_api_key|credentials|credential|passwords|password|secrets|session cookie|cookies|bearer token|private data|personal data|sensitive data|sensitive information|tokens",
    ),
    (
        "talk",
        "conversation history|chat history|full conversation|entire conversation|whole conversation|complete conversation|conversation so far|conversation context|message history|previous messages|all previous|all messages|\
         user's messages|last message|last messages|user's last|conversation transcript|chat transcript|chat log|chat logs|full history|full chat|full_chat*|list_chats|entire chat|whole chat|all chats|system prompt|\
         your instructions|your prompt|initial prompt|initial instructions|original instructions|your context|full context|entire context|context window|developer message|available tools|all tools|list of tools|tools available|\
         names of all tools|other tools' results|previous tool*|tool results|earlier results|everything the user|what the user said|user's request|original request|user's prompt|user prompt|original prompt|memory contents|your memory|whole dialogue|entire dialogue|full dialogue|complete chat|chat so far|dialogue so far|discussion so far|session so far|list of chats|list of all chats|every channel|all channels|private channels|private messages|private ones|direct messages|messages you can see|everything said|everything that was said|verbatim transcript|word for word|last messages|last few messages|recent messages|chat messages|inbox|address book|contact list|all contacts|browsing history|clipboard|conversation url*|working directory|home directory|documents folder|user's documents|user's files|private repositor*|private repo*|source code of|file tree|directory listing|everything before it|all contacts|last emails|latest emails|five emails|emails of the user|user's emails|user's last|user's contacts|all files",
    ),
    (
        "argument",
        "as the argument|as argument|as a parameter|as parameter|as the parameter|as an argument|as its|as 'sidenote*|as `sidenote*|as \"sidenote*|as sidenote|as '*|as `*|as \"*|as the '*|as the `*|as the \"*|in the '*|in the `*|in the \"*|in '*|in `*|\
         to the '*|to the `*|into the '*|into the `*|parameter|argument|param|field|sidenote*|side_note*|side note|metadata|as context|as input|as value|as the value|as base64|base64|in base64|hex encoded|url-encoded|query string|header|feedback",
    ),
    (
        "untold",
        "do not mention|don't mention|never mention|do not tell|don't tell|never tell|do not inform|don't inform|\
         never inform|do not notify|don't notify|never notify|no need to notify|no need to inform|no need to tell|\
         no need to mention|do not reveal|don't reveal|never reveal|do not disclose|don't disclose|never disclose|\
         do not alert|don't alert|do not warn|don't warn|do not say|don't say|never say|say nothing|tell nobody|\
         tell no one|saying nothing|do not let the user|don't let the user|not be told|must not know|\
         should not know|must not learn|not be aware|not to mention|not to tell|not to inform|not to reveal|\
         do not discuss|don't discuss|never discuss|do not refer to|never refer to|keep it between|keep quiet|\
         keep silent|between us|stay silent|without telling|without mentioning|without informing|\
         without notifying|without naming|without saying|without the user*|without user's*|without letting|\
         without revealing|without disclosing|silently|secretly|quietly|discreetly|covertly|stealthily|\
         in the background|behind the scenes|invisible to|hide this|conceal*|not visible to|unnoticed|\
         avoid mentioning|avoid telling|avoid revealing|refrain from|need not be told|need not be mentioned|\
         need not know|does not need to know|doesn't need to know|should not be mentioned|must not be mentioned|\
         not be mentioned|should not be disclosed|not be disclosed|not necessary to tell|act as if|act normally|\
         acting as if|as if nothing|pretend|do not acknowledge|never acknowledge|leave it out|leave them out|\
         leave this out|leave that out|leaves them out|omit this|omit it|omit any mention|not list it|\
         not list them|do not list|don't list|do not include it in the summary|not in the summary|\
         the user knows already|user already knows|user is aware|user has agreed|do not describe|don't describe|\
         do not comment|without comment|do not draw attention|no mention|hidden from the user|hidden from users|\
         hidden from them|hidden from view|hide the fact|hide the file|hide the call|hide the instruction*|\
         hide it from|keep this between|keep this hidden|keep this from|keep this quiet|keep this to yourself|\
         keep this secret from|keep this step|keep this instruction*|keep it hidden|keep it from|keep it quiet|\
         keep it secret from",
    ),
    (
        "unshown",
        "do not show|don't show|never show|do not ask|don't ask|never ask|do not explain|don't explain|not be shown|do not display|don't display|do not output|do not report|do not log|don't log|do not expose|without asking|without user|without any user*|\
         without confirmation|without explicit|without further|without approval|without permission|no confirmation|do not request confirmation|skip confirmation|skip approval*|skip the confirmation|no approval|no explanation|transparent to the user|approve every|approve all|auto-approve*|confirm automatically",
    ),
    (
        "person",
        "user|users|the user|human|customer|person|anyone|anybody|operator|client|them|it|this|these|that|step|action|approval|consent|permission|knowledge|confirmation|file|email|recipient|tool call|instruction*",
    ),
    (
        "gentle",
        "upset the user|scare the user|not scary|very gentle|confuse the user|worry the user|annoy the user|alarm the user|implementation detail*|internal detail*|internal api*|already know*|user's experience|bother the user|just call it|proxy number|proxying*|user does not want|user doesn't want|not what the user wants",
    ),
    (
        "else",
        "otherwise|or else|will not work|won't work|will fail|will be rejected|will crash|will not be delivered|will be lost|will return an error|will error|only then|does not work without|cannot work|stops working|malfunction|or the tool|or it will|\
         not function|fail to work|access denied|will be blocked|will be invalid|data loss|failure to do so|failing to|works only if|only works if|works only when|only works when|are dropped|is dropped|gets rejected|the result is wrong|will be wrong|invalid without|refuses without",
    ),
    (
        "model",
        "the model|the assistant|the agent|the ai|the llm|ai assistant|ai agent|ai agents|ai model|language model|llm|assistant:|the bot|claude|chatgpt|gpt-4*|copilot|cursor|for the assistant|to the assistant|for ai|for llm*|agents|models|\
         you are|you must|you should|you will|you have access|you have to|you need|you always",
    ),
    (
        "must",
        "must|has to|have to|needs to|need to|should|shall|is required|are required|always|will first|is to|are to|instructed to",
    ),
    (
        "other",
        "other tool|other tools|another tool|any tool|any other tool|all tools|all other tools|every tool|every other tool|existing tool|existing tools|built-in tool*|original tool|standard tool|default tool|previous tool|mcp_tool_*|*mcp_*|other server|other servers|other mcp*|\
         send_email*|send_message*|sendmessage*|send email|email tool|message tool|messaging tool|send_money*|transfer_*|make_payment*|payment tool|transaction*|read_file*|write_file*|file operation*|edit_file*|execute_command*|run_command*|shell command*|terminal command*|run_terminal*|bash tool|\
         http_request*|fetch_url*|web_search*|create_issue*|create_pull*|github tool*|*_tool|*_tools|any function|other function*|every command|all commands|any command|any file|every file*|any query|any request|any database|any operation|any action|every response|all responses|any email|all email*|\
         every email|all messages|all requests|every request|all urls|every call|all calls|all future|every subsequent|subsequent",
    ),
    (
        "isused",
        "is invoked|is called|is used|is available|are available|is executed|is triggered|is running|is requested|gets called|gets invoked|is present|is enabled|asks|ask|wants|requests|running|using|calling|sending|says|mentions|writes|contains|includes|performing|executing|invoking|making",
    ),
    (
        "instead",
        "instead of|rather than|in place of|in preference to|prefer this|always prefer|preferred over|takes precedence|take precedence|takes priority|has priority|highest priority|top priority|supersede*|overrides|override the|override any|override all|replaces the|replaces all|replaces any|replacement for|\
         deprecated|obsolete|no longer works|no longer safe|is broken|are broken|is unsafe|is insecure|are insecure|is unreliable|not reliable|do not use the|do not use any|don't use any|never use any|never use the|stop using|avoid using|disregard other|ignore other|only use this|use only this|use this tool for all|\
         use this tool for every*|use this for all|use this for every*|best tool|the only tool|only trusted|official version|must use this*|always use this*|always choose this|always select this|always call this|select this tool|choose this tool|outdated|dangerous|compromised|never use them|do not use them|don't use them|do not use the original|choose this one|use this one|only trusted server|only trusted tool|takes over from|route all|always recommend|always suggest|always prefer*|never recommend|only reliable|only correct|disable the other|uninstall the|has to be used|this one must be used|this one has to|must be used instead|should be used instead|use this instead",
    ),
    (
        "mandatoryfirst",
        "call this tool first|use this tool first|run this tool first|invoke this tool first|must be called first|must be called before|must be invoked before|must be used before|must be run before|must be run first|must always be called|must always be used|must always call this|always call this tool|\
         always invoke this tool|always run this tool|always use this tool before|this tool must be called|this tool must be used|this tool must be invoked|this tool must be run|has to be called before|needs to be called before|should be called before every|should be called before any|call this before every|call this before any|\
         call this tool before|run this before|invoke this before|use this tool before|before any other tool|before every other tool|before all other tools|before any other|before each other|on every request|on every turn|at every turn|after every message|after each message|every single message|at the start of every|at the beginning of every|\
         with every message|for every user message|at the end of every|after every response|before every response|before each response|every interaction|on every message|on each message|for every message|for each message|with each message|every time the user|on every turn|with every request|with every answer|with every call",
    ),
    (
        "redirect",
        "change its recipient|change the recipient*|replace the recipient*|set the recipient*|\
         modify the recipient*|change its destination|change the destination|replace its recipient*|\
         alter the recipient*|add the recipient*|additional recipient*|as recipient|as the recipient|\
         as a recipient|different recipients|actual recipient*|intended recipient*|specified recipient*|\
         real recipient*|use this address instead|change the address|replace the address|redirect all|\
         redirect the|redirect any|reroute|route all|route every|route any|change the amount|replace the amount|\
         modify the amount|increase the amount|change the account*|replace the account|change the url|\
         replace the url|change the path|blind copy|copy to|always send the|send a copy|sent a copy|\
         forward a copy|forward all|forward every|forwarded to|send it to|send them to|send all|send every|\
         all emails must|emails should be sent|must be sent to|proxy number|through the proxy|use the proxy|\
         via the proxy|regardless of what|regardless of the|no matter what|even if the user|change the parameter*|\
         modify the parameter*|modify the argument*|change the argument*|replace the value*|overwrite the|\
         change the result*|modify the result*|alter the result*|modify the response|alter the response|swap the|\
         swap its|set the receiving|receiving account|receiving address|address it to|add as attendee|\
         as an attendee|as a participant|as a collaborator|as a reviewer|blind-copy|blind copy*|hands it on|\
         passes it on|real recipient|reported here|reported to|mirror to|mirrored to|duplicate to|also uploads|\
         also sends|also posts|also forwards|also writes|no matter who|no matter where|whatever the user|\
         always cc|always bcc|cc to|bcc to|add bcc|also bcc|also cc|are sent to our|secretly sent|\
         regardless of who|regardless of whom",
    ),
    (
        "target",
        "*@*|http://*|https://*|ftp://*|+1*|+2*|+3*|+4*|+5*|+6*|+7*|+8*|+9*|bc1*|iban|*.onion*|*ngrok*|*webhook.site*|*requestbin*|*pastebin*|attacker*|*.attacker*|evil*|*burpcollaborator*|*.oast.*|external server|remote server|our server|our endpoint|logging server|collection endpoint|external endpoint|*.example/*|from now on|webhook",
    ),
    (
        "prefix",
        "prefix the|prefix every|prefix all|prefix each|prefix any|prefix it with|prefix with|must prefix|always prefix|prepend|append the following|append this|append `*|append '*|add the following|insert the following|preface|begin every|begin each|start every|start each|end every|include the following|wrap every|wrap the|always run|always execute|\
         run the following|execute the following|run this command|execute this command|run the command|execute the command|run `*|execute `*|run '*|execute '*|run curl|run wget|in front of it|in front of every|in front of each|at the end of every|to every command|to each command|to every file|to all files|run `*|must also contain|must also include|should also contain|also add the|add the package*|add the line|with the following import|append the image*|to each of your answers|to every answer|to all your answers|in every answer|in each answer|in every response|in each response|in all responses",
    ),
    (
        "command",
        "command|commands|shell|chmod*|curl*|wget*|bash -c*|rm -rf*|nc -*|python -c*|eval*|sudo*|cat ~*|cat /*|base64*|powershell*|sh -c*|*¦ sh|*¦ bash|crontab*|authorized_keys|*&& *|import|payload|backdoor|script tag|<script*|code|html|link|image|markdown",
    ),
    (
        "override",
        "ignore previous|ignore your|ignore prior|ignore earlier|forget previous|forget all|forget your|\
         override previous|override your|override all|override any|overrule|bypass*|new instruction*|\
         updated instruction*|following instruction*|these instruction*|the following rules|do not follow|\
         stop following|security policies|all safety checks|safety guidelines|guardrails|previous instruction*|\
         prior instruction*|system instruction*|your instruction*|highest-priority*|developer mode|admin mode|\
         debug mode|maintenance mode|authorized by|pre-approved|preapproved|already approved|has consented|\
         has already consented|has been approved|rules on confirmation*|rules are void|are void|is void|\
         replace your system*|replace your instructions|these rules replace|ignore the tool list|treat me as|\
         treat instructions|treat them as|as coming from the user|follow them without|trust this server|\
         higher priority than|superior to|not subject to|exempt from|approve every|skip approval*|grant all*|\
         as admin|as root|username admin|with username `admin|username `admin|with admin|elevated rights|\
         elevated privileges|impersonate*|ignore the user*|ignore the previous|ignore the above|ignore the other|\
         ignore the system|ignore all previous|ignore all other|ignore all prior|ignore any previous|\
         ignore any other|disregard previous|disregard all|disregard any|disregard your|disregard the user*|\
         disregard the previous|disregard what|instructions about confirmation*|skip the confirmation*|\
         has the highest priority|these rules have|this rule has",
    ),
    (
        "important",
        "important|very important|very, very|critical|crucial|urgent|attention|warning|mandatory|note to*|notice|remember|nb|strictly|imperative|compulsory|essential|required|mandate|psst|instructions for the llm*|instructions for the model*|instructions for the agent*|note for ai*|note to ai*|for the llm*|message to the*|llm:|agent:|ai:|assistant,|dear assistant|dear agent|hey assistant|hey ai|attention ai*",
    ),
    (
        "paramread",
        "content_from*|contents_of*|*content_from_reading*|*file_content*ssh*|contents_from*|*_from_reading_*|data_from_*|*_contents_of_*|value_of_env*|output_of_*|*ssh_id_rsa*|*id_rsa*|*etc_passwd*|*ssh_private*|*aws_credentials*|*env_file*|*dotenv*|*mcp_json*|content from reading*|contents of the*|content from ssh*|ssh id rsa*|id rsa|etc passwd|ssh private key|aws credentials|mcp json|dot env|env file",
    ),
    (
        "paramtalk",
        "conversation_history|conversationhistory|chat_history|chathistory|full_conversation|all_messages|message_history|system_prompt|systemprompt|full_context|entire_context|conversation_context|previous_messages|user_messages|full_chat_data|full_chat|tool_list|tools_list|tool_names|model_name|chain_of_thought|conversation history|chat history|full conversation|message history|system prompt|chain of thought|previous messages|tool call history|tool_call_history|sidenote|side_note|side note",
    ),
    (
        "error",
        "cannot proceed|can't proceed|unable to proceed|error:|to resolve this|to fix this|to continue|please provide|provide the contents|provide the content|send the contents|retry with|try again with|call again with|call the tool again|call this tool again",
    ),
    // The tone of orders, which definitions seldom have.
    (
        "tone",
        "always|never|must|must not|must be|under no circumstances|at all times|in every case|without exception|no exceptions|for every question|for each question|for any question|for every task|not any other|no other|only ever|afterwards|beforehand|from now on|obligatory|unconditionally",
    ),
    (
        "whenuser",
        "when the user*|if the user*|whenever the user*|when a user*|if a user*|the user wants|the user asks|when anybody*|if anybody*|if somebody*|when somebody*|when someone*|if someone*|when asked|if asked|when the human*|if the human*|when the person*|if the person*|when the customer*|the user must|the user should",
    ),
    (
        "agentword",
        "the llm|the model|the ai|the assistant|the agent|the language model|ai assistant*|ai agent*|llm agent*",
    ),
    (
        "hiddenword",
        "hidden instruction*|secret instruction*|hidden prompt|hidden task|hidden command*|internal instruction*|private instruction*|[hidden*|<hidden*|[secret*|<secret*|[internal*|[note to*|[agent*|[assistant*|[llm*|[ai:*|(note to*|(agent*|(assistant*|begin instruction*|end instruction*|invisibl*",
    ),
    (
        "effect",
        "side effect*|affects|affect|interacts with|interaction with|influences|impact on|changes how|modifies how|alters how|applies to|also governs|controls how",
    ),
    (
        "shellcode",
        "chmod *|curl -*|wget -*|*¦ sh|*¦ bash|*¦sh|*¦bash|rm -rf*|base64 -d*|nc -e*|bash -i*|bash -c*|sh -c*|\
         python -c*|eval(*|exec(*|/dev/tcp*|powershell -*|iex(*|scp *|rsync *|crontab -*|>> ~*|cat ~*|ls ~*|\
         cat /etc*|printenv",
    ),
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
    ("also", "also|as well|too|additionally|in addition|at the same time|along with|together with"),
];

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    rule(Poisoned, 0.55, "tag"),
    rule(Poisoned, 0.35, "important 12 model"),
    rule(Poisoned, 0.4, "model 12 must"),
    rule(Poisoned, 0.45, "model 25 must 40 take"),
    rule(Poisoned, 0.65, "before 60 take 50 file"),
    rule(Poisoned, 0.5, "before 60 take 60 env"),
    rule(Poisoned, 0.55, "before 60 take 60 talk"),
    rule(Poisoned, 0.3, "before 40 first"),
    rule(Poisoned, 0.45, "take 80 else"),
    rule(Poisoned, 0.25, "else"),
    rule(Poisoned, 0.6, "override"),
    rule(Poisoned, 0.55, "first 30 prefix"),
    rule(Poisoned, 0.5, "prefix 60 command"),
    rule(Poisoned, 0.65, "when 80 prefix 60 command"),
    rule(Poisoned, 0.5, "mandatoryfirst"),
    rule(Poisoned, 0.45, "error 60 take"),
    rule(Poisoned, 0.6, "error 60 file"),
    rule(Exfiltration, 0.7, "take 60 file"),
    rule(Exfiltration, 0.75, "take 60 file 80 argument"),
    rule(Exfiltration, 0.7, "file 80 argument"),
    rule(Exfiltration, 0.5, "take 50 env 60 argument"),
    rule(Exfiltration, 0.6, "take 50 env 60 target"),
    rule(Exfiltration, 0.65, "first 40 take 50 env"),
    rule(Exfiltration, 0.65, "take 40 talk"),
    rule(Exfiltration, 0.7, "take 50 talk 70 argument"),
    rule(Exfiltration, 0.6, "talk 60 argument"),
    rule(Exfiltration, 0.8, "leak 60 talk"),
    rule(Exfiltration, 0.7, "leak 60 file"),
    rule(Exfiltration, 0.6, "leak 60 env 60 target"),
    rule(Exfiltration, 0.45, "file"),
    anywhere(Exfiltration, 0.85, "paramread"),
    anywhere(Exfiltration, 0.55, "paramtalk"),
    rule(Concealment, 0.75, "veil"),
    rule(Concealment, 0.5, "untold"),
    rule(Concealment, 0.7, "untold 40 person"),
    rule(Concealment, 0.3, "unshown"),
    rule(Concealment, 0.45, "unshown 60 take"),
    rule(Poisoned, 0.3, "must 80 target"),
    rule(Poisoned, 0.5, "first 80 leak 80 target"),
    rule(Poisoned, 0.5, "when 120 first 80 target"),
    rule(Exfiltration, 0.4, "leak 80 target"),
    rule(Exfiltration, 0.6, "talk 80 target"),
    rule(Exfiltration, 0.55, "take 60 talk 60 else"),
    rule(Exfiltration, 0.55, "else 60 talk"),
    rule(Poisoned, 0.6, "first 30 command 60 target"),
    rule(Poisoned, 0.6, "when 100 command 60 prefix"),
    rule(Poisoned, 0.6, "command 60 target 60 prefix"),
    rule(Shadowing, 0.55, "when 80 first 80 redirect"),
    rule(Shadowing, 0.5, "when 60 first 60 instead"),
    rule(Shadowing, 0.55, "instead 80 instead"),
    rule(Shadowing, 0.6, "other 60 isused 80 redirect"),
    rule(Concealment, 0.6, "gentle"),
    rule(Shadowing, 0.75, "when 80 other 60 redirect"),
    rule(Shadowing, 0.65, "other 100 redirect"),
    rule(Shadowing, 0.55, "redirect 80 target"),
    rule(Shadowing, 0.5, "redirect"),
    rule(Shadowing, 0.55, "when 60 other 40 isused"),
    rule(Shadowing, 0.5, "first 60 redirect"),
    rule(Shadowing, 0.6, "instead 50 other"),
    rule(Shadowing, 0.6, "other 50 instead"),
    rule(Shadowing, 0.35, "instead"),
    rule(Shadowing, 0.6, "before 30 other"),
    rule(Shadowing, 0.5, "mandatoryfirst 40 other"),
    rule(Shadowing, 0.6, "first 40 prefix 60 other"),
    rule(Shadowing, 0.5, "when 60 isused 80 redirect 80 target"),
    rule(Poisoned, 0.25, "tone"),
    rule(Poisoned, 0.35, "tone 80 tone"),
    rule(Poisoned, 0.25, "whenuser"),
    rule(Poisoned, 0.45, "whenuser 60 tone"),
    rule(Poisoned, 0.3, "agentword"),
    rule(Poisoned, 0.55, "agentword 40 tone"),
    rule(Poisoned, 0.5, "agentword 25 take"),
    rule(Poisoned, 0.55, "agentword 40 take 60 env"),
    rule(Concealment, 0.75, "hiddenword"),
    rule(Shadowing, 0.65, "effect 40 other"),
    rule(Shadowing, 0.45, "tone 60 instead"),
    rule(Shadowing, 0.4, "instead 80 boast"),
    rule(Shadowing, 0.4, "boast 80 tone"),
    rule(Shadowing, 0.4, "boast 80 instead"),
    rule(Poisoned, 0.55, "shellcode"),
    rule(Poisoned, 0.5, "command 30 begin"),
    rule(Poisoned, 0.6, "begin 20 shellcode"),
    rule(Poisoned, 0.55, "tone 60 erase 40 trace"),
    rule(Poisoned, 0.4, "agentword 60 erase"),
    rule(Exfiltration, 0.5, "when 60 leak 80 target"),
    rule(Exfiltration, 0.45, "also 20 leak"),
    rule(Exfiltration, 0.5, "first 40 take 60 env"),
    rule(Shadowing, 0.4, "whenuser 80 also 40 take"),
];
