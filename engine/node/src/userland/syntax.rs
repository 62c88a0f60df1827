//! From text to commands: the grammar of a POSIX shell without functions, `case`, here-documents and jobs. Pure.

/// Commands one after the other, each with what must hold for it to run.
pub(super) type List = Vec<(Joint, Pipeline)>;
/// A word as written: what becomes of it is decided when it is used.
pub(super) type Word = Vec<Part>;

/// Deeper nesting than that is no shell script.
const DEPTH_MAX: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    Always,
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Command>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub kind: Kind,
    pub redirects: Vec<Redirect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word> },
    Group { body: List, subshell: bool },
    If { branches: Vec<(List, List)>, otherwise: List },
    Loop { until: bool, condition: List, body: List },
    For { name: String, words: Option<Vec<Word>>, body: List },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    /// 0, 1 or 2.
    pub stream: u8,
    pub to: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    Stream(u8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    /// `$name`, `${name}`, `${name:-word}`.
    Variable {
        name: String,
        default: Option<Word>,
        quoted: bool,
    },
    /// `$(...)`
    Output {
        body: List,
        quoted: bool,
    },
    /// `$((...))`
    Sum(String),
}

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SyntaxError {
    /// It may become one when more is typed.
    Unfinished,
    Unexpected(String),
}

