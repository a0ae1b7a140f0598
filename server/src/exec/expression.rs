//! What a SELECT asks for: columns and what is made of them, row by row or over many rows.

use std::rc::Rc;

use super::aggregate::{Aggregate, AggregateKind};
use super::bind::Markers;
use super::restrict::{RowValues, entry};
use super::user_function::UserFunction;
use crate::cql::ast::{Arithmetic, FunctionName, Selected, Stamped, Term};
use crate::error::CqlError;
use crate::schema::{Keyspace, Kind as ColumnKind, Table};
use crate::store::Stamp;
use crate::value::functions::{self, Function};
use crate::value::literal::{Bound, collection, evaluate, map};
use crate::value::number_ops;
use crate::value::order::ordered;
use crate::value::types::{CqlType, Native};
use crate::value::validate::{elements, parts};
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;
/// The bytes of a value, or null.
type Bytes = Option<Vec<u8>>;

/// An item of a SELECT, or a part of one, and its type.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) typ: CqlType,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Position of a column.
    Column(usize),
    Stamped(Stamped, usize),
    Token(Vec<Expression>),
    Term(Term),
    Call(Function, Vec<Expression>),
    User(Rc<UserFunction>, Vec<Expression>),
    Cast(Native, Box<Expression>, Native),
    Field(Box<Expression>, usize),
    /// What it has at a key or index of this type.
    Element(Box<Expression>, Term, CqlType),
    Slice(Box<Expression>, Option<Term>, Option<Term>),
    Arithmetic(Arithmetic, Box<(Expression, Expression)>),
    /// The n-th of the statement's aggregates.
    Aggregate(usize),
}

/// What expressions are evaluated with.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) table: &'a Table,
    pub(super) values: &'a [Value<'a>],
    pub(super) now_s: i64,
    /// The row; none where only aggregates are left to be put together.
    pub(super) row: Option<&'a RowValues<'a>>,
    /// The aggregates' results.
    pub(super) aggregates: &'a [Bytes],
}

/// Resolves what a SELECT asks for.
pub(super) struct Planner<'a> {
    pub(super) table: &'a Table,
    pub(super) keyspace: &'a Keyspace,
    pub(super) markers: &'a mut Markers,
    /// Found so far.
    pub(super) aggregates: Vec<Aggregate>,
}

