//! Parses what a SELECT asks for: columns, calls, casts, arithmetic, literals.

use super::ast::{Arithmetic, FunctionName, Selected, Selector, Stamped, Term};
use super::lexer::Token;
use super::parser::{Parser, Result};
use super::parser_term::{OPERATORS_MAX, too_long};
use crate::error::CqlError;
use crate::value::types::CqlType;

impl Parser {
    pub(super) fn selectors(&mut self) -> Result<Vec<Selector>> {
        if self.symbol("*") {
            return Ok(Vec::new());
        }
        let mut selectors = Vec::new();
        loop {
            let what = self.selected()?;
            let alias = if self.word("as") { Some(self.name()?) } else { None };
            selectors.push(Selector { what, alias });
            if !self.symbol(",") {
                return Ok(selectors);
            }
        }
    }

    /// One item, or an argument of a call: a sum of products.
    fn selected(&mut self) -> Result<Selected> {
        self.nested(|parser| {
            let mut left = parser.selected_product()?;
            for _ in 0..OPERATORS_MAX {
                let operator = match parser.peek() {
                    Some(Token::Symbol("+")) => Arithmetic::Add,
                    Some(Token::Symbol("-")) => Arithmetic::Subtract,
                    _ => return Ok(left),
                };
                parser.next();
                let right = parser.selected_product()?;
                left = Selected::Arithmetic(operator, Box::new(left), Box::new(right));
            }
            Err(too_long())
        })
    }

    fn selected_product(&mut self) -> Result<Selected> {
        let mut left = self.selected_part()?;
        for _ in 0..OPERATORS_MAX {
            let Some(operator) = self.product_operator() else { return Ok(left) };
            let right = self.selected_part()?;
            left = Selected::Arithmetic(operator, Box::new(left), Box::new(right));
        }
        Err(too_long())
    }

    /// A factor with what is taken out of it: fields, elements, slices.
    fn selected_part(&mut self) -> Result<Selected> {
        let mut part = self.selected_factor()?;
        for _ in 0..OPERATORS_MAX {
            if self.symbol(".") {
                part = Selected::Field(Box::new(part), self.name()?);
            } else if self.symbol("[") {
                part = self.taken_element(part)?;
            } else {
                return Ok(part);
            }
        }
        Err(too_long())
    }

    fn taken_element(&mut self, of: Selected) -> Result<Selected> {
        let is_from_start = matches!(self.peek(), Some(Token::Symbol("..")));
        let from = if is_from_start { None } else { Some(self.term()?) };
        let what = match (from, self.symbol("..")) {
            (from, true) => {
                let is_to_end = matches!(self.peek(), Some(Token::Symbol("]")));
                let to = if is_to_end { None } else { Some(self.term()?) };
                Selected::Slice(Box::new(of), from, to)
            }
            (Some(key), false) => Selected::Element(Box::new(of), key),
            (None, false) => return Err(self.unexpected("an element")),
        };
        self.expect_symbol("]")?;
        Ok(what)
    }

    fn selected_factor(&mut self) -> Result<Selected> {
        if self.is_call("token") || self.is_call("cast") || self.is_function() {
            return self.selected_call();
        }
        match self.peek() {
            Some(Token::Word(word)) if !is_literal(word) => Ok(Selected::Column(self.name()?)),
            Some(Token::Quoted(_)) => Ok(Selected::Column(self.name()?)),
            Some(Token::Symbol("(")) if !self.is_hint() => {
                self.next();
                let inner = self.selected()?;
                self.expect_symbol(")")?;
                Ok(Selected::Bracketed(Box::new(inner)))
            }
            _ => self.literal().map(Selected::Term),
        }
    }

    /// A literal, whose parts are literals here: real nodes take columns in them too.
    fn literal(&mut self) -> Result<Term> {
        let starts = matches!(self.peek(), Some(Token::Symbol("-" | "[" | "{" | "(")));
        let result = self.factor();
        // What was expected to be a value has been taken.
        let at = self.taken();
        match (result, at) {
            (Err(_), Some(Token::Word(name) | Token::Quoted(name))) if starts => {
                Err(CqlError::invalid(format!(
                    "{name} in a literal or after a minus sign is not supported by this node"
                )))
            }
            (result, _) => result,
        }
    }

    fn is_call(&self, name: &str) -> bool {
        self.is_word(0, name) && matches!(self.peek_at(1), Some(Token::Symbol("(")))
    }

    /// Whether `name(` or `keyspace.name(` is next.
    pub(super) fn is_function(&self) -> bool {
        let is_name =
            |token: Option<&Token>| matches!(token, Some(Token::Word(_) | Token::Quoted(_)));
        let is =
            |ahead, symbol| matches!(self.peek_at(ahead), Some(Token::Symbol(s)) if *s == symbol);
        is_name(self.peek())
            && (is(1, "(") || (is(1, ".") && is_name(self.peek_at(2)) && is(3, "(")))
    }

    pub(super) fn function_name(&mut self) -> Result<FunctionName> {
        // A reserved word is one only where no bracket follows.
        let first = match self.next() {
            Some(Token::Word(name) | Token::Quoted(name)) => name,
            _ => return Err(self.unexpected("a function")),
        };
        if self.symbol(".") {
            return Ok(FunctionName { keyspace: Some(first), name: self.name()? });
        }
        Ok(FunctionName { keyspace: None, name: first })
    }

    fn selected_call(&mut self) -> Result<Selected> {
        let function = self.function_name()?;
        if function.keyspace.is_some() {
            let arguments = self.parenthesised(Self::selected)?;
            return Ok(Selected::Call(function, arguments));
        }
        let stamped = match function.name.as_str() {
            "writetime" => Some(Stamped::Writetime),
            "maxwritetime" => Some(Stamped::MaxWritetime),
            "ttl" => Some(Stamped::Ttl),
            _ => None,
        };
        if let Some(stamped) = stamped {
            self.expect_symbol("(")?;
            let column = self.name()?;
            if matches!(self.peek(), Some(Token::Symbol("[" | "."))) {
                return Err(CqlError::invalid(format!(
                    "{} of a part of a column is not supported by this node: {column}",
                    function.name
                )));
            }
            self.expect_symbol(")")?;
            return Ok(Selected::Stamped(stamped, column));
        }
        match function.name.as_str() {
            "cast" => {
                self.expect_symbol("(")?;
                let what = self.selected()?;
                self.expect_word("as")?;
                let typ = self.cql_type()?;
                if !matches!(typ, CqlType::Native(_)) {
                    return Err(CqlError::syntax(format!("{typ} is no type to cast to")));
                }
                self.expect_symbol(")")?;
                Ok(Selected::Cast(Box::new(what), typ))
            }
            "count" if matches!(self.peek_at(1), Some(Token::Symbol("*"))) => {
                self.expect_symbol("(")?;
                self.expect_symbol("*")?;
                self.expect_symbol(")")?;
                Ok(Selected::CountAll)
            }
            _ => {
                let arguments = self.parenthesised(Self::selected)?;
                let one = Selected::Term(Term::Integer("1".to_owned()));
                if function.name == "count" && arguments == [one] {
                    return Ok(Selected::CountAll);
                }
                Ok(Selected::Call(function, arguments))
            }
        }
    }
}

/// Whether the word stands for a value.
fn is_literal(word: &str) -> bool {
    matches!(word, "null" | "true" | "false" | "nan" | "infinity")
}
