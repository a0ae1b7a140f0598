//! Parses terms (literals, markers, calls) and type names.

use super::ast::Term;
use super::lexer::Token;
use super::parser::{DEPTH_MAX, Parser, Result};
use crate::error::CqlError;
use crate::value::types::{CqlType, Native};

impl Parser {
    /// One level deeper, or an error: the client chooses how deep its text nests.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(CqlError::syntax(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn term(&mut self) -> Result<Term> {
        self.nested(|parser| parser.term_inner())
    }

    /// A term whose anonymous marker is called `name` in the bind metadata.
    pub(super) fn term_as(&mut self, name: &str) -> Result<Term> {
        let is_anonymous = matches!(self.peek(), Some(Token::Marker));
        if is_anonymous { self.marker_as(name) } else { self.term() }
    }

    pub(super) fn marker_as(&mut self, name: &str) -> Result<Term> {
        let name = match self.next() {
            Some(Token::Marker) => name.to_owned(),
            Some(Token::Named(name)) => name,
            _ => return Err(self.unexpected("a bind marker")),
        };
        self.markers.push(Some(name));
        Ok(Term::Marker(self.markers.len() - 1))
    }

    fn term_inner(&mut self) -> Result<Term> {
        if matches!(self.peek(), Some(Token::Word(_)))
            && matches!(self.peek_at(1), Some(Token::Symbol("(")))
        {
            let name = self.name()?;
            return Ok(Term::Call(name, self.parenthesised(Self::term)?));
        }
        if matches!(self.peek(), Some(Token::Symbol("("))) {
            return Ok(Term::Tuple(self.parenthesised(Self::term)?));
        }
        if self.symbol("[") {
            return self.list();
        }
        if self.symbol("{") {
            return self.set_or_map();
        }
        let negative = self.symbol("-");
        let wrong = self.unexpected("a value");
        let sign = if negative { "-" } else { "" };
        let term = match self.next() {
            Some(Token::Integer(digits)) => Term::Integer(format!("{sign}{digits}")),
            Some(Token::Float(digits)) => Term::Float(format!("{sign}{digits}")),
            Some(Token::Duration(text)) => Term::Duration(format!("{sign}{text}")),
            Some(Token::Word(word)) if word == "nan" || word == "infinity" => {
                Term::Float(format!("{sign}{word}"))
            }
            Some(_) if negative => return Err(wrong),
            Some(Token::Text(text)) => Term::Text(text),
            Some(Token::Blob(bytes)) => Term::Blob(bytes),
            Some(Token::Uuid(uuid)) => Term::Uuid(uuid),
            Some(Token::Marker) => {
                self.markers.push(None);
                Term::Marker(self.markers.len() - 1)
            }
            Some(Token::Named(name)) => {
                self.markers.push(Some(name));
                Term::Marker(self.markers.len() - 1)
            }
            Some(Token::Word(word)) => match word.as_str() {
                "null" => Term::Null,
                "true" => Term::Boolean(true),
                "false" => Term::Boolean(false),
                _ => return Err(wrong),
            },
            _ => return Err(wrong),
        };
        Ok(term)
    }

    fn list(&mut self) -> Result<Term> {
        let mut items = Vec::new();
        while !self.symbol("]") {
            items.push(self.term()?);
            if !self.symbol(",") {
                self.expect_symbol("]")?;
                break;
            }
        }
        Ok(Term::List(items))
    }

    fn set_or_map(&mut self) -> Result<Term> {
        let (mut items, mut pairs) = (Vec::new(), Vec::new());
        while !self.symbol("}") {
            let first = self.term()?;
            if self.symbol(":") {
                pairs.push((first, self.term()?));
            } else {
                items.push(first);
            }
            if !self.symbol(",") {
                self.expect_symbol("}")?;
                break;
            }
        }
        match (items.is_empty(), pairs.is_empty()) {
            (_, true) => Ok(Term::Set(items)),
            (true, false) => Ok(Term::Map(pairs)),
            _ => Err(CqlError::syntax("set and map literals cannot be mixed")),
        }
    }

    pub(super) fn cql_type(&mut self) -> Result<CqlType> {
        self.nested(|parser| parser.cql_type_inner())
    }

    fn cql_type_inner(&mut self) -> Result<CqlType> {
        let name = self.name()?;
        let mut parts = Vec::new();
        if self.symbol("<") {
            loop {
                parts.push(self.cql_type()?);
                if self.symbol(">") {
                    break;
                }
                self.expect_symbol(",")?;
            }
        }
        let typ = match (name.as_str(), parts.as_mut_slice()) {
            ("tuple", [_, ..]) => CqlType::Tuple(parts),
            ("list", [element]) => CqlType::List(Box::new(element.clone())),
            ("set", [element]) => CqlType::Set(Box::new(element.clone())),
            ("frozen", [inner]) => CqlType::Frozen(Box::new(inner.clone())),
            ("map", [key, value]) => CqlType::Map(Box::new((key.clone(), value.clone()))),
            (_, []) => CqlType::Native(
                Native::from_name(&name)
                    .ok_or_else(|| CqlError::invalid(format!("Unknown type {name}")))?,
            ),
            _ => return Err(CqlError::syntax(format!("type {name} with {} parts", parts.len()))),
        };
        Ok(typ)
    }
}