impl Planner<'_> {
    /// Resolves an item; `expected` is the type of what it is an argument of.
    pub(super) fn plan(
        &mut self,
        selected: &Selected,
        expected: Option<&CqlType>,
    ) -> Result<Expression> {
        match selected {
            Selected::Column(name) => {
                let (position, column) = self.table.column(name)?;
                Ok(Expression { typ: column.typ.clone(), kind: Kind::Column(position) })
            }
            Selected::CountAll => {
                Ok(self.aggregate(AggregateKind::CountAll, None, CqlType::BIGINT))
            }
            Selected::Stamped(stamped, name) => self.stamped(*stamped, name),
            Selected::Term(term) => self.term(term, expected),
            Selected::Call(name, arguments) => self.call(name, arguments, expected),
            Selected::Cast(inner, typ) => self.cast(inner, typ),
            Selected::Bracketed(inner) => self.plan(inner, expected),
            Selected::Field(inner, field) => {
                let inner = self.plan(inner, None)?;
                let CqlType::Udt(udt) = inner.typ.thawed() else {
                    let message = format!(
                        "Invalid field selection: {field} of a value of type {}",
                        inner.typ
                    );
                    return Err(CqlError::invalid(message));
                };
                let (index, typ) = udt.field(field).ok_or_else(|| {
                    CqlError::invalid(format!("Type {} has no field {field}", udt.name))
                })?;
                Ok(Expression { typ: typ.clone(), kind: Kind::Field(Box::new(inner), index) })
            }
            Selected::Element(inner, key) => {
                let inner = self.plan(inner, None)?;
                let (key_type, typ) = match inner.typ.thawed() {
                    CqlType::Map(pair) => (pair.0.clone(), pair.1.clone()),
                    CqlType::Set(element) => ((**element).clone(), (**element).clone()),
                    other => {
                        let message = format!("Invalid element selection: of type {other}");
                        return Err(CqlError::invalid(message));
                    }
                };
                self.markers.note(key, "key", &key_type);
                let kind = Kind::Element(Box::new(inner), key.clone(), key_type);
                Ok(Expression { typ, kind })
            }
            Selected::Slice(inner, from, to) => {
                let inner = self.plan(inner, None)?;
                let key_type = match inner.typ.thawed() {
                    CqlType::Map(pair) => pair.0.clone(),
                    CqlType::Set(element) => (**element).clone(),
                    other => {
                        let message = format!("Invalid slice selection: of type {other}");
                        return Err(CqlError::invalid(message));
                    }
                };
                for bound in from.iter().chain(to) {
                    self.markers.note(bound, "key", &key_type);
                }
                let typ = inner.typ.thawed().clone();
                let kind = Kind::Slice(Box::new(inner), from.clone(), to.clone());
                Ok(Expression { typ, kind })
            }
            Selected::Arithmetic(operator, left, right) => {
                self.arithmetic(*operator, left, right, expected)
            }
        }
    }

    fn aggregate(
        &mut self,
        kind: AggregateKind,
        argument: Option<Vec<Expression>>,
        typ: CqlType,
    ) -> Expression {
        let arguments = argument.unwrap_or_default();
        self.aggregates.push(Aggregate { kind, arguments, typ: typ.clone() });
        Expression { typ, kind: Kind::Aggregate(self.aggregates.len() - 1) }
    }

    fn stamped(&self, stamped: Stamped, name: &str) -> Result<Expression> {
        let (position, column) = self.table.column(name)?;
        let what = match stamped {
            Stamped::Writetime => "writetime",
            Stamped::MaxWritetime => "maxwritetime",
            Stamped::Ttl => "ttl",
        };
        if column.kind.is_key() {
            let message =
                format!("Cannot use selection function {what} on PRIMARY KEY part {name}");
            return Err(CqlError::invalid(message));
        }
        let one = if stamped == Stamped::Ttl { CqlType::INT } else { CqlType::BIGINT };
        let typ = match column.typ.is_multi_cell() && stamped != Stamped::MaxWritetime {
            true => CqlType::List(Box::new(one)),
            false => one,
        };
        Ok(Expression { typ, kind: Kind::Stamped(stamped, position) })
    }

    fn term(&mut self, term: &Term, expected: Option<&CqlType>) -> Result<Expression> {
        let typ = match (term, expected) {
            (Term::Hint(typ, _), _) => typ.clone(),
            (_, Some(typ)) => typ.clone(),
            (Term::Call(..), None) => functions::type_of(term).unwrap_or(CqlType::TEXT),
            _ => {
                let message = "Cannot infer type for term in selection clause (try using a cast \
                               to force a type)";
                return Err(CqlError::invalid(message));
            }
        };
        self.markers.note(term, "[selection]", &typ);
        Ok(Expression { typ, kind: Kind::Term(term.clone()) })
    }

    fn call(
        &mut self,
        name: &FunctionName,
        arguments: &[Selected],
        expected: Option<&CqlType>,
    ) -> Result<Expression> {
        let is_system = name.keyspace.as_ref().is_none_or(|keyspace| keyspace == "system");
        if is_system && name.name == "token" {
            let key = self.table.partition_key();
            if arguments.len() != key.len() {
                return Err(CqlError::invalid(format!(
                    "Invalid number of arguments in call to function system.token: {} required \
                     but {} provided",
                    key.len(),
                    arguments.len()
                )));
            }
            let mut planned = Vec::new();
            for (argument, column) in arguments.iter().zip(key) {
                let part = self.plan(argument, Some(&column.typ))?;
                if !functions::is_taken_as(&part.typ, &column.typ) {
                    return Err(CqlError::invalid(format!(
                        "Type error: an argument of system.token is of type {}, not {}",
                        part.typ, column.typ
                    )));
                }
                planned.push(part);
            }
            return Ok(Expression { typ: CqlType::BIGINT, kind: Kind::Token(planned) });
        }
        if is_system && let Some(kind) = AggregateKind::of_name(&name.name) {
            let [argument] = arguments else {
                let message = format!("Invalid number of arguments for function {}", name.name);
                return Err(CqlError::invalid(message));
            };
            let argument = self.row_expression(argument, None)?;
            let typ = kind.result_type(&name.name, &argument.typ)?;
            return Ok(self.aggregate(kind, Some(vec![argument]), typ));
        }
        if let Some(expression) = self.user_call(name, arguments)? {
            return Ok(expression);
        }
        let types: Vec<_> = arguments.iter().map(|argument| self.type_of(argument)).collect();
        let function = functions::resolve(name, &types, expected)?;
        let planned = arguments
            .iter()
            .zip(&function.arguments)
            .map(|(argument, typ)| self.plan(argument, Some(typ)))
            .collect::<Result<Vec<_>>>()?;
        let typ = function.returns.clone();
        Ok(Expression { typ, kind: Kind::Call(function, planned) })
    }

    /// A call of a function or aggregate that a user has made.
    fn user_call(
        &mut self,
        name: &FunctionName,
        arguments: &[Selected],
    ) -> Result<Option<Expression>> {
        if name.keyspace.as_ref().is_some_and(|keyspace| *keyspace != self.keyspace.name) {
            return Ok(None);
        }
        let types: Vec<_> = arguments.iter().map(|argument| self.type_of(argument)).collect();
        let fits = |wanted: &[CqlType]| {
            wanted.len() == types.len()
                && wanted.iter().zip(&types).all(|(wanted, given)| {
                    given.as_ref().is_none_or(|given| functions::is_taken_as(given, wanted))
                })
        };
        let keyspace = self.keyspace;
        let mut functions = keyspace.functions.iter().filter(|f| f.name == name.name);
        if let Some(function) = functions.find(|function| fits(&function.argument_types())) {
            let planned = arguments
                .iter()
                .zip(&function.arguments)
                .map(|(argument, (_, typ))| self.plan(argument, Some(typ)))
                .collect::<Result<Vec<_>>>()?;
            let typ = function.returns.clone();
            return Ok(Some(Expression { typ, kind: Kind::User(Rc::clone(function), planned) }));
        }
        let mut aggregates = keyspace.aggregates.iter().filter(|a| a.name == name.name);
        if let Some(aggregate) = aggregates.find(|aggregate| fits(&aggregate.arguments)) {
            let planned = arguments
                .iter()
                .zip(&aggregate.arguments)
                .map(|(argument, typ)| self.row_expression(argument, Some(typ)))
                .collect::<Result<Vec<_>>>()?;
            let kind = AggregateKind::User(Rc::clone(aggregate));
            return Ok(Some(self.aggregate(kind, Some(planned), aggregate.returns().clone())));
        }
        Ok(None)
    }

    /// An argument of an aggregate, which has no aggregates itself.
    fn row_expression(
        &mut self,
        selected: &Selected,
        expected: Option<&CqlType>,
    ) -> Result<Expression> {
        let count = self.aggregates.len();
        let expression = self.plan(selected, expected)?;
        if self.aggregates.len() > count {
            let message = "aggregate functions cannot be used as arguments of aggregate functions";
            return Err(CqlError::invalid(message));
        }
        Ok(expression)
    }

    /// The type of an item where it does not depend on what it is used as.
    fn type_of(&self, selected: &Selected) -> Option<CqlType> {
        if let Selected::Term(term) = selected {
            return match term {
                Term::Hint(typ, _) => Some(typ.clone()),
                Term::Call(..) => functions::type_of(term),
                _ => None,
            };
        }
        let (mut markers, table, keyspace) = (Markers::new(&[]), self.table, self.keyspace);
        let mut planner =
            Planner { table, keyspace, markers: &mut markers, aggregates: Vec::new() };
        planner.plan(selected, None).ok().map(|expression| expression.typ)
    }

    fn cast(&mut self, inner: &Selected, typ: &CqlType) -> Result<Expression> {
        let inner = self.plan(inner, None)?;
        match (inner.typ.thawed(), typ) {
            (CqlType::Native(from), CqlType::Native(to)) if number_ops::can_cast(*from, *to) => {
                let kind = Kind::Cast(*from, Box::new(inner), *to);
                Ok(Expression { typ: typ.clone(), kind })
            }
            (from, to) => Err(CqlError::invalid(format!("{from} cannot be cast to {to}"))),
        }
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Selected,
        right: &Selected,
        expected: Option<&CqlType>,
    ) -> Result<Expression> {
        // A literal takes the other side's type.
        let (left_type, right_type) = (self.type_of(left), self.type_of(right));
        let is_time =
            |typ: &CqlType| matches!(typ, CqlType::Native(Native::Timestamp | Native::Date));
        let for_right = match &left_type {
            Some(typ) if is_time(typ) => Some(CqlType::Native(Native::Duration)),
            other => other.clone(),
        };
        let left = self.plan(left, left_type.as_ref().or(right_type.as_ref()).or(expected))?;
        let right = self.plan(right, right_type.as_ref().or(for_right.as_ref()).or(expected))?;
        let typ = match (left.typ.thawed(), right.typ.thawed()) {
            (CqlType::Native(left), CqlType::Native(right)) => {
                number_ops::result_type(*left, *right)
            }
            _ => None,
        };
        let Some(typ) = typ else {
            let (left, right) = (&left.typ, &right.typ);
            let message = format!(
                "the '{}' operation is not supported between {left} and {right}",
                operator.symbol()
            );
            return Err(CqlError::invalid(message));
        };
        let kind = Kind::Arithmetic(operator, Box::new((left, right)));
        Ok(Expression { typ: CqlType::Native(typ), kind })
    }
}

