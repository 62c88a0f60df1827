//! Words and signs of a label selector's text.

/// A word or sign. `in` and `notin` may also be keys or values: their place decides, so they stay words here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Sign(&'static str),
    /// Signs in an order that means nothing.
    Unknown(String),
    End,
}

impl Token {
    /// The token as error messages quote it.
    pub(super) fn literal(&self) -> String {
        match self {
            Token::Word(word) => word.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Unknown(signs) => format!("error expected: keyword found '{signs}'"),
            Token::End => String::new(),
        }
    }

    pub(super) fn is(&self, expected: &str) -> bool {
        matches!(self, Token::Sign(sign) if *sign == expected)
    }
}

const SIGNS: [&str; 9] = [")", ",", "!", "==", "=", "!=", "(", ">", "<"];

fn is_sign(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// All tokens, the last of which is [`Token::End`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut rest = text;
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
        let Some(first) = rest.bytes().next() else {
            tokens.push(Token::End);
            return tokens;
        };
        let (token, length) = if is_sign(first) { scan_sign(rest) } else { scan_word(rest) };
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn scan_word(text: &str) -> (Token, usize) {
    let length = text.bytes().position(|byte| is_sign(byte) || is_space(byte)).unwrap_or(text.len());
    (Token::Word(text[..length].to_owned()), length)
}

/// The longest known sign at the start of the text, which starts with a sign's letter.
fn scan_sign(text: &str) -> (Token, usize) {
    let sign = SIGNS.into_iter().filter(|sign| text.starts_with(sign)).max_by_key(|sign| sign.len());
    match sign {
        Some(sign) => (Token::Sign(sign), sign.len()),
        None => (Token::Unknown(text[..1].to_owned()), 1),
    }
}
