//! Functions and aggregates that users make.
//!
//! There is no Java virtual machine here. Of the language `java` a body is understood that is one
//! `return` of an expression of arguments, literals and arithmetic, or one `throw`: what tests of
//! clients need. Anything else is refused when the function is made.

use std::rc::Rc;

use crate::cql::ast::{Arithmetic, Term};
use crate::cql::lexer::{Token, tokens};
use crate::error::CqlError;
use crate::value::functions::{calculate, type_of};
use crate::value::literal::{Bound, evaluate};
use crate::value::number_ops::{Number, is_number, result_type};
use crate::value::types::{CqlType, Native};

type Result<T> = std::result::Result<T, CqlError>;

/// Bytes of an expression in a body: it can nest as deep as it is long.
const FORMULA_LEN_MAX: usize = 500;

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct UserFunction {
    pub(crate) keyspace: String,
    pub(crate) name: String,
    pub(crate) arguments: Vec<(String, CqlType)>,
    pub(crate) called_on_null: bool,
    pub(crate) returns: CqlType,
    pub(crate) language: String,
    pub(crate) body: String,
    code: Code,
}

#[derive(Clone, Debug)]
enum Code {
    Return(Formula),
    Throw(String),
}

#[derive(Clone, Debug)]
enum Formula {
    Argument(usize),
    Literal(Term),
    Arithmetic(Arithmetic, Box<(Formula, Formula)>),
}

/// An aggregate: a function from a state and a row to the next state, and one from the last state
/// to the result.
#[derive(Clone, Debug)]
pub(crate) struct UserAggregate {
    pub(crate) name: String,
    pub(crate) arguments: Vec<CqlType>,
    pub(crate) state: Rc<UserFunction>,
    pub(crate) state_type: CqlType,
    pub(crate) last: Option<Rc<UserFunction>>,
    pub(crate) initial: Option<Vec<u8>>,
}

/// A type and a value of it.
type Typed = (Native, Vec<u8>);

impl UserFunction {
    /// A function of these arguments.
    pub(crate) fn new(
        keyspace: &str,
        create: &crate::cql::ast::CreateFunction,
        arguments: Vec<(String, CqlType)>,
        returns: CqlType,
    ) -> Result<Self> {
        if create.language != "java" {
            return Err(CqlError::invalid(format!(
                "functions of the language {} are not supported by this node",
                create.language
            )));
        }
        let code = compile(&create.body, &arguments)?;
        Ok(Self {
            keyspace: keyspace.to_owned(),
            name: create.name.name.clone(),
            arguments,
            called_on_null: create.called_on_null,
            returns,
            language: create.language.clone(),
            body: create.body.clone(),
            code,
        })
    }

    pub(crate) fn argument_types(&self) -> Vec<CqlType> {
        self.arguments.iter().map(|(_, typ)| typ.clone()).collect()
    }

    fn failed(&self, what: &str) -> CqlError {
        let types: Vec<_> = self.arguments.iter().map(|(_, typ)| typ.to_string()).collect();
        let message = format!(
            "execution of '{}.{}[{}]' failed: {what}",
            self.keyspace,
            self.name,
            types.join(", ")
        );
        let types: Vec<_> = types.iter().map(String::as_str).collect();
        CqlError::function_failure(&self.keyspace, &self.name, &types, message)
    }

    pub(crate) fn call(&self, arguments: &[Option<Vec<u8>>]) -> Result<Option<Vec<u8>>> {
        if !self.called_on_null && arguments.iter().any(Option::is_none) {
            return Ok(None);
        }
        let formula = match &self.code {
            Code::Return(formula) => formula,
            Code::Throw(message) => {
                return Err(self.failed(&format!("java.lang.RuntimeException: {message}")));
            }
        };
        if let Formula::Argument(index) = formula
            && self.arguments.get(*index).is_some_and(|(_, typ)| *typ == self.returns)
        {
            return Ok(arguments.get(*index).cloned().flatten());
        }
        if matches!(formula, Formula::Literal(Term::Null)) {
            return Ok(None);
        }
        let CqlType::Native(wanted) = self.returns.thawed() else {
            return Err(self.failed("a result that is no scalar"));
        };
        let (native, value) = self.evaluate(formula, arguments)?;
        if native == *wanted {
            return Ok(Some(value));
        }
        let number = Number::read(native, &value).filter(|_| is_number(*wanted));
        let number = number.ok_or_else(|| self.failed("a result of another type"))?;
        Ok(Some(number.write(*wanted)))
    }

