//! Parses terms (literals, markers, calls) and type names.

use super::ast::{Arithmetic, Term};
use super::lexer::Token;
use super::parser::{DEPTH_MAX, Parser, Result};
use crate::error::CqlError;
use crate::value::types::{CqlType, Native};

impl Parser {
    /// One level deeper, or an error: the client chooses how deep its text nests.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(CqlError::syntax(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A sum of products of factors.
    pub(super) fn term(&mut self) -> Result<Term> {
        self.nested(|parser| {
            let first = parser.factor()?;
            parser.sum_from(first)
        })
    }

    /// A sum whose first factor has been parsed.
    pub(super) fn sum_from(&mut self, first: Term) -> Result<Term> {
        let mut left = self.product_from(first)?;
        for _ in 0..OPERATORS_MAX {
            let operator = match self.peek() {
                Some(Token::Symbol("+")) => Arithmetic::Add,
                Some(Token::Symbol("-")) => Arithmetic::Subtract,
                _ => return Ok(left),
            };
            self.next();
            let first = self.factor()?;
            let right = self.product_from(first)?;
            left = Term::Arithmetic(operator, Box::new(left), Box::new(right));
        }
        Err(too_long())
    }

    fn product_from(&mut self, first: Term) -> Result<Term> {
        let mut left = first;
        for _ in 0..OPERATORS_MAX {
            let Some(operator) = self.product_operator() else { return Ok(left) };
            let right = self.factor()?;
            left = Term::Arithmetic(operator, Box::new(left), Box::new(right));
        }
        Err(too_long())
    }

    pub(super) fn product_operator(&mut self) -> Option<Arithmetic> {
        let operator = match self.peek() {
            Some(Token::Symbol("*")) => Arithmetic::Multiply,
            Some(Token::Symbol("/")) => Arithmetic::Divide,
            Some(Token::Symbol("%")) => Arithmetic::Remainder,
            _ => return None,
        };
        self.next();
        Some(operator)
    }

    pub(super) fn factor(&mut self) -> Result<Term> {
        self.nested(|parser| parser.factor_inner())
    }

    /// A term whose anonymous marker is called `name` in the bind metadata.
    pub(super) fn term_as(&mut self, name: &str) -> Result<Term> {
        let is_anonymous = matches!(self.peek(), Some(Token::Marker));
        if is_anonymous { self.marker_as(name) } else { self.term() }
    }

    pub(super) fn marker_as(&mut self, name: &str) -> Result<Term> {
        let name = match self.peek() {
            Some(Token::Marker) => {
                self.next();
                name.to_owned()
            }
            Some(Token::Symbol(":")) => {
                self.next();
                self.name()?
            }
            _ => return Err(self.unexpected("a bind marker")),
        };
        self.markers.push(Some(name));
        Ok(Term::Marker(self.markers.len() - 1))
    }

    /// Whether `(type)` and a value are next.
    pub(super) fn is_hint(&self) -> bool {
        let Some(Token::Word(word)) = self.peek_at(1) else { return false };
        match self.peek_at(2) {
            Some(Token::Symbol("<")) => true,
            Some(Token::Symbol(")")) => Native::from_name(word).is_some(),
            _ => false,
        }
    }

    fn factor_inner(&mut self) -> Result<Term> {
        if self.is_function() {
            let function = self.function_name()?;
            return Ok(Term::Call(function, self.parenthesised(Self::term)?));
        }
        if matches!(self.peek(), Some(Token::Symbol("("))) {
            if self.is_hint() {
                self.next();
                let typ = self.cql_type()?;
                self.expect_symbol(")")?;
                return Ok(Term::Hint(typ, Box::new(self.factor()?)));
            }
            return Ok(Term::Tuple(self.parenthesised(Self::term)?));
        }
        if self.symbol("[") {
            return self.list();
        }
        if self.symbol("{") {
            let is_udt = matches!(self.peek(), Some(Token::Word(_) | Token::Quoted(_)))
                && matches!(self.peek_at(1), Some(Token::Symbol(":")));
            return if is_udt { self.udt() } else { self.set_or_map() };
        }
        if matches!(self.peek(), Some(Token::Symbol(":"))) {
            return self.marker_as("");
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

    /// `field: value, …}`
    fn udt(&mut self) -> Result<Term> {
        let mut fields = Vec::new();
        while !self.symbol("}") {
            let name = self.name()?;
            self.expect_symbol(":")?;
            fields.push((name, self.term()?));
            if !self.symbol(",") {
                self.expect_symbol("}")?;
                break;
            }
        }
        Ok(Term::Udt(fields))
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
        if let Some(Token::Text(class)) = self.peek().cloned() {
            self.next();
            if let Some(native) = Native::from_class(&class) {
                return Ok(CqlType::Native(native));
            }
            let message = format!("this class is not supported as a type: {class}");
            return Err(CqlError::syntax(message));
        }
        // `set` is a reserved word, and a type all the same.
        let name = if self.word("set") { "set".to_owned() } else { self.name()? };
        if name == "vector" && self.symbol("<") {
            return self.vector_type();
        }
        if self.symbol(".") {
            return Ok(CqlType::Named(Some(name), self.name()?));
        }
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
            ("frozen", [CqlType::Native(_)]) => {
                return Err(CqlError::syntax(
                    "frozen<> is only allowed on collections, tuples, and user-defined types",
                ));
            }
            ("frozen", [inner]) => CqlType::Frozen(Box::new(inner.clone())),
            ("map", [key, value]) => CqlType::Map(Box::new((key.clone(), value.clone()))),
            (_, []) => match Native::from_name(&name) {
                Some(native) => CqlType::Native(native),
                None => CqlType::Named(None, name),
            },
            _ => return Err(CqlError::syntax(format!("type {name} with {} parts", parts.len()))),
        };
        Ok(typ)
    }

    /// `element, length>`
    fn vector_type(&mut self) -> Result<CqlType> {
        let element = self.cql_type()?;
        self.expect_symbol(",")?;
        let len = match self.peek() {
            Some(Token::Integer(digits)) => digits.parse().ok(),
            _ => None,
        };
        self.next();
        self.expect_symbol(">")?;
        match len {
            Some(len @ 1..=VECTOR_LEN_MAX) => Ok(CqlType::Vector(Box::new(element), len)),
            _ => {
                let message = format!("a vector has between 1 and {VECTOR_LEN_MAX} elements");
                Err(CqlError::invalid(message))
            }
        }
    }
}

/// Most elements of a vector, as in Cassandra.
const VECTOR_LEN_MAX: usize = 8192;

/// Operators in a row: each makes the tree of an expression one level deeper.
pub(crate) const OPERATORS_MAX: usize = 64;

pub(super) fn too_long() -> CqlError {
    CqlError::syntax(format!("more than {OPERATORS_MAX} operators in a row"))
}