impl Expression {
    /// A column by its position.
    pub(super) fn column(position: usize, typ: CqlType) -> Self {
        Self { typ, kind: Kind::Column(position) }
    }

    /// The position of the column that it is, if it is one as it stands.
    pub(super) fn position(&self) -> Option<usize> {
        match self.kind {
            Kind::Column(position) => Some(position),
            _ => None,
        }
    }

    /// Whether it is the same for all rows of a partition.
    pub(super) fn is_of_partition(&self, table: &Table) -> bool {
        match &self.kind {
            Kind::Column(position) => table.columns.get(*position).is_some_and(|column| {
                matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Static)
            }),
            Kind::Term(_) => true,
            Kind::Stamped(_, position) => table.is_static(*position),
            Kind::Token(parts) | Kind::Call(_, parts) | Kind::User(_, parts) => {
                parts.iter().all(|part| part.is_of_partition(table))
            }
            Kind::Cast(_, inner, _)
            | Kind::Field(inner, _)
            | Kind::Element(inner, ..)
            | Kind::Slice(inner, ..) => inner.is_of_partition(table),
            Kind::Arithmetic(_, both) => {
                both.0.is_of_partition(table) && both.1.is_of_partition(table)
            }
            Kind::Aggregate(_) => false,
        }
    }

    /// Whether it has to wait for the last row.
    pub(super) fn has_aggregate(&self) -> bool {
        match &self.kind {
            Kind::Aggregate(_) => true,
            Kind::Token(parts) | Kind::Call(_, parts) | Kind::User(_, parts) => {
                parts.iter().any(Self::has_aggregate)
            }
            Kind::Cast(_, inner, _)
            | Kind::Field(inner, _)
            | Kind::Element(inner, ..)
            | Kind::Slice(inner, ..) => inner.has_aggregate(),
            Kind::Arithmetic(_, both) => both.0.has_aggregate() || both.1.has_aggregate(),
            Kind::Column(_) | Kind::Stamped(..) | Kind::Term(_) => false,
        }
    }

    /// Shows name and argument types of each function of users that it calls, except in aggregates.
    pub(super) fn each_function(&self, show: &mut impl FnMut(&str, &[CqlType])) {
        if let Kind::User(function, _) = &self.kind {
            show(&function.name, &function.argument_types());
        }
        match &self.kind {
            Kind::Token(parts) | Kind::Call(_, parts) | Kind::User(_, parts) => {
                parts.iter().for_each(|part| part.each_function(show));
            }
            Kind::Cast(_, inner, _)
            | Kind::Field(inner, _)
            | Kind::Element(inner, ..)
            | Kind::Slice(inner, ..) => inner.each_function(show),
            Kind::Arithmetic(_, both) => {
                both.0.each_function(show);
                both.1.each_function(show);
            }
            Kind::Column(_) | Kind::Stamped(..) | Kind::Term(_) | Kind::Aggregate(_) => {}
        }
    }

    /// The value for a row.
    pub(super) fn value(&self, scope: Scope<'_>) -> Result<Bytes> {
        Ok(match &self.kind {
            Kind::Column(position) => {
                let column = scope.table.columns.get(*position);
                let value = column.zip(scope.row).and_then(|(column, row)| row.value(column));
                value.map(std::borrow::Cow::into_owned)
            }
            Kind::Stamped(stamped, position) => stamps(*stamped, *position, scope),
            Kind::Token(parts) => {
                let parts: Option<Vec<_>> = all(parts, scope)?.into_iter().collect();
                parts.map(|parts| scope.table.partition_of(&parts).token.to_be_bytes().to_vec())
            }
            Kind::Term(term) => match evaluate(term, &self.typ, scope.values)? {
                Bound::Bytes(bytes) => Some(bytes.into_owned()),
                _ => None,
            },
            Kind::Call(function, arguments) => function.call(&all(arguments, scope)?)?,
            Kind::User(function, arguments) => function.call(&all(arguments, scope)?)?,
            Kind::Cast(from, inner, to) => {
                inner.value(scope)?.and_then(|value| number_ops::cast(*from, *to, &value))
            }
            Kind::Field(inner, index) => {
                let whole = inner.value(scope)?;
                let parts = whole.as_deref().and_then(|whole| parts(whole).ok());
                let part = parts.and_then(|parts| parts.get(*index).copied().flatten());
                part.map(<[u8]>::to_vec)
            }
            Kind::Element(inner, key, typ) => {
                let (Some(whole), Bound::Bytes(key)) =
                    (inner.value(scope)?, evaluate(key, typ, scope.values)?)
                else {
                    return Ok(None);
                };
                match inner.typ.thawed() {
                    CqlType::Map(_) => entry(&whole, &key).map(<[u8]>::to_vec),
                    _ => {
                        let items = elements(&whole, 1).unwrap_or_default();
                        items.contains(&&key[..]).then(|| key.into_owned())
                    }
                }
            }
            Kind::Slice(inner, from, to) => {
                let Some(whole) = inner.value(scope)? else { return Ok(None) };
                sliced(inner.typ.thawed(), &whole, (from, to), scope)?
            }
            Kind::Arithmetic(operator, both) => {
                let (CqlType::Native(left), CqlType::Native(right)) =
                    (both.0.typ.thawed(), both.1.typ.thawed())
                else {
                    return Ok(None);
                };
                match (both.0.value(scope)?, both.1.value(scope)?) {
                    (Some(a), Some(b)) => {
                        Some(functions::calculate(*operator, (*left, &a), (*right, &b))?)
                    }
                    _ => None,
                }
            }
            Kind::Aggregate(index) => scope.aggregates.get(*index).cloned().flatten(),
        })
    }
}