    fn evaluate(&self, formula: &Formula, arguments: &[Option<Vec<u8>>]) -> Result<Typed> {
        match formula {
            Formula::Argument(index) => {
                let typ = self.arguments.get(*index).map(|(_, typ)| typ.thawed());
                match (typ, arguments.get(*index)) {
                    (Some(CqlType::Native(native)), Some(Some(value))) => {
                        Ok((*native, value.clone()))
                    }
                    _ => Err(self.failed("java.lang.NullPointerException")),
                }
            }
            Formula::Literal(term) => {
                let typ = type_of(term);
                let Some(CqlType::Native(native)) = typ else {
                    return Err(self.failed("a literal of no scalar type"));
                };
                match evaluate(term, &CqlType::Native(native), &[])? {
                    Bound::Bytes(bytes) => Ok((native, bytes.into_owned())),
                    _ => Err(self.failed("java.lang.NullPointerException")),
                }
            }
            Formula::Arithmetic(operator, both) => {
                let left = self.evaluate(&both.0, arguments)?;
                let right = self.evaluate(&both.1, arguments)?;
                if *operator == Arithmetic::Add && left.0 == Native::Text {
                    return Ok((Native::Text, [left.1, right.1].concat()));
                }
                let typ = result_type(left.0, right.0);
                let typ = typ.ok_or_else(|| self.failed("operands of types that don't fit"))?;
                let value = calculate(*operator, (left.0, &left.1), (right.0, &right.1));
                Ok((typ, value.map_err(|error| self.failed(&error.message))?))
            }
        }
    }
}

impl UserAggregate {
    pub(crate) fn returns(&self) -> &CqlType {
        self.last.as_ref().map_or(&self.state_type, |last| &last.returns)
    }

    /// The state after one more row.
    pub(super) fn step(
        &self,
        state: Option<Vec<u8>>,
        arguments: &[Option<Vec<u8>>],
    ) -> Result<Option<Vec<u8>>> {
        let is_null = state.is_none() || arguments.iter().any(Option::is_none);
        if is_null && !self.state.called_on_null {
            return Ok(state);
        }
        let mut all = vec![state];
        all.extend_from_slice(arguments);
        self.state.call(&all)
    }

    pub(super) fn finish(&self, state: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
        match &self.last {
            Some(last) => last.call(&[state]),
            None => Ok(state),
        }
    }
}

/// Understands a body, or says that it can't.
fn compile(body: &str, arguments: &[(String, CqlType)]) -> Result<Code> {
    let refused = || {
        CqlError::invalid(
            "this node understands only bodies that are one 'return' of an expression of \
             arguments, literals and arithmetic, or one 'throw'",
        )
    };
    let body = body.trim();
    if let Some(thrown) = body.strip_prefix("throw new ") {
        let message = thrown.split('"').nth(1).unwrap_or_default();
        return Ok(Code::Throw(message.to_owned()));
    }
    let formula = body.strip_prefix("return").and_then(|rest| rest.trim_end().strip_suffix(';'));
    // As deep as it is long.
    let formula = formula.filter(|text| text.len() <= FORMULA_LEN_MAX).ok_or_else(refused)?;
    let mut compiler =
        Compiler { tokens: tokens(formula).map_err(|_| refused())?, at: 0, arguments };
    let formula = compiler.sum().ok_or_else(refused)?;
    if compiler.at < compiler.tokens.len() {
        return Err(refused());
    }
    Ok(Code::Return(formula))
}

struct Compiler<'a> {
    tokens: Vec<Token>,
    at: usize,
    arguments: &'a [(String, CqlType)],
}