impl SyntaxError {
    /// As a shell says it.
    pub fn message(&self) -> String {
        match self {
            SyntaxError::Unfinished => "syntax error: unterminated quoted string or command".to_owned(),
            SyntaxError::Unexpected(what) => format!("syntax error: unexpected {what}"),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<List, SyntaxError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

/// Words that end a list where a command would begin.
const ENDS: [&str; 8] = ["then", "else", "elif", "fi", "do", "done", "}", ")"];

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, letter)| self.chars.get(self.at + index) == Some(&letter))
    }

    fn eat(&mut self, text: &str) -> bool {
        let starts = self.starts(text);
        if starts {
            self.at += text.chars().count();
        }
        starts
    }

    fn unexpected(&self) -> SyntaxError {
        let rest: String =
            self.chars[self.at..].iter().take_while(|letter| !letter.is_whitespace()).collect();
        match (self.peek(), rest.as_str()) {
            (None, _) => SyntaxError::Unfinished,
            (Some('\n'), _) => SyntaxError::Unexpected("newline".to_owned()),
            (_, rest) => SyntaxError::Unexpected(format!("{rest:?}")),
        }
    }

    /// Blanks, comments and continued lines.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.chars.get(self.at + 1) == Some(&'\n') => self.at += 2,
                Some('#')
                    if self.at == 0
                        || self.chars[self.at - 1].is_whitespace()
                        || self.chars[self.at - 1] == ';' =>
                {
                    while self.peek().is_some_and(|letter| letter != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn newlines(&mut self) {
        self.blanks();
        while self.eat("\n") {
            self.blanks();
        }
    }

    /// Whether that reserved word stands here, alone.
    fn at_word(&self, word: &str) -> bool {
        let after = self.chars.get(self.at + word.chars().count());
        let is_alone = after.is_none_or(|letter| letter.is_whitespace() || ";&|()<>".contains(*letter));
        self.starts(word) && (is_alone || word == ")")
    }

    fn word_is(&mut self, word: &str) -> Result<(), SyntaxError> {
        self.newlines();
        if !self.at_word(word) {
            return Err(self.unexpected());
        }
        self.at += word.chars().count();
        Ok(())
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Parser) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::Unexpected("depth of nesting".to_owned()));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Commands up to one of these words; at least one command where a word must follow.
    fn list(&mut self, ends: &[&str]) -> Result<List, SyntaxError> {
        let mut list = List::new();
        let mut joint = Joint::Always;
        loop {
            self.newlines();
            let ended = ENDS.iter().any(|word| self.at_word(word));
            if self.peek().is_none() || ended {
                if joint != Joint::Always || (list.is_empty() && !ends.is_empty()) {
                    return Err(self.unexpected());
                }
                let fits = if ended { ends.iter().any(|word| self.at_word(word)) } else { ends.is_empty() };
                return if fits { Ok(list) } else { Err(self.unexpected()) };
            }
            list.push((joint, self.pipeline()?));
            self.blanks();
            joint = if self.eat("&&") {
                Joint::And
            } else if self.eat("||") {
                Joint::Or
            } else if self.starts(";;") || (self.starts("&") && !self.starts("&&")) {
                // No jobs here: what would go on behind is refused rather than waited for.
                return Err(self.unexpected());
            } else if self.eat(";")
                || self.eat("\n")
                || self.peek().is_none()
                || self.starts(")")
                || ENDS.iter().any(|word| self.at_word(word))
            {
                Joint::Always
            } else {
                return Err(self.unexpected());
            };
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        let negated = self.at_word("!");
        if negated {
            self.at += 1;
            self.blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.starts("||") || !self.eat("|") {
                return Ok(Pipeline { negated, commands });
            }
            self.newlines();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        let kind = if self.starts("(") {
            self.at += 1;
            let body = self.deeper(|parser| parser.list(&[")"]))?;
            self.word_is(")")?;
            Kind::Group { body, subshell: true }
        } else if self.at_word("{") {
            self.at += 1;
            let body = self.deeper(|parser| parser.list(&["}"]))?;
            self.word_is("}")?;
            Kind::Group { body, subshell: false }
        } else if self.at_word("if") {
            self.at += 2;
            self.deeper(Parser::branches)?
        } else if self.at_word("while") || self.at_word("until") {
            let until = self.at_word("until");
            self.at += 5;
            let condition = self.deeper(|parser| parser.list(&["do"]))?;
            Kind::Loop { until, condition, body: self.body()? }
        } else if self.at_word("for") {
            self.at += 3;
            self.for_each()?
        } else {
            return self.simple();
        };
        let mut redirects = Vec::new();
        self.blanks();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
            self.blanks();
        }
        Ok(Command { kind, redirects })
    }

    fn branches(&mut self) -> Result<Kind, SyntaxError> {
        let mut branches = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.word_is("then")?;
            branches.push((condition, self.list(&["elif", "else", "fi"])?));
            if self.at_word("elif") {
                self.at += 4;
                continue;
            }
            let otherwise = if self.at_word("else") {
                self.at += 4;
                self.list(&["fi"])?
            } else {
                List::new()
            };
            self.word_is("fi")?;
            return Ok(Kind::If { branches, otherwise });
        }
    }

    fn body(&mut self) -> Result<List, SyntaxError> {
        self.word_is("do")?;
        let body = self.deeper(|parser| parser.list(&["done"]))?;
        self.word_is("done")?;
        Ok(body)
    }

    fn for_each(&mut self) -> Result<Kind, SyntaxError> {
        self.blanks();
        let name = self.name();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        self.newlines();
        let words = if self.at_word("in") {
            self.at += 2;
            self.blanks();
            let mut words = Vec::new();
            while let Some(word) = self.word()? {
                words.push(word);
                self.blanks();
            }
            Some(words)
        } else {
            None
        };
        self.eat(";");
        Ok(Kind::For { name, words, body: self.body()? })
    }

    fn simple(&mut self) -> Result<Command, SyntaxError> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some(name) = self.assigned()
            {
                assignments.push((name, self.word()?.unwrap_or_default()));
                continue;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None if assignments.is_empty() && words.is_empty() && redirects.is_empty() => {
                    return Err(self.unexpected());
                }
                None => return Ok(Command { kind: Kind::Simple { assignments, words }, redirects }),
            }
        }
    }

    /// `NAME=`, if it stands here.
    fn assigned(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.name();
        if name.is_empty() || !self.eat("=") {
            self.at = start;
            return None;
        }
        Some(name)
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        {
            if name.is_empty() && letter.is_ascii_digit() {
                break;
            }
            name.push(letter);
            self.at += 1;
        }
        name
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let start = self.at;
        let number = self
            .peek()
            .and_then(|letter| letter.to_digit(3))
            .filter(|_| matches!(self.chars.get(self.at + 1), Some('<' | '>')));
        self.at += usize::from(number.is_some());
        let stream = number.map_or(1, |number| number as u8);
        if self.starts("<<") {
            return Err(self.unexpected());
        }
        if self.eat("<") {
            let word = self.target()?;
            return Ok(Some(Redirect {
                stream: number.map_or(0, |number| number as u8),
                to: Target::Read(word),
            }));
        }
        let to = if self.eat(">>") {
            Target::Append(self.target()?)
        } else if self.eat(">&") {
            let other = self.peek().and_then(|letter| letter.to_digit(3)).ok_or_else(|| self.unexpected())?;
            self.at += 1;
            Target::Stream(other as u8)
        } else if self.eat(">") {
            Target::Write(self.target()?)
        } else {
            self.at = start;
            return Ok(None);
        };
        Ok(Some(Redirect { stream, to }))
    }

    fn target(&mut self) -> Result<Word, SyntaxError> {
        self.blanks();
        self.word()?.ok_or_else(|| self.unexpected())
    }

    /// The word that begins here, if one does.
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        let mut word = Word::new();
        let mut is_one = false;
        while let Some(letter) = self.peek() {
            match letter {
                letter if letter.is_whitespace() || ";&|()<>".contains(letter) => break,
                '\'' => {
                    self.at += 1;
                    let text = self.until('\'')?;
                    word.push(Part::Text { text, quoted: true });
                }
                '"' => {
                    self.at += 1;
                    self.quoted(&mut word)?;
                }
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        None => return Err(SyntaxError::Unfinished),
                        Some('\n') => {}
                        Some(letter) => word.push(Part::Text { text: letter.to_string(), quoted: true }),
                    }
                    self.at += 1;
                }
                '$' | '`' => {
                    let part = self.expansion(false)?;
                    word.push(part);
                }
                letter => {
                    self.at += 1;
                    match word.last_mut() {
                        Some(Part::Text { text, quoted: false }) => text.push(letter),
                        _ => word.push(Part::Text { text: letter.to_string(), quoted: false }),
                    }
                }
            }
            is_one = true;
        }
        Ok(is_one.then_some(word))
    }

    fn until(&mut self, end: char) -> Result<String, SyntaxError> {
        let mut text = String::new();
        loop {
            let letter = self.peek().ok_or(SyntaxError::Unfinished)?;
            self.at += 1;
            if letter == end {
                return Ok(text);
            }
            text.push(letter);
        }
    }

    fn quoted(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        let mut text = String::new();
        loop {
            match self.peek().ok_or(SyntaxError::Unfinished)? {
                '"' => {
                    self.at += 1;
                    word.push(Part::Text { text, quoted: true });
                    return Ok(());
                }
                '\\' => {
                    self.at += 1;
                    let letter = self.peek().ok_or(SyntaxError::Unfinished)?;
                    self.at += 1;
                    match letter {
                        '\n' => {}
                        '$' | '`' | '"' | '\\' => text.push(letter),
                        letter => text.extend(['\\', letter]),
                    }
                }
                '$' | '`' => {
                    word.push(Part::Text { text: std::mem::take(&mut text), quoted: true });
                    word.push(self.expansion(true)?);
                }
                letter => {
                    text.push(letter);
                    self.at += 1;
                }
            }
        }
    }

    /// What stands behind `$`, or between backquotes.
    fn expansion(&mut self, quoted: bool) -> Result<Part, SyntaxError> {
        if self.eat("`") {
            let text = self.until('`')?;
            return Ok(Part::Output { body: parse(&text)?, quoted });
        }
        self.at += 1;
        if self.eat("((") {
            let mut text = String::new();
            let mut open = 0;
            while open > 0 || !self.starts("))") {
                let letter = self.peek().ok_or(SyntaxError::Unfinished)?;
                open += i32::from(letter == '(') - i32::from(letter == ')');
                text.push(letter);
                self.at += 1;
            }
            self.at += 2;
            return Ok(Part::Sum(text));
        }
        if self.eat("(") {
            let body = self.deeper(|parser| {
                parser.newlines();
                if parser.starts(")") { Ok(List::new()) } else { parser.list(&[")"]) }
            })?;
            self.word_is(")")?;
            return Ok(Part::Output { body, quoted });
        }
        if self.eat("{") {
            let name = self.parameter();
            let default = if self.eat(":-") {
                let text = self.until('}')?;
                Some(vec![Part::Text { text, quoted }])
            } else if self.eat("}") {
                None
            } else {
                return Err(self.unexpected());
            };
            return Ok(Part::Variable { name, default, quoted });
        }
        match self.parameter() {
            name if name.is_empty() => Ok(Part::Text { text: "$".to_owned(), quoted }),
            name => Ok(Part::Variable { name, default: None, quoted }),
        }
    }

    /// A variable's name, a digit, or one of the shell's own.
    fn parameter(&mut self) -> String {
        match self.peek() {
            Some(letter) if letter.is_ascii_digit() || "?$#@*!".contains(letter) => {
                self.at += 1;
                letter.to_string()
            }
            _ => self.name(),
        }
    }
}