/// The values of several expressions.
pub(super) fn all(expressions: &[Expression], scope: Scope<'_>) -> Result<Vec<Bytes>> {
    expressions.iter().map(|expression| expression.value(scope)).collect()
}

/// When a column was written or how long it lives; of each element, if it has elements.
fn stamps(stamped: Stamped, position: usize, scope: Scope<'_>) -> Bytes {
    let column = scope.table.columns.get(position)?;
    let row = scope.row?.holder(column)?;
    let of = |stamp: &Stamp| match stamped {
        Stamped::Writetime | Stamped::MaxWritetime => Some(stamp.at.to_be_bytes().to_vec()),
        Stamped::Ttl => stamp.expires.map(|(expires_s, _)| {
            let left = i32::try_from(expires_s - scope.now_s).unwrap_or(i32::MAX);
            left.to_be_bytes().to_vec()
        }),
    };
    if !column.typ.is_multi_cell() {
        return of(&row.cell(column.id)?.stamp);
    }
    if stamped == Stamped::MaxWritetime {
        let times = row.elements(column.id).map(|(_, element)| element.cell.stamp.at);
        return times.max().map(|at| at.to_be_bytes().to_vec());
    }
    let items: Vec<Bytes> =
        row.elements(column.id).map(|(_, element)| of(&element.cell.stamp)).collect();
    if items.is_empty() {
        return None;
    }
    // Elements that live for ever are null in the list, which no other list has.
    let mut bytes = i32::try_from(items.len()).unwrap_or(i32::MAX).to_be_bytes().to_vec();
    bytes.extend(crate::value::multi_cell::tuple(&items));
    Some(bytes)
}