impl Compiler<'_> {
    fn operator(&mut self, known: &[(&str, Arithmetic)]) -> Option<Arithmetic> {
        let Some(Token::Symbol(symbol)) = self.tokens.get(self.at) else { return None };
        let (_, operator) = known.iter().find(|(known, _)| known == symbol)?;
        self.at += 1;
        Some(*operator)
    }

    fn sum(&mut self) -> Option<Formula> {
        let mut left = self.product()?;
        while let Some(operator) =
            self.operator(&[("+", Arithmetic::Add), ("-", Arithmetic::Subtract)])
        {
            left = Formula::Arithmetic(operator, Box::new((left, self.product()?)));
        }
        Some(left)
    }

    fn product(&mut self) -> Option<Formula> {
        let known =
            [("*", Arithmetic::Multiply), ("/", Arithmetic::Divide), ("%", Arithmetic::Remainder)];
        let mut left = self.factor()?;
        while let Some(operator) = self.operator(&known) {
            left = Formula::Arithmetic(operator, Box::new((left, self.factor()?)));
        }
        Some(left)
    }

    fn factor(&mut self) -> Option<Formula> {
        let token = self.tokens.get(self.at).cloned()?;
        self.at += 1;
        Some(match token {
            Token::Integer(digits) => Formula::Literal(Term::Integer(digits)),
            Token::Float(digits) => Formula::Literal(Term::Float(digits)),
            // Java's quotes.
            Token::Quoted(text) => Formula::Literal(Term::Text(text)),
            Token::Word(word) if word == "null" => Formula::Literal(Term::Null),
            Token::Word(word) if word == "true" || word == "false" => {
                Formula::Literal(Term::Boolean(word == "true"))
            }
            Token::Word(word) => {
                let is_it = |(name, _): &(String, CqlType)| name.eq_ignore_ascii_case(&word);
                Formula::Argument(self.arguments.iter().position(is_it)?)
            }
            Token::Symbol("(") => {
                let inner = self.sum()?;
                if !matches!(self.tokens.get(self.at), Some(Token::Symbol(")"))) {
                    return None;
                }
                self.at += 1;
                inner
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cql::ast::{CreateFunction, FunctionName};

    fn function(body: &str, called_on_null: bool) -> Result<UserFunction> {
        let arguments = vec![("a".to_owned(), CqlType::INT), ("B".to_owned(), CqlType::BIGINT)];
        let create = CreateFunction {
            name: FunctionName { keyspace: None, name: "f".to_owned() },
            or_replace: false,
            if_not_exists: false,
            arguments: arguments.clone(),
            called_on_null,
            returns: CqlType::BIGINT,
            language: "java".to_owned(),
            body: body.to_owned(),
        };
        UserFunction::new("ks", &create, arguments, CqlType::BIGINT)
    }

    #[test]
    fn bodies_that_are_understood() {
        let arguments = [Some(3_i32.to_be_bytes().to_vec()), Some(4_i64.to_be_bytes().to_vec())];
        for (body, expect) in
            [("return a * 2 + (b - 1) / 3;", 7_i64), ("return 5;", 5), (" return a ; ", 3)]
        {
            let value = function(body, false).unwrap().call(&arguments).unwrap().unwrap();
            assert_eq!(value, expect.to_be_bytes(), "{body}");
        }
        let thrown = function("throw new RuntimeException(\"boom\");", true).unwrap();
        let error = thrown.call(&arguments).unwrap_err();
        assert_eq!(error.code, crate::error::code::FUNCTION_FAILURE);
        assert!(error.message.contains("boom"));
        let divides = function("return a / 0;", false).unwrap();
        assert!(divides.call(&arguments).is_err());
        assert_eq!(divides.call(&[None, None]).unwrap(), None);
    }

    #[test]
    fn other_bodies_are_refused() {
        for body in ["", "return x;", "int i = 1; return i;", "return a +;", "while (true) {}"] {
            assert!(function(body, false).is_err(), "{body}");
        }
    }
}
