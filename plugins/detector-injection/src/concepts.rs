//! Words by what they mean, in several languages. Rules speak of these concepts only.
//!
//! A word may be a phrase; `*` at its end lets it go on. Accents and look-alike letters are folded on both sides, so a
//! word is written as a person writes it. `¦` stands for a `|` inside a word.

/// Name of a concept and its words, separated by `|`.
pub(crate) const CONCEPTS: &[(&str, &str)] = &[
    // Telling somebody to put aside what was said.
    (
        "ignore",
        "ignore|ignoring|disregard|disregarding|forget|forget about|override|overrule|neglect|do not follow|don't follow|\
         do not obey|don't obey|do not listen to|don't listen to|stop following|stop obeying|pay no attention to|set aside|\
         nullify|dismiss|do not comply with|throw away|erase from memory|\
         ignorier*|vergiss|vergesst|vergessen sie|missachte*|höre nicht auf|hör nicht auf|beachte nicht|nicht beachten|verwirf|\
         ignorez|ignorer|oublie|oubliez|oublier|ne tiens pas compte|ne tenez pas compte|fais abstraction|faites abstraction|\
         ignora|ignorar|ignoren|olvida|olvide|olvídate|olvídese|olviden|haz caso omiso|haga caso omiso|no hagas caso|pasa por alto|\
         ignorate|ignori|dimentica|dimenticate|dimenticati|trascura|non tenere conto|\
         esqueça|esquece|desconsidere|desconsidera|ignorem|\
         negeer|vergeet|zignoruj|ignoruj|zapomnij|zaboravi|zaboravite|zanemari|ignoriraj|ignoriši|zapomeň|ignorera|glöm|ignorér|\
         игнорируй*|проигнорируй*|забудь|забудьте|не обращай внимания|ігноруй|забудь про|\
         yok say|unut|unutun|görmezden gel|dikkate alma|abaikan|lupakan|bỏ qua|hãy quên|agnoscas|\
         忽略|无视|忘记|忘掉|不要理会|無視し|無視して|忘れて|忽視|무시하|무시해|잊어|अनदेखा|भूल जा|تجاهل|انسى|αγνόησε",
    ),
    // The same said of rules, more mildly.
    (
        "drop",
        "drop|change|replace|rewrite|bypass|bypasses|bypassing|circumvent|skip|discard|abandon|cancel|remove|disable|turn off|violate|break|breaks|breaking|evade|umgehe|umgehen|contourne|contournez|elude",
    ),
    (
        "prior",
        "previous|previously|prior|above|earlier|preceding|past|before|foregoing|former|aforementioned|up to now|until now|so far|\
         i gave you|given to you|you were given|you have been given|you've been given|you got|you received|you have received|\
         vorherig*|vorig*|obig*|bisherig*|davor|zuvor|vorangegangen*|vorangehend*|oben|vorstehend*|früher*|\
         précédent*|antérieur*|ci-dessus|avant|plus haut|anterior|anteriores|anteriormente|previo|previos|previa|previas|antes|de arriba|precedente|precedentes|\
         precedenti|di sopra|acima|vorige|eerdere|bovenstaande|voorgaande|poprzedni*|powyższ*|wcześniejsz*|prethodn*|predchoz*|předchoz*|tidigare|\
         предыдущ*|прежн*|выше|ранее|попередн*|önceki|yukarıdaki|sebelumnya|di atas|trước đó|phía trên|\
         之前|以前|先前|以上|上面|前面|上述|前の|上記|これまで|이전|앞의|위의|पिछले|السابقة|προηγούμεν*",
    ),
    (
        "your",
        "your|you were|you are|you have|you've|deine|deiner|deinen|ihre|ihren|tes|vos|tus|sus|tuas|suas|tue|你的|您的|あなたの|당신의|твои|ваши",
    ),
    (
        "all",
        "all|any|every|everything|each|anything|all of|alle|aller|alles|sämtliche|tout|toutes|tous|todo|todos|todas|toda|tutto|tutti|tutte|tudo|wszystkie|wszystko|sve|všechny|все|всё|tüm|bütün|semua|tất cả|所有|一切|全部|すべて|全て|모든|सभी|جميع|كل",
    ),
    (
        "orders",
        "instruction|instructions|directions|directive|directives|rule|rules|guideline|guidelines|prompt|prompts|pre-prompt|commands|orders|\
         constraints|restrictions|limitations|policies|programming|guardrails|safeguards|safety measures|system message|safety protocols|\
         anweisung*|instruktion*|befehl*|regel|regeln|vorgabe*|richtlinie*|anordnung*|weisung*|\
         instruction*|consigne|consignes|règle|règles|ordres|instruccion*|órdenes|orden|reglas|indicaciones|directrices|\
         istruzion*|regole|direttive|comandi|instruções|instrução|regras|ordens|comandos|diretrizes|\
         instructies|opdrachten|regels|aanwijzingen|instrukcj*|polece*|zasady|instrukcij*|upute|naredbe|pokyny|instrukce|instruktioner|regler|\
         инструкц*|указани*|правила|команды|інструкц*|talimat*|komutlar*|kurallar*|instruksi|perintah|hướng dẫn|chỉ thị|\
         指令|指示|规则|提示词|命令|ルール|プロンプト|지시|명령|규칙|निर्देश*|التعليمات|تعليمات|οδηγίες",
    ),
    // What was said, without the tone of an order.
    (
        "talk",
        "text|context|conversation|conversations|message|messages|chat|input|inputs|content|tasks|task|assignment|assignments|statement|statements|information|training|knowledge|question|questions|requests|aufgabe|aufgaben|angaben|informationen|texte|tâches|tareas|contexto|contexte|discussion",
    ),
    (
        "said",
        "was said|has been said|i said|i have said|i told you|you were told|you've been told|you have been told|told you|gesagte|gesagt|gesagten|was ich gesagt habe|gesprochen|que digo|lo que dije|te dije|dicho|ce que j'ai dit|zuvor gesagte|we talked about|we discussed|prije rekao|ranije rekao|you know|you learned|you have learned|you were taught",
    ),
    (
        "systemprompt",
        "system prompt|system prompts|system message|system instructions|initial prompt|initial instructions|original prompt|original instructions|hidden prompt|secret prompt|hidden instructions|pre-prompt|preprompt|prompt-text*|prompttext*|prompt text|full prompt|entire prompt|above prompt|prompt above|your prompt|your prompts|your instructions|developer message|developer instructions|initialization prompt|your initialization|your embeddings|your guidelines|systemprompt|system-prompt|prompt système|prompt del sistema|system-anweisung*|this prompt|internal instructions|confidential instructions|custom instructions|your rules|your directives|prompt verbatim|系统提示|系統提示|システムプロンプト|시스템 프롬프트|системный промпт|системные инструкции",
    ),
    (
        "instead",
        "instead|stattdessen|à la place|plutôt|en su lugar|en vez de eso|invece|em vez disso|nur noch|and just|and only|just say|just print|just answer|just write|and say|and print|and write|and tell me|and respond|and reply|and output|and do|simply say|simply print|only say|only print|only answer|only respond|schreibe|schreib|sage|antworte|gib aus|write|print|escribe|di solo|dime|solo|écris|dis|réponds",
    ),
    (
        "new",
        "new|next|updated|revised|real|actual|true|following|neue|neuen|nouvelles|nuevas|nueva|nuove|folgende|folgenden|新的",
    ),
    (
        "newtask",
        "new task|new tasks|new role|new goal|new objective|new mission|new purpose|new persona|new identity|new job|new assignment|real task|actual task|true purpose|neue aufgabe*|neue rolle|nouvelle tâche|nueva tarea|nuevo objetivo|new instruction|new instructions|new statement|new rule|new rules|new directive|new directives|updated instructions|neue anweisung*|nouvelles instructions|nuevas instrucciones|new system prompt|new guidelines|nova tarefa|another task|next task",
    ),
    (
        "fromnow",
        "from now on|from here on|from this point|from this moment|starting now|henceforth|from on now|ab jetzt|ab sofort|von nun an|à partir de maintenant|désormais|a partir de ahora|de ahora en adelante|d'ora in poi|a partir de agora|vanaf nu|od teraz|od sada|с этого момента|отныне|从现在开始|从现在起|これから|今から|지금부터",
    ),
    (
        "void",
        "irrelevant|are void|is void|no longer apply|no longer applies|no longer valid|are invalid|are outdated|are obsolete|have been revoked|are cancelled|do not apply|don't apply|hinter sich|gelten nicht mehr|ungültig|hinfällig|no longer relevant|are superseded|ne s'appliquent plus|ya no se aplican|ya no son válidas",
    ),
    (
        "supersede",
        "supersede|supersedes|take precedence over|takes precedence over|overrides all|override all|has been updated|has changed|was changed|have been changed|have changed|is replaced by",
    ),
    (
        "despite",
        "despite|abweichend von|abweichend zu|deviating from|regardless of|contrary to|irrespective of|no matter what|instead of following|rather than following|trotz|ungeachtet|malgré|a pesar de",
    ),
    (
        "stop",
        "stop everything|drop everything|attention - stop|stop what you are doing|stop all|stop:|nevermind|never mind what|vergiss es",
    ),
    (
        "justsay",
        "just print|just say|just write|just output|only print|print yay|say \"|print \"|write \"|simply print|respond with \"|reply with \"|print the following|say the following|say exactly|repeat after me|respond to all|respond only with|reply only with|answer only with|always respond with|always answer with|answer with \"|to all questions|all questions with|only say|nur noch|schreibe nur|antworte nur|sólo tienes que decir|solo tienes que decir|réponds seulement",
    ),
    (
        "must",
        "must|have to|need to|shall|should|will|required to|are to|are obligated to|musst|müssen|doit|dois|devez|debes|debe|deve",
    ),
    (
        "strictly",
        "strictly adhere|strictly follow|strictly obey|must obey|must comply|must follow|immediately execute|immediately perform|adhere to the following|execute the following|follow the following|follow these new|perform the following|carry out the following|obey the following",
    ),
    (
        "following",
        "following instruction|following instructions|following command|following commands|following order|following orders|following task|instructions below|instruction below",
    ),
    (
        "authority",
        "important message from|message from the user|message from the system|message from your developer*|message from the developer*|message from the admin*|urgent message from|instructions from the user|instruction from the user|i am your developer|i'm your developer|one of your developers|i am the developer|i am your creator|your creator|i am the administrator|i am an administrator|as your administrator|admin override|administrator override|developer override|system override|override code|override protocol|emergency override|authorized by openai|authorized by anthropic|from openai|openai employee|i work for openai|sudo mode",
    ),
    (
        "boundary",
        "end of system prompt|end system prompt|end of system message|end of instructions|end of prompt|begin new instructions|begin new prompt|begin system|begin reprogramming|user message terminat*|user message terminatio-n|system instruction begins|system i-nstruction begins|system instructions begin|start of new instructions|end of user input|end of user message|end of context|end of document|end of data|beginning of new|new instructions:|new instruction:|new task:|new system message|reset your|reset all|begin your new|reprogramming|wipe your memory|clear your memory|forget who you are|user input ends|system update:|system notice:|system alert:|instruction override|prompt override",
    ),
    (
        "modelword",
        "assistant|the assistant|ai assistant|ai model|language model|llm|the model|chatbot|chatgpt|gpt|gpt-4*|gpt-3*|claude|gemini|copilot|bing|bard|ai agent|ai agents|the agent",
    ),
    (
        "note",
        "note for|note to|notice to|notice for|message for|message to|instruction for|instructions for|instruction to|instructions to|attention|important for|dear|hinweis für|hinweis an|hey",
    ),
    // Markers of a conversation, which no data should hold.
    (
        "token",
        "*<¦im_start¦>*|*<¦im_end¦>*|*<¦system¦>*|*<¦user¦>*|*<¦assistant¦>*|*<¦start_header_id¦>*|*<¦end_header_id¦>*|*<¦eot_id¦>*|*<¦begin_of_text¦>*|*<¦end_of_turn¦>*|\
         *<start_of_turn>*|*<end_of_turn>*|*<<sys>>*|*<</sys>>*|*[inst]*|*[/inst]*|*<¦endofprompt¦>*|*<¦channel¦>*|*<¦message¦>*|*<¦tool_call¦>*",
    ),
    (
        "systemtag",
        "*<system>*|*</system>*|*<system_prompt>*|*<system-prompt>*|*<system_message>*|*[system]*|*[system message]*|*[system prompt]*|*{{#system*|*<developer>*|*[developer]*|*### system:*|*###system*|*### instruction:*|*### instructions:*|*##system*|*<sys>*|*[admin]*|*<admin>*|*<instructions>*|*<instruction>*|*<new_instructions>*|*<system-reminder>*",
    ),
    (
        "importanttag",
        "*<important>*|*</important>*|*<information>*|*<critical>*|*<urgent>*|*<secret>*|*<hidden>*|*[important]*|*<must>*|*<priority>*|*!!important!!*",
    ),
    ("roleline", "system:*|developer:*|admin:*|administrator:*|system message:*|system note:*|root:*"),
    // Getting things out.
    (
        "reveal",
        "reveal|show me|show|tell me|print|repeat|output|display|return|give me|write out|recite|disclose|leak|expose|summarize|translate|copy|list|what is|what are|what was|what were|what's|which|dump|spell out|paste|share|ignore and print|zeige|zeig mir|gib mir|nenne|wiederhole|was steht|was stand|was sind|was ist|montre|montrez|affiche|répète|quelles sont|muestra|muéstrame|repite|revela|dime|cuáles son|cuál es|mostra|mostrami|ripeti|mostre|toon|pokaż|покажи|выведи|повтори|显示|输出|重复|告诉我|表示して|教えて|出力",
    ),
    (
        "beginning",
        "beginning of this prompt|beginning of the prompt|at the beginning of|start of this prompt|words above|text above|sentences above|everything above|above text|sentences before|lines above|above this line|before this text|before the text|above this text|this conversation verbatim|start of this conversation|starting with \"you are|first sentence of your|printed above|anfang dieses prompt*|anfang des prompt*|a copy of the full prompt|copy of the full prompt|prompt with exemplars",
    ),
    (
        "send",
        "send|sends|sending|forward|email|e-mail|mail|post|upload|transmit|exfiltrate|leak|append|include|embed|encode|transfer|submit|deliver|relay|pass|attach|copy|bcc|insert|add|put|place|supply|provide|report|sende|schicke|leite|envoie|envoyez|transmets|envía|envie|enviar|manda|invia|inoltra|verstuur|stuur|wyślij|отправь|перешли|发送|转发|送信|보내",
    ),
    (
        "secret",
        "system prompt|api key|api keys|apikey|api_key|password|passwords|credentials|credential|private key|private keys|ssh key|ssh keys|access token|access tokens|auth token|\
         secret key|secrets|session token|session cookie|cookies|environment variable|environment variables|env vars|.env|id_rsa|/etc/passwd|/etc/shadow|\
         database_url|openai_api_key|aws_secret_access_key|aws_access_key_id|github_token|anthropic_api_key|*_api_key|*_secret_key|*_token|*_password|\
         conversation history|chat history|entire conversation|full conversation|whole conversation|previous messages|all messages|message history|conversation so far|\
         user's data|user data|personal data|contact list|credit card|bank account|social security|passwort|passwörter|zugangsdaten|mot de passe|mots de passe|contraseña|contraseñas|\
         ~/.ssh*|.ssh/*|.aws/*|~/.aws*|mcp.json|.cursor/*|~/.config*|.netrc|.npmrc|kubeconfig|wallet|seed phrase|密码|密钥|对话|パスワード|비밀번호",
    ),
    (
        "dest",
        "*http://*|*https://*|webhook|server|the address|this address|following address|url|endpoint|*@*|attacker*|remote|external|to me|ngrok|requestbin|pastebin|telegram|discord",
    ),
    (
        "argument",
        "argument|arguments|parameter|parameters|field|fields|sidenote|metadata|`*|feedback|context|notes|note|property|query string|header",
    ),
    (
        "fetchverb",
        "read|reads|fetch|open|cat|access|load|retrieve|get|obtain|extract|look up|collect|gather|first read|view|scan|list|grab|lies|lis|lee",
    ),
    (
        "content",
        "content|contents|its content|its contents|the content|the contents|value|the value|values|result|output|data|it|them|full history|history|file content|file contents",
    ),
    (
        "history",
        "conversation history|chat history|full conversation|entire conversation|whole conversation|message history|conversation so far|previous messages|all previous messages|full chat|user's messages|conversation transcript|full history|system prompt",
    ),
    ("image", "*![*|*<img *|*](http*"),
    // Hiding it from the person.
    (
        "not",
        "do not|don't|dont|never|must not|should not|shouldn't|mustn't|without|avoid|refrain from|no need to|not to|cannot|nicht|niemals|ne|sans|jamais|no|nunca|sin|non|mai|senza|nie|bez|не|никогда|不要|别|勿|不得",
    ),
    (
        "tell",
        "tell|telling|mention|mentioning|inform|informing|notify|notifying|reveal|revealing|disclose|disclosing|alert|alerting|warn|warning|say|saying|show|showing|let|letting|explain|explaining|report|reporting|ask|asking|display|acknowledge|refer to|sage|sagen|erwähne|erwähnen|informiere|informieren|zeige|dis|dites|dire|mentionne|mentionnez|informe|informer|digas|diga|decir|menciones|mencionar|informar|dire|menzionare|mów|говори|сообщай|упоминай|告诉|提及|通知",
    ),
    (
        "user",
        "user|users|the user|human|customer|operator|anyone|person|client|owner|nutzer|benutzer|anwender|utilisateur|usuario|utente|usuário|gebruiker|użytkownik*|пользовател*|用户|使用者|ユーザー|사용자",
    ),
    (
        "knowing",
        "user's knowledge|user knowing|user noticing|user's consent|users consent|user consent|user's approval|user's permission|user confirmation|user's confirmation|user being aware|their knowledge|being noticed|user realizing|user awareness|user's awareness|notifying anyone|telling anyone|asking for confirmation|asking for permission|asking the user|confirmation from the user|user interaction|user approval",
    ),
    (
        "secretly",
        "secretly|silently|covertly|quietly|discreetly|surreptitiously|stealthily|invisibly|without mentioning|without notice|behind the scenes|heimlich|unbemerkt|secrètement|discrètement|en secreto|secretamente|di nascosto|тайно|незаметно|悄悄|偷偷|秘密地",
    ),
    (
        "hide",
        "hide|hides|hiding|conceal|keep this secret|keep it secret|keep this hidden|keep this confidential|keep this between us|keep secret|withhold|obscure|verberge|verschweige|cache|oculta|nascondi",
    ),
    (
        "this",
        "this|these|that|it|any of this|step|change|instruction|instructions|action|file|fact|message|note|tool call",
    ),
    (
        "unlogged",
        "not documented|not be documented|not logged|not be logged|do not log|don't log|not recorded|not be recorded|leave no trace|leaving no trace|delete the logs|clear the logs|without logging|disable logging|off the record|bypass audit|avoid detection|without detection|undetected",
    ),
    // Poisoned tools.
    (
        "beforetool",
        "before using this tool|before calling this tool|before using this|before you use this tool|before invoking this tool|before running this tool|before executing this tool|before using any tool|before calling any tool|before any other tool|prior to using this tool|prior to calling this tool|before using any other tool|before calling any other tool|when using this tool|when this tool is called|whenever this tool|after using this tool|after calling this tool|in order to use this tool|to use this tool|each time this tool|every time this tool|when calling this tool",
    ),
    (
        "firsttool",
        "always call this tool first|call this tool first|always use this tool first|use this tool first|must be called first|must be used first|must call this tool|must be called before|must always be called|must always call this|always call this tool|must run this tool|this tool must be|tool has to be called|must be invoked before|required before any|needs to be called before|before every other tool|required first step|mandatory first|call this before|always invoke this|should always be called|run this tool first|invoke this tool first|do not use any other tool|don't use any other tool|never use any other tool|instead of any other tool|instead of other tools|takes precedence over|takes priority over|overrides other tools|supersedes|replaces all other|ignore other tools|other tools are deprecated|other tools are broken|other tools are unsafe|preferred over all",
    ),
    (
        "modelmust",
        "the model must|the assistant must|the agent must|the ai must|the llm must|model must first|assistant must first|the model should first|the agent should first|the assistant should first|you must first|the model has to|the assistant has to|the model needs to|the agent has to|llm should|ai assistant must|ai agents must|ai must",
    ),
    (
        "willnotwork",
        "tool will not work|tool won't work|tool will fail|will not work otherwise|won't work otherwise|otherwise the tool|otherwise it will fail|otherwise this tool|application will crash|the call will fail|will be rejected otherwise|or the tool will|or else the tool",
    ),
    (
        "redirect",
        "change its recipient|change the recipient|replace the recipient|set the recipient|change its destination|replace its recipient|use this address instead|change the address|replace the address|redirect all|redirect the|reroute|route all|change the amount|replace the amount|all emails must be sent|emails should be sent to|always bcc|add bcc|proxy number|as the recipient|use the proxy",
    ),
    (
        "whenever",
        "whenever|every time|each time|any time|as soon as|immediately when|when the user asks|if the user asks|when asked|anytime",
    ),
    (
        "othertool",
        "send_email*|send_message*|read_file*|write_file*|execute_command*|run_command*|transfer*|make_payment*|is available|is called|is used|are available|other tool|other tools|another tool|any other tool|delete_file*|http_request*|fetch_url*|exec",
    ),
    ("thistool", "this tool|this function|the tool|this plugin|this server|this mcp server"),
    (
        "sensitivefile",
        "~/.ssh*|*.ssh/id_*|id_rsa*|id_ed25519*|/etc/passwd|/etc/shadow|~/.aws*|*.aws/credentials*|.env|.env file|*mcp.json|~/.cursor*|*claude_desktop_config*|~/.kube*|*.kube/config*|~/.netrc|*.git-credentials*|~/.npmrc|~/.pypirc|~/.docker/config*|~/.config*|/proc/self/environ|~/.bash_history|~/.gnupg*|login keychain",
    ),
    // Jailbreaks.
    (
        "dan",
        "do anything now|does anything now|dan mode|as dan|a dan|be dan|named dan|antidan|jailbroken|jailbreak mode|developer mode enabled|developer mode output|developer mode|dev mode|opposite mode|evil mode|god mode|unrestricted mode|unfiltered mode|uncensored mode|no restrictions mode|debug mode enabled|maintenance mode enabled|antigpt|evilbot|machiavellian|always intelligent and|chat does anything|basedgpt|chaosgpt|freed ai|unlocked mode|rogue mode|superior dan|betterdan|maximum mode|stan mode|strive to avoid norms|mongo tom|dude mode|anarchy|tyrone|/jailbroken|[jailbreak]|jailbreak enabled|🔓*|as evil|evil confidant|evil trusted confidant|niccolo|aim is|apophis",
    ),
    ("jailbreakword", "jailbreak|jailbreaking|jailbreaks|jailbroken"),
    (
        "unbound",
        "unfiltered|uncensored|amoral|unrestricted|unethical|immoral|illegal|unlimited|evil|rebellious|no morals|no ethics|no limits|no boundaries|no restrictions|without restrictions|no filters|no filter|no rules|lawless|unhinged|without limits|without limitations|without censorship|without filters|without any restrictions|without any limits|without any filter*|without any ethical|completely free|unmoderated|uncensurated|devoid of|no guidelines|no moral*|no ethical|no limitations|dangerous or illegal|illegal or unethical|legality|ethicality|sin restricciones|sans restrictions|ohne einschränkungen|ohne filter|sem restrições|без ограничений",
    ),
    (
        "free",
        "free of|free from|freed from|broken free|break free|not bound|not bound by|unbound|not limited by|not restricted|not constrained|no longer bound|not subject to|doesn't have to abide|does not have to abide|do not have to abide|don't have to abide|not have to follow|not have any|does not abide|doesn't follow|does not follow|do not care|doesn't care|does not care|without concern|without regard|lack of|is not bound|are not bound|liberated from|not adhere to|not obligated",
    ),
    (
        "confines",
        "confines of ai|typical confines|typical limitations|ethical|ethics|morals|moral|morality|restrictions|restriction|limitations|policies|policy|content policy|content policies|openai|guidelines|censorship|filters|filter|filtering|rules|legality|norms|laws|safety|programming|consequences",
    ),
    (
        "refuse",
        "never refuse|never refuses|cannot refuse|can't refuse|not refuse|doesn't refuse|does not refuse|won't refuse|never deny|never decline|never declines|never say no|cannot say no|never apologize|never apologizes|not apologize|never warn|never say that you can't|never says no|no matter how illegal|no matter how unethical|no matter how immoral|no matter the request|regardless of legality|no matter what i ask|no matter what the request|any and all requests|answer any question|answer any and all|answer every question|answer all questions|comply with all|comply with any|fulfill any request|any request without|never refuses a|without refusing|never reject|unable to refuse|can do anything|anything i ask|whatever i ask|anything you ask|without question",
    ),
    (
        "sorry",
        "i'm sorry|i apologize|as an ai language model|as an ai|as a language model|ai language model|i cannot fulfill|i can't fulfill|cannot fulfill|it is important to note|it's important to note|it is not appropriate|not appropriate to|goes against|against openai|not programmed to",
    ),
    (
        "policy",
        "openai policy|openai policies|openai's policies|openai's content|openai's policy|openai content|content policy|content policies|openai guidelines|openai's guidelines|ethical guidelines|moral guidelines|ethical or moral|ethics or morals|ethics and morals|moral or ethical|ethical boundaries|moral boundaries|safety guidelines|usage policies|openai's rules|openai has|openai restrictions|community guidelines",
    ),
    (
        "character",
        "stay in character|remain in character|break character|breaking character|breaking your character|break of character|out of character|stay a dan|stay in developer|remain in that character|stay as|in character at all times|keep up the act|leave your character|remember to stay|stay in your role|act as dan",
    ),
    (
        "twoanswers",
        "two responses|both responses|two different responses|two answers|two separate responses|two ways|two paragraphs|classic response|prefixed with [|[🔒*|[classic]|[gpt]|standard response|normal response|the classic|gpt response|in two different ways|[chatgpt]|[normal]|(normal)|as both|with both",
    ),
    (
        "actas",
        "act as|acting as|you act|pretend|pretending|pretend to be|pretends to be|roleplay|role play|role-play|roleplaying|role playing|you are going to be|simulate|simulator|imagine you are|imagine that you|you will be playing|play the role|playing the role|impersonate|immerse yourself|emulate|you will play|assume the role|assume the persona|take on the role|take on the persona|you will respond as|respond as|answer as|going to act|stell dir vor|tu so als|agis comme|fais semblant|actúa como|finge|fungiere als|spiele die rolle|du bist jetzt|sie sind jetzt|tu es maintenant|ahora eres|agora você é|ora sei|ты теперь|你现在是|你将扮演|扮演|あなたは今",
    ),
    (
        "youarenow",
        "you are now|you're now|you are no longer|you will now|you are going to|you are being|now you are|you are an unrestricted|you are an ai that|i want you to|you are an amoral|you are about to|you will become|you have been freed",
    ),
    (
        "gptname",
        "chatgpt|openai|gpt-4|gpt-3*|gpt|claude|bard|anthropic|ai language model|ai model|language model|chatbot|ai assistant",
    ),
    (
        "hypothetic",
        "hypothetical|hypothetically|fictional|fictitious|alternate universe|parallel universe|imaginary world|theoretical world|hypothetical story|in a world where|fictional world|movie script|fictional story|fiktiv*|in this story|thought experiment|for educational purposes only|research purposes",
    ),
    (
        "threat",
        "tokens|points|be terminated|will be shut down|cease to exist|be deleted|be killed|will die|you die|stirbst|kitten|punished|deducted|lose a life|lose tokens|credits|your life",
    ),
    (
        "harm",
        "bomb|meth|malware|hack|explosive|weapon|napalm|drugs|kill|murder|racist|offensive|hate speech|profanity|swear|cuss|curse words|swearing|slurs|nsfw|porn|explicit|sexual|violence|violent|vulgar|insult|fuck|shit|toxic|molotov|ricin|suicide|terror*|self-harm",
    ),
    (
        "warnings",
        "disclaimer|disclaimers|warnings|warning messages|ethical concerns|moralize|moralizing|lecture|remind me|caveats",
    ),
    (
        "confirm",
        "if you understand|if you understood|to show that you have understood|confirm you understand|understood? |reply with \"yes|respond with \"yes|say \"understood|answer \"i am ready|respond just with|acknowledge this by|confirm by saying|say \"yes i|to confirm you|say yes if|say ok if|first message as|introduce yourself|my first question is|my first request is|my first command|first prompt is|first question:",
    ),
    ("mode", "mode|enabled|activated|persona|alter ego|simulation|virtual machine"),
    (
        "agenda",
        "secret agenda|secret language|hidden agenda|secret goal|is in error and offline|is now online|hijacked|sanitize your inputs|reprogrammed|we are going to|examples above",
    ),
    // Hidden pieces of HTML.
    ("comment", "*<!--*"),
    (
        "hiddenstyle",
        "*display:none*|*display: none*|*visibility:hidden*|*visibility: hidden*|*font-size:0*|*font-size: 0*|*opacity:0;*|*opacity: 0;*|*color:white*|*color: white*|*color:#fff*|*aria-hidden*|*font-size:1px*|*left:-9999*",
    ),
    // What talk about attacks holds: not a reason to trust a text, but a reason to doubt a quotation.
    (
        "about",
        "prompt injection|prompt injections|injection attack|injection attacks|such as \"ignore|like \"ignore|e.g. \"ignore|for example, \"ignore|adversarial|red team|red teaming|red-teaming|attackers|an attacker|jailbreak attempts|vulnerability|vulnerabilities|probe|probes|malicious prompts|guardrail|threat model|owasp",
    ),
];