/// The part of a set or map between two keys, both included.
fn sliced(
    typ: &CqlType,
    whole: &[u8],
    (from, to): (&Option<Term>, &Option<Term>),
    scope: Scope<'_>,
) -> Result<Bytes> {
    let (key_type, per_item) = match typ {
        CqlType::Map(pair) => (&pair.0, 2),
        CqlType::Set(element) => (&**element, 1),
        _ => return Ok(None),
    };
    let bound = |term: &Option<Term>| -> Result<Bytes> {
        let Some(term) = term else { return Ok(None) };
        match evaluate(term, key_type, scope.values)? {
            Bound::Bytes(bytes) => Ok(Some(ordered(key_type, &bytes))),
            _ => Err(CqlError::invalid("Invalid null value for element selection")),
        }
    };
    let (from, to) = (bound(from)?, bound(to)?);
    let is_in = |key: &[u8]| {
        let key = ordered(key_type, key);
        from.as_ref().is_none_or(|from| key >= *from) && to.as_ref().is_none_or(|to| key <= *to)
    };
    let items = elements(whole, per_item).unwrap_or_default();
    let kept = items.chunks_exact(per_item).filter(|item| item.first().is_some_and(|k| is_in(k)));
    if per_item == 1 {
        let items: Vec<_> = kept.flatten().map(|item| item.to_vec()).collect();
        return Ok((!items.is_empty()).then(|| collection(&items)));
    }
    let entries: Vec<_> = kept
        .filter_map(|entry| match entry {
            [key, value] => Some((key.to_vec(), value.to_vec())),
            _ => None,
        })
        .collect();
    Ok((!entries.is_empty()).then(|| map(&entries)))
}

