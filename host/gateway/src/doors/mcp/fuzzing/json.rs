//! A second reader of JSON (RFC 8259), strict, recursive and slow.

/// Deepest nesting that the first reader takes.
const MAX_DEPTH: usize = 64;

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool,
    Number,
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A value and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) json: Json,
    pub(super) raw: String,
    pub(super) start: usize,
}

impl Node {
    /// Reads a whole text. None: not JSON, a member twice in one object, or too deep.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(input).ok()?;
        let mut reader = Reader { text, at: 0 };
        reader.space();
        let node = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(node)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    pub(super) fn members(&self) -> &[(String, Self)] {
        if let Json::Object(members) = &self.json { members } else { &[] }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Json::Text(text) = &self.json { Some(text) } else { None }
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.json, Json::Object(_))
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| b" \t\r\n".contains(byte)).count();
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        self.rest().starts_with(wanted).then(|| self.at += wanted.len())
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        let start = self.at;
        let json = match self.rest().bytes().next()? {
            b'n' => self.take("null").map(|()| Json::Null)?,
            b't' => self.take("true").map(|()| Json::Bool)?,
            b'f' => self.take("false").map(|()| Json::Bool)?,
            b'"' => Json::Text(self.string()?),
            b'[' => self.array(depth + 1)?,
            b'{' => self.object(depth + 1)?,
            _ => self.number().map(|()| Json::Number)?,
        };
        Some(Node { json, raw: self.text.get(start..self.at)?.to_owned(), start })
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        let mut items = Vec::new();
        self.open("[", depth)?;
        if self.take("]").is_some() {
            return Some(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth)?);
            self.space();
            if self.take("]").is_some() {
                return Some(Json::Array(items));
            }
            self.take(",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut members: Vec<(String, Node)> = Vec::new();
        self.open("{", depth)?;
        if self.take("}").is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.take(":")?;
            self.space();
            let value = self.value(depth)?;
            // A name that serde_json keeps for itself is refused like one that comes twice.
            if members.iter().any(|(known, _)| *known == name) || name.starts_with("$serde_json::private::") {
                return None;
            }
            members.push((name, value));
            self.space();
            if self.take("}").is_some() {
                return Some(Json::Object(members));
            }
            self.take(",")?;
        }
    }

    fn open(&mut self, bracket: &str, depth: usize) -> Option<()> {
        self.take(bracket)?;
        self.space();
        (depth <= MAX_DEPTH).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut out = String::new();
        loop {
            let letter = self.rest().chars().next()?;
            self.at += letter.len_utf8();
            match letter {
                '"' => return Some(out),
                '\0'..='\x1f' => return None,
                '\\' => out.push(self.escape()?),
                plain => out.push(plain),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        match letter {
            '"' | '\\' | '/' => Some(letter),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let first = self.unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                self.take("\\u")?;
                char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(self.unit()?).ok()?]).next()?.ok()
            }
            _ => None,
        }
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(unit)
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take("-");
        if self.take("0").is_none() {
            self.digits()?;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if self.take("e").or_else(|| self.take("E")).is_some() {
            let _ = self.take("+").or_else(|| self.take("-"));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        (count > 0).then_some(())
    }
}
