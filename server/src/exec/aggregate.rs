//! Functions over many rows.

use std::rc::Rc;

use super::expression::Expression;
use super::user_function::UserAggregate;
use crate::cql::ast::Arithmetic;
use crate::error::CqlError;
use crate::value::functions::calculate;
use crate::value::number_ops::{Number, is_number};
use crate::value::order::ordered;
use crate::value::types::{CqlType, Native};

type Result<T> = std::result::Result<T, CqlError>;

#[derive(Clone, Debug)]
pub(super) enum AggregateKind {
    CountAll,
    /// Of values that are not null.
    Count,
    Min,
    Max,
    Sum,
    Average,
    User(Rc<UserAggregate>),
}

/// An aggregate that a statement asks for.
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) kind: AggregateKind,
    pub(super) arguments: Vec<Expression>,
    pub(super) typ: CqlType,
}

/// What is known of an aggregate after some rows.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    count: i64,
    value: Option<Vec<u8>>,
}

impl AggregateKind {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "min" => Self::Min,
            "max" => Self::Max,
            "sum" => Self::Sum,
            "avg" => Self::Average,
            _ => return None,
        })
    }

    /// The type of the result over values of this type.
    pub(super) fn result_type(&self, name: &str, typ: &CqlType) -> Result<CqlType> {
        match self {
            Self::CountAll | Self::Count => Ok(CqlType::BIGINT),
            Self::Sum | Self::Average => match typ {
                CqlType::Native(Native::Counter) => Ok(typ.clone()),
                CqlType::Native(native) if is_number(*native) => Ok(typ.clone()),
                _ => Err(CqlError::invalid(format!(
                    "Invalid call to function {name}, none of its type signatures match (known \
                     type signatures: of numbers): {typ}"
                ))),
            },
            Self::Min | Self::Max | Self::User(_) => Ok(typ.clone()),
        }
    }
}

impl Aggregate {
    /// Shows name and argument types of each function of users that it runs, itself among them.
    pub(super) fn each_function(&self, show: &mut impl FnMut(&str, &[CqlType])) {
        if let AggregateKind::User(aggregate) = &self.kind {
            show(&aggregate.name, &aggregate.arguments);
            for function in std::iter::once(&aggregate.state).chain(&aggregate.last) {
                show(&function.name, &function.argument_types());
            }
        }
        self.arguments.iter().for_each(|argument| argument.each_function(show));
    }

    pub(super) fn start(&self) -> State {
        match &self.kind {
            AggregateKind::User(aggregate) => State { count: 0, value: aggregate.initial.clone() },
            _ => State::default(),
        }
    }

    /// Takes a row's values of the arguments into account.
    pub(super) fn add(&self, state: &mut State, arguments: &[Option<Vec<u8>>]) -> Result<()> {
        if let AggregateKind::User(aggregate) = &self.kind {
            state.value = aggregate.step(state.value.take(), arguments)?;
            return Ok(());
        }
        if matches!(self.kind, AggregateKind::CountAll) {
            state.count += 1;
            return Ok(());
        }
        let Some(Some(value)) = arguments.first() else { return Ok(()) };
        state.count += 1;
        let Some(argument) = self.arguments.first() else { return Ok(()) };
        match self.kind {
            AggregateKind::Min | AggregateKind::Max => {
                let typ = &argument.typ;
                let is_better = state.value.as_ref().is_none_or(|best| {
                    let (best, new) = (ordered(typ, best), ordered(typ, value));
                    if matches!(self.kind, AggregateKind::Min) { new < best } else { new > best }
                });
                if is_better {
                    state.value = Some(value.clone());
                }
            }
            AggregateKind::Sum | AggregateKind::Average => {
                let Some((of, sum_of)) = self.number_types() else { return Ok(()) };
                let sum = match state.value.take() {
                    Some(sum) => calculate(Arithmetic::Add, (sum_of, &sum), (of, value))?,
                    None => Number::read(of, value).map(|n| n.write(sum_of)).unwrap_or_default(),
                };
                state.value = Some(sum);
            }
            AggregateKind::Count | AggregateKind::CountAll | AggregateKind::User(_) => {}
        }
        Ok(())
    }

    /// The types of the values and of their sum, which has room for more.
    fn number_types(&self) -> Option<(Native, Native)> {
        let CqlType::Native(of) = self.arguments.first()?.typ.thawed() else { return None };
        let is_average = matches!(self.kind, AggregateKind::Average);
        let sum_of = match of {
            Native::Counter => Native::Bigint,
            Native::Tinyint | Native::Smallint | Native::Int if is_average => Native::Varint,
            Native::Bigint if is_average => Native::Varint,
            Native::Float if is_average => Native::Double,
            other => *other,
        };
        Some((*of, sum_of))
    }

    /// The result.
    pub(super) fn finish(&self, state: State) -> Result<Option<Vec<u8>>> {
        let count = state.count.to_be_bytes().to_vec();
        let CqlType::Native(typ) = self.typ.thawed() else {
            return match &self.kind {
                AggregateKind::User(aggregate) => aggregate.finish(state.value),
                _ => Ok(state.value),
            };
        };
        Ok(match &self.kind {
            AggregateKind::CountAll | AggregateKind::Count => Some(count),
            AggregateKind::Min | AggregateKind::Max => state.value,
            AggregateKind::User(aggregate) => aggregate.finish(state.value)?,
            // Of no values the sum is zero, and so is the average.
            AggregateKind::Sum | AggregateKind::Average => {
                let zero = || Number::Integer(0).write(*typ);
                let Some(sum) = state.value else { return Ok(Some(zero())) };
                let Some((_, sum_of)) = self.number_types() else { return Ok(None) };
                let is_average = matches!(self.kind, AggregateKind::Average);
                let result = match is_average {
                    true => {
                        let by = Number::Integer(state.count).write(sum_of);
                        calculate(Arithmetic::Divide, (sum_of, &sum), (sum_of, &by))?
                    }
                    false => sum,
                };
                Number::read(sum_of, &result).map(|number| number.write(*typ))
            }
        })
    }
}