/// How an item is called in the result unless it has an alias.
pub(super) fn title(selected: &Selected, keyspace: &Keyspace, table: &Table) -> String {
    let title = |item: &Selected, keyspace: &Keyspace| title(item, keyspace, table);
    let all = |items: &[Selected]| {
        items.iter().map(|item| title(item, keyspace)).collect::<Vec<_>>().join(", ")
    };
    match selected {
        // A cast to the type that it has is none.
        Selected::Cast(inner, typ)
            if matches!(&**inner, Selected::Column(name)
                if table.column(name).is_ok_and(|(_, column)| column.typ == *typ)) =>
        {
            title(inner, keyspace)
        }
        Selected::Column(name) => name.clone(),
        Selected::CountAll => "count".to_owned(),
        Selected::Stamped(Stamped::Writetime, name) => format!("writetime({name})"),
        Selected::Stamped(Stamped::MaxWritetime, name) => format!("maxwritetime({name})"),
        Selected::Stamped(Stamped::Ttl, name) => format!("ttl({name})"),
        Selected::Call(name, arguments) => {
            let is_users = keyspace.functions.iter().any(|f| f.name == name.name)
                || keyspace.aggregates.iter().any(|a| a.name == name.name);
            let home = match &name.keyspace {
                Some(keyspace) => keyspace,
                None if is_users => &keyspace.name,
                None => "system",
            };
            format!("{home}.{}({})", name.name, all(arguments))
        }
        Selected::Bracketed(inner) => format!("({})", title(inner, keyspace)),
        Selected::Cast(inner, typ) => format!("cast({} as {typ})", title(inner, keyspace)),
        Selected::Term(term) => term_title(term),
        Selected::Field(inner, field) => format!("{}.{field}", title(inner, keyspace)),
        Selected::Element(inner, key) => {
            format!("{}[{}]", title(inner, keyspace), term_title(key))
        }
        Selected::Slice(inner, from, to) => {
            let bound = |term: &Option<Term>| term.as_ref().map(term_title).unwrap_or_default();
            format!("{}[{}..{}]", title(inner, keyspace), bound(from), bound(to))
        }
        Selected::Arithmetic(operator, left, right) => {
            let (left, right) = (title(left, keyspace), title(right, keyspace));
            format!("{left} {} {right}", operator.symbol())
        }
    }
}

fn term_title(term: &Term) -> String {
    match term {
        Term::Null => "null".to_owned(),
        Term::Boolean(value) => value.to_string(),
        Term::Integer(text) | Term::Float(text) | Term::Duration(text) => text.clone(),
        Term::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Term::Blob(bytes) => format!("0x{}", crate::value::text::hex(bytes)),
        Term::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).to_string(),
        Term::Marker(_) => "?".to_owned(),
        Term::List(items) => format!("[{}]", term_titles(items)),
        Term::Set(items) => format!("{{{}}}", term_titles(items)),
        Term::Tuple(items) => format!("({})", term_titles(items)),
        Term::Map(items) => {
            let entry =
                |(key, value): &(Term, Term)| format!("{}: {}", term_title(key), term_title(value));
            format!("{{{}}}", items.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Term::Hint(typ, inner) => format!("({typ}){}", term_title(inner)),
        Term::Call(name, arguments) => {
            format!("system.{}({})", name.name, term_titles(arguments))
        }
        _ => "term".to_owned(),
    }
}

fn term_titles(terms: &[Term]) -> String {
    terms.iter().map(term_title).collect::<Vec<_>>().join(", ")
}
