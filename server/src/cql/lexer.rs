//! CQL text to tokens.

use crate::error::CqlError;

/// One token of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// Unquoted name or keyword, folded to lower case.
    Word(String),
    /// `"Name"`, as written.
    Quoted(String),
    /// `'text'` or `$$text$$`.
    Text(String),
    /// Digits.
    Integer(String),
    /// Digits with a point or an exponent.
    Float(String),
    /// `0x…`
    Blob(Vec<u8>),
    /// A bare UUID.
    Uuid([u8; 16]),
    /// Digits followed by letters, as in `30000ms` or `1h30m`, or as ISO 8601 has it; lower case.
    Duration(String),
    /// `?`
    Marker,
    /// Everything else: `( ) { } [ ] , . .. ; : = != < <= > >= + - * / %`
    Symbol(&'static str),
}

const SYMBOLS: [&str; 24] = [
    "!=", "<=", ">=", "..", "+=", "-=", "(", ")", "{", "}", "[", "]", ",", ".", ";", ":", "=", "<",
    ">", "+", "-", "*", "/", "%",
];

/// Words and symbols of a statement: each takes many times the bytes that it has in the text.
const TOKENS_MAX: usize = 500_000;

/// Splits a statement into tokens.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, CqlError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        if tokens.len() == TOKENS_MAX {
            return Err(lexer.error(&format!("more than {TOKENS_MAX} words and symbols")));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, what: &str) -> CqlError {
        CqlError::syntax(format!("line 1:{} {what}", self.at))
    }

    fn skip_blank(&mut self) -> Result<(), CqlError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("--") || trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let end = trimmed.find("*/").ok_or_else(|| self.error("unfinished comment"))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Option<Token>, CqlError> {
        self.skip_blank()?;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let token = match first {
            '\'' => Token::Text(self.quoted('\'')?),
            '"' => match self.quoted('"')? {
                name if name.is_empty() => return Err(self.error("a name without characters")),
                name => Token::Quoted(name),
            },
            '$' if rest.starts_with("$$") => self.dollars()?,
            '?' => {
                self.at += 1;
                Token::Marker
            }
            c if c.is_ascii_alphanumeric() || c == '_' => self.word_or_number()?,
            _ => self.symbol()?,
        };
        Ok(Some(token))
    }

    fn while_matches(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Text between quotes; a doubled quote stands for one.
    fn quoted(&mut self, quote: char) -> Result<String, CqlError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            if c != quote {
                text.push(c);
            } else if chars.peek().is_some_and(|&(_, next)| next == quote) {
                text.push(c);
                chars.next();
            } else {
                self.at += i + 1;
                return Ok(text);
            }
        }
        Err(self.error("unfinished quoted text"))
    }

    fn dollars(&mut self) -> Result<Token, CqlError> {
        let inner = self.rest().get(2..).unwrap_or_default();
        let len = inner.find("$$").ok_or_else(|| self.error("unfinished $$ text"))?;
        self.at += len + 4;
        Ok(Token::Text(inner.get(..len).unwrap_or_default().to_owned()))
    }

    fn word_or_number(&mut self) -> Result<Token, CqlError> {
        if let Some(uuid) = self.uuid() {
            return Ok(Token::Uuid(uuid));
        }
        let rest = self.rest();
        if let Some(len) = iso_duration_len(rest) {
            let text = rest.get(..len).unwrap_or_default().to_ascii_lowercase();
            self.at += len;
            return Ok(Token::Duration(text));
        }
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Token::Word(self.while_matches(is_word).to_ascii_lowercase()));
        }
        if rest.starts_with("0x") || rest.starts_with("0X") {
            self.at += 2;
            let digits = self.while_matches(is_word);
            let odd = || CqlError::invalid(format!("Invalid HEX constant (0x{digits})"));
            return hex(digits).map(Token::Blob).ok_or_else(odd);
        }
        Ok(self.number())
    }

    fn number(&mut self) -> Token {
        let start = self.at;
        self.while_matches(|c| c.is_ascii_digit());
        let mut is_float = false;
        let after_point = self.rest().strip_prefix('.').and_then(|rest| rest.chars().next());
        if after_point.is_some_and(|c| c.is_ascii_digit()) {
            is_float = true;
            self.at += 1;
            self.while_matches(|c| c.is_ascii_digit());
        }
        if let Some(len) = exponent_len(self.rest()) {
            is_float = true;
            self.at += len;
        }
        let suffix = self.while_matches(is_word);
        let text = self.text.get(start..self.at).unwrap_or_default().to_ascii_lowercase();
        if !suffix.is_empty() {
            Token::Duration(text)
        } else if is_float {
            Token::Float(text)
        } else {
            Token::Integer(text)
        }
    }

    fn uuid(&mut self) -> Option<[u8; 16]> {
        let candidate = self.rest().get(..36)?;
        if self.rest().get(36..).is_some_and(|rest| rest.starts_with(is_word)) {
            return None;
        }
        let uuid = parse_uuid(candidate)?;
        self.at += 36;
        Some(uuid)
    }

    fn symbol(&mut self) -> Result<Token, CqlError> {
        let rest = self.rest();
        let symbol = SYMBOLS
            .iter()
            .find(|symbol| rest.starts_with(**symbol))
            .ok_or_else(|| self.error("character that CQL does not know"))?;
        self.at += symbol.len();
        Ok(Token::Symbol(symbol))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of `e`, an optional sign and digits at the front of `rest`.
fn exponent_len(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix(['e', 'E'])?;
    let unsigned = after.strip_prefix(['+', '-']).unwrap_or(after);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    (digits > 0).then_some(rest.len() - unsigned.len() + digits)
}

/// Length of a duration of ISO 8601 at the front of `rest`: `P1Y2M3DT4H5M6S`, `P5W` or
/// `P0001-02-03T04:05:06`.
fn iso_duration_len(rest: &str) -> Option<usize> {
    if !rest.starts_with(['p', 'P']) {
        return None;
    }
    let len = rest
        .char_indices()
        .skip(1)
        .find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '-' | ':')))
        .map_or(rest.len(), |(at, _)| at);
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    // What is longer than a word has to be of the form with dashes.
    let is_duration = |len: usize| {
        if rest.get(len..).is_some_and(|rest| rest.starts_with(is_word)) {
            return false;
        }
        let text = rest.get(..len).unwrap_or_default().to_ascii_lowercase();
        crate::value::time::parse_duration(&text).is_some()
    };
    [len, word].into_iter().find(|len| is_duration(*len))
}

/// Bytes of an even number of hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok())
        .collect()
}

/// A UUID in its 8-4-4-4-12 form.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = text.char_indices().filter(|&(_, c)| c == '-').map(|(i, _)| i);
    if text.len() != 36 || !dashes.eq([8, 13, 18, 23]) {
        return None;
    }
    hex(&text.replace('-', ""))?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_all_kinds() {
        let text = "SELECT \"A\"\"b\", c -- comment\n FROM t/* x */ WHERE x='it''s' AND b = 0xFf \
            AND u=11111111-2222-4333-8444-555555555555 AND n >= -1.5e3 AND v=:Name AND w=?;";
        let tokens = tokens(text).unwrap();
        assert!(tokens.contains(&Token::Quoted("A\"b".into())));
        assert!(tokens.contains(&Token::Text("it's".into())));
        assert!(tokens.contains(&Token::Blob(vec![0xFF])));
        assert!(tokens.contains(&Token::Float("1.5e3".into())));
        assert!(
            tokens
                .windows(2)
                .any(|pair| { pair == [Token::Symbol(":"), Token::Word("name".into())] })
        );
        assert!(tokens.iter().any(|token| matches!(token, Token::Uuid(_))));
        assert_eq!(tokens.last(), Some(&Token::Symbol(";")));
    }

    #[test]
    fn numbers_with_units_are_durations() {
        assert_eq!(tokens("30000ms").unwrap(), [Token::Duration("30000ms".into())]);
        assert_eq!(tokens("1h30m").unwrap(), [Token::Duration("1h30m".into())]);
        assert_eq!(tokens("12").unwrap(), [Token::Integer("12".into())]);
        for text in ["PT1H30M", "P1Y2M3D", "P5W", "P0001-02-03T04:05:06"] {
            assert_eq!(tokens(text).unwrap(), [Token::Duration(text.to_ascii_lowercase())]);
        }
        for text in ["p", "p1", "pt", "phone", "p1d_x"] {
            assert_eq!(tokens(text).unwrap(), [Token::Word(text.into())]);
        }
    }

    #[test]
    fn unfinished_text_is_a_syntax_error() {
        for text in ["'a", "\"a", "$$a", "/* a", "a # b"] {
            assert_eq!(tokens(text).unwrap_err().code, crate::error::code::SYNTAX, "{text}");
        }
    }
}
