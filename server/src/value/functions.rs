//! Functions on values, the same in terms and in what a SELECT asks for.

use super::json::{from_json, parse, write_json};
use super::literal::{Bound, collection, evaluate};
use super::number_ops::{self, Number, is_number};
use super::order::ordered;
use super::time::{millis_of, now_us, timeuuid, timeuuid_bounds};
use super::types::{CqlType, Native};
use super::validate::{elements, validate, vector_elements};
use crate::cql::ast::{Arithmetic, FunctionName, Term};
use crate::error::CqlError;
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// A function for arguments of certain types.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// As it was written.
    name: String,
    pub(crate) arguments: Vec<CqlType>,
    pub(crate) returns: CqlType,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Now,
    Uuid,
    CurrentTimestamp,
    CurrentDate,
    CurrentTime,
    MinTimeuuid,
    MaxTimeuuid,
    /// `toDate` and the like: of any time.
    Date,
    Timestamp,
    UnixTimestamp,
    ToJson,
    FromJson,
    /// `intAsBlob` and the like: the bytes are the same.
    Same,
    /// `blobAsInt` and the like: the bytes have to be a value.
    FromBlob,
    Math(Math),
    MapKeys,
    MapValues,
    CollectionCount,
    /// `collection_min` and `collection_max`.
    CollectionEnd(bool),
    CollectionSum,
    CollectionAverage,
    Similarity(Similarity),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Math {
    Abs,
    Exp,
    Log,
    Log10,
    Round,
}

/// How alike two vectors are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Similarity {
    Cosine,
    Euclidean,
    DotProduct,
}

const fn native(native: Native) -> CqlType {
    CqlType::Native(native)
}

/// Finds the function of this name for arguments of these types, which may be unknown; `expected`
/// is what its value is used as, if that is known.
pub(crate) fn resolve(
    name: &FunctionName,
    arguments: &[Option<CqlType>],
    expected: Option<&CqlType>,
) -> Result<Function> {
    let unknown = || {
        let keyspace = name.keyspace.as_ref().map(|keyspace| format!("{keyspace}."));
        let message = format!("Unknown function '{}{}'", keyspace.unwrap_or_default(), name.name);
        CqlError::invalid(message)
    };
    if name.keyspace.as_ref().is_some_and(|keyspace| keyspace != "system") {
        return Err(unknown());
    }
    let plain = name.name.replace('_', "");
    let first = arguments.first().cloned().flatten();
    let (kind, wanted, returns) = of_times(&plain, first.as_ref())
        .or_else(|| of_conversions(&plain, first.as_ref(), expected))
        .or_else(|| of_collections(&plain, first.as_ref()))
        .or_else(|| of_numbers(&plain, first.as_ref()))
        .ok_or_else(unknown)?;
    if wanted.len() != arguments.len() {
        return Err(CqlError::invalid(format!(
            "Invalid number of arguments in call to function system.{}: {} required but {} \
             provided",
            name.name,
            wanted.len(),
            arguments.len()
        )));
    }
    for (index, (wanted, given)) in wanted.iter().zip(arguments).enumerate() {
        if let Some(given) = given.as_ref().filter(|given| !is_taken_as(given, wanted)) {
            return Err(CqlError::invalid(format!(
                "Type error: argument {index} of system.{} is of type {given} but is used as \
                 {wanted}",
                name.name
            )));
        }
    }
    Ok(Function { name: name.name.clone(), arguments: wanted, returns, kind })
}

/// Whether a value of one type can be used as one of another without being changed.
pub(crate) fn is_taken_as(given: &CqlType, wanted: &CqlType) -> bool {
    given.thawed() == wanted.thawed()
        || matches!(
            (given.thawed(), wanted.thawed()),
            (CqlType::Native(Native::Ascii), CqlType::Native(Native::Text))
                | (CqlType::Native(Native::Timeuuid), CqlType::Native(Native::Uuid))
                | (_, CqlType::Native(Native::Blob))
        )
}

type Found = Option<(Kind, Vec<CqlType>, CqlType)>;

fn of_times(name: &str, first: Option<&CqlType>) -> Found {
    let timeuuid = || native(Native::Timeuuid);
    let timestamp = || native(Native::Timestamp);
    let date = || native(Native::Date);
    // Of several kinds of times; a time-based UUID is what a marker binds.
    let time = |others: &[Native]| match first.map(CqlType::thawed) {
        Some(CqlType::Native(typ)) if others.contains(typ) => native(*typ),
        _ => timeuuid(),
    };
    Some(match name {
        "now" | "currenttimeuuid" => (Kind::Now, vec![], timeuuid()),
        "uuid" => (Kind::Uuid, vec![], native(Native::Uuid)),
        "currenttimestamp" => (Kind::CurrentTimestamp, vec![], timestamp()),
        "currentdate" => (Kind::CurrentDate, vec![], date()),
        "currenttime" => (Kind::CurrentTime, vec![], native(Native::Time)),
        "mintimeuuid" => (Kind::MinTimeuuid, vec![timestamp()], timeuuid()),
        "maxtimeuuid" => (Kind::MaxTimeuuid, vec![timestamp()], timeuuid()),
        "todate" => (Kind::Date, vec![time(&[Native::Timestamp])], date()),
        "totimestamp" => (Kind::Timestamp, vec![time(&[Native::Date])], timestamp()),
        "dateof" => (Kind::Timestamp, vec![timeuuid()], timestamp()),
        "tounixtimestamp" => {
            let argument = time(&[Native::Timestamp, Native::Date]);
            (Kind::UnixTimestamp, vec![argument], CqlType::BIGINT)
        }
        "unixtimestampof" => (Kind::UnixTimestamp, vec![timeuuid()], CqlType::BIGINT),
        _ => return None,
    })
}

fn of_conversions(name: &str, first: Option<&CqlType>, expected: Option<&CqlType>) -> Found {
    if name == "tojson" {
        return Some((Kind::ToJson, vec![first?.clone()], CqlType::TEXT));
    }
    if name == "fromjson" {
        return Some((Kind::FromJson, vec![CqlType::TEXT], expected?.clone()));
    }
    let named = |name: &str| Native::from_name(name).filter(|typ| *typ != Native::Blob);
    if let Some(typ) = name.strip_suffix("asblob").and_then(named) {
        return Some((Kind::Same, vec![native(typ)], native(Native::Blob)));
    }
    let typ = name.strip_prefix("blobas").and_then(named)?;
    Some((Kind::FromBlob, vec![native(Native::Blob)], native(typ)))
}

fn of_collections(name: &str, first: Option<&CqlType>) -> Found {
    let given = first?;
    let of = |kind, returns| Some((kind, vec![given.clone()], returns));
    match (name, given.thawed()) {
        ("mapkeys", CqlType::Map(pair)) => {
            of(Kind::MapKeys, CqlType::Set(Box::new(pair.0.clone())))
        }
        ("mapvalues", CqlType::Map(pair)) => {
            of(Kind::MapValues, CqlType::List(Box::new(pair.1.clone())))
        }
        ("collectioncount", CqlType::List(_) | CqlType::Set(_) | CqlType::Map(_)) => {
            of(Kind::CollectionCount, CqlType::INT)
        }
        (
            "collectionmin" | "collectionmax" | "collectionsum" | "collectionavg",
            CqlType::List(element) | CqlType::Set(element),
        ) => {
            let kind = match name {
                "collectionmin" => Kind::CollectionEnd(false),
                "collectionmax" => Kind::CollectionEnd(true),
                "collectionsum" => Kind::CollectionSum,
                _ => Kind::CollectionAverage,
            };
            let takes_numbers = matches!(kind, Kind::CollectionSum | Kind::CollectionAverage);
            let is_numeric = matches!(&**element, CqlType::Native(typ) if is_number(*typ));
            if takes_numbers && !is_numeric { None } else { of(kind, (**element).clone()) }
        }
        (
            "similaritycosine" | "similarityeuclidean" | "similaritydotproduct",
            CqlType::Vector(element, _),
        ) if **element == native(Native::Float) => {
            let similarity = match name {
                "similaritycosine" => Similarity::Cosine,
                "similarityeuclidean" => Similarity::Euclidean,
                _ => Similarity::DotProduct,
            };
            let arguments = vec![given.clone(), given.clone()];
            Some((Kind::Similarity(similarity), arguments, native(Native::Float)))
        }
        _ => None,
    }
}

fn of_numbers(name: &str, first: Option<&CqlType>) -> Found {
    let math = match name {
        "abs" => Math::Abs,
        "exp" => Math::Exp,
        "log" => Math::Log,
        "log10" => Math::Log10,
        "round" => Math::Round,
        _ => return None,
    };
    let typ = match first {
        None => CqlType::INT,
        Some(CqlType::Native(typ)) if is_number(*typ) => native(*typ),
        Some(_) => return None,
    };
    Some((Kind::Math(math), vec![typ.clone()], typ))
}

impl Function {
    /// The function's value; `arguments` are valid values of its types, as many as it has.
    pub(crate) fn call(&self, arguments: &[Option<Vec<u8>>]) -> Result<Option<Vec<u8>>> {
        let now = now_us();
        let value = match self.kind {
            Kind::Now => timeuuid(now, fastrand::u64(..)).to_vec(),
            Kind::Uuid => uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes())
                .into_uuid()
                .into_bytes()
                .to_vec(),
            Kind::CurrentTimestamp => (now / 1000).to_be_bytes().to_vec(),
            Kind::CurrentDate => date_of(now / 1000),
            Kind::CurrentTime => (now.rem_euclid(86_400_000_000) * 1000).to_be_bytes().to_vec(),
            _ => {
                let given: Option<Vec<&[u8]>> = arguments.iter().map(Option::as_deref).collect();
                return match given {
                    Some(given) => self.of(&given),
                    // Of null nothing is known, but how it is written.
                    None if self.kind == Kind::ToJson => Ok(Some(b"null".to_vec())),
                    None => Ok(None),
                };
            }
        };
        Ok(Some(value))
    }

    fn of(&self, arguments: &[&[u8]]) -> Result<Option<Vec<u8>>> {
        let first = arguments.first().copied().unwrap_or_default();
        let typ = self.arguments.first();
        let millis = || match typ {
            Some(CqlType::Native(native)) => millis_of(*native, first),
            _ => None,
        };
        Ok(match self.kind {
            Kind::MinTimeuuid => millis().map(|millis| timeuuid_bounds(millis)[0].to_vec()),
            Kind::MaxTimeuuid => millis().map(|millis| timeuuid_bounds(millis)[1].to_vec()),
            Kind::Date => millis().map(date_of),
            Kind::Timestamp | Kind::UnixTimestamp => {
                millis().map(|millis| millis.to_be_bytes().to_vec())
            }
            Kind::ToJson => typ.map(|typ| {
                let mut text = String::new();
                write_json(typ, Some(first), &mut text);
                text.into_bytes()
            }),
            Kind::FromJson => {
                let text = String::from_utf8_lossy(first);
                let value = parse(&text).and_then(|json| from_json(&self.returns, &json));
                value.map_err(|what| {
                    CqlError::function_failure("system", &self.name, &["text"], what)
                })?
            }
            Kind::Same => Some(first.to_vec()),
            Kind::FromBlob => {
                validate(&self.returns, first).map_err(|what| {
                    let message = format!(
                        "In call to function system.{}, value 0x{} is not a valid binary \
                         representation for type {}: {what}",
                        self.name,
                        super::text::hex(first),
                        self.returns
                    );
                    CqlError::invalid(message)
                })?;
                Some(first.to_vec())
            }
            Kind::Math(math) => match typ {
                Some(CqlType::Native(native)) => {
                    Number::read(*native, first).map(|number| math.of(&number).write(*native))
                }
                _ => None,
            },
            Kind::MapKeys | Kind::MapValues => {
                let skip = usize::from(self.kind == Kind::MapValues);
                let parts = elements(first, 2).unwrap_or_default();
                let parts = parts.into_iter().skip(skip).step_by(2).map(<[u8]>::to_vec);
                Some(collection(&parts.collect::<Vec<_>>()))
            }
            Kind::CollectionCount => first.first_chunk::<4>().map(|count| count.to_vec()),
            Kind::CollectionEnd(is_max) => {
                let mut items = elements(first, 1).unwrap_or_default();
                items.sort_by_cached_key(|item| ordered(&self.returns, item));
                let item = if is_max { items.last() } else { items.first() };
                item.map(|item| item.to_vec())
            }
            Kind::CollectionSum | Kind::CollectionAverage => self.summed(first)?,
            Kind::Similarity(similarity) => {
                let vector = |index: usize| floats(typ?, arguments.get(index)?);
                vector(0)
                    .zip(vector(1))
                    .map(|(left, right)| similarity.of(&left, &right).to_be_bytes().to_vec())
            }
            _ => None,
        })
    }

    /// The sum or average of a collection's elements.
    fn summed(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        let CqlType::Native(native) = self.returns else { return Ok(None) };
        let items = elements(bytes, 1).unwrap_or_default();
        let mut sum = Number::Integer(0).write(native);
        let wrong = |what: &str| CqlError::invalid(format!("system.{}: {what}", self.name));
        for item in &items {
            sum = number_ops::apply(Arithmetic::Add, (native, &sum), (native, item))
                .map_err(wrong)?;
        }
        if self.kind == Kind::CollectionSum || items.is_empty() {
            return Ok(Some(sum));
        }
        let count = Number::Integer(i64::try_from(items.len()).unwrap_or(i64::MAX)).write(native);
        number_ops::apply(Arithmetic::Divide, (native, &sum), (native, &count))
            .map(Some)
            .map_err(wrong)
    }
}

impl Math {
    fn of(self, number: &Number) -> Number {
        match self {
            Self::Abs => number.abs(),
            Self::Round => number.round(),
            Self::Exp => Number::Float(number.float().exp()),
            Self::Log => Number::Float(number.float().ln()),
            Self::Log10 => Number::Float(number.float().log10()),
        }
    }
}

impl Similarity {
    /// Between 0 and 1; the greater, the more alike.
    pub(crate) fn of(self, left: &[f32], right: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        match self {
            Self::Cosine => {
                let norm = (dot(left, left) * dot(right, right)).sqrt();
                f32::midpoint(1.0, dot(left, right) / norm)
            }
            Self::DotProduct => f32::midpoint(1.0, dot(left, right)),
            Self::Euclidean => {
                let square = left.iter().zip(right).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
                1.0 / (1.0 + square)
            }
        }
    }
}

/// The elements of a vector of floats.
pub(crate) fn floats(typ: &CqlType, bytes: &[u8]) -> Option<Vec<f32>> {
    let CqlType::Vector(element, len) = typ.thawed() else { return None };
    let items = vector_elements(element, *len, bytes).ok()?;
    items.into_iter().map(|item| item.first_chunk().map(|b| f32::from_be_bytes(*b))).collect()
}

fn date_of(millis: i64) -> Vec<u8> {
    let day = millis.div_euclid(86_400_000) + (1 << 31);
    u32::try_from(day).unwrap_or(if day < 0 { 0 } else { u32::MAX }).to_be_bytes().to_vec()
}

/// The type that a term has by itself; `None` where that depends on what it is used as.
pub(crate) fn type_of(term: &Term) -> Option<CqlType> {
    Some(match term {
        Term::Boolean(_) => CqlType::BOOLEAN,
        Term::Integer(digits) if digits.parse::<i32>().is_ok() => CqlType::INT,
        Term::Integer(digits) if digits.parse::<i64>().is_ok() => CqlType::BIGINT,
        Term::Integer(_) => native(Native::Varint),
        Term::Float(_) => native(Native::Double),
        Term::Text(_) => CqlType::TEXT,
        Term::Blob(_) => native(Native::Blob),
        Term::Uuid(_) => native(Native::Uuid),
        Term::Duration(_) => native(Native::Duration),
        Term::Hint(typ, _) => typ.clone(),
        Term::Call(name, arguments) => {
            let arguments: Vec<_> = arguments.iter().map(type_of).collect();
            resolve(name, &arguments, None).ok()?.returns
        }
        Term::Arithmetic(_, left, right) => match (type_of(left)?, type_of(right)?) {
            (CqlType::Native(left), CqlType::Native(right)) => {
                native(number_ops::result_type(left, right)?)
            }
            _ => return None,
        },
        Term::List(items) => CqlType::List(Box::new(type_of(items.first()?)?)),
        Term::Set(items) => CqlType::Set(Box::new(type_of(items.first()?)?)),
        Term::Map(items) => {
            let (key, value) = items.first()?;
            CqlType::Map(Box::new((type_of(key)?, type_of(value)?)))
        }
        Term::Tuple(items) => CqlType::Tuple(items.iter().map(type_of).collect::<Option<_>>()?),
        Term::Null | Term::Marker(_) | Term::Udt(_) | Term::JsonField(_) => return None,
    })
}

/// The types of a call's arguments: literals take the type that the function has for them.
fn argument_types(name: &FunctionName, arguments: &[Term]) -> Vec<Option<CqlType>> {
    let is_open = |term: &Term| {
        matches!(term, Term::Integer(_) | Term::Float(_) | Term::Text(_) | Term::Uuid(_))
    };
    let takes_any = matches!(name.name.replace('_', "").as_str(), "tojson" | "abs" | "round");
    let typ = |term: &Term| if is_open(term) && !takes_any { None } else { type_of(term) };
    arguments.iter().map(typ).collect()
}

/// The function that a term calls, and so the types of its arguments.
pub(crate) fn called(
    name: &FunctionName,
    arguments: &[Term],
    expected: Option<&CqlType>,
) -> Result<Function> {
    resolve(name, &argument_types(name, arguments), expected)
}

/// The value of a call where a value of `typ` is wanted.
pub(crate) fn evaluate_call(
    name: &FunctionName,
    arguments: &[Term],
    typ: &CqlType,
    values: &[Value<'_>],
) -> Result<Option<Vec<u8>>> {
    let function = called(name, arguments, Some(typ))?;
    if !is_taken_as(&function.returns, typ) {
        return Err(CqlError::invalid(format!(
            "Type error: cannot assign result of function system.{} (type {}) to a value of type \
             {typ}",
            name.name, function.returns
        )));
    }
    let given = arguments.iter().zip(&function.arguments).map(|(argument, typ)| {
        match evaluate(argument, typ, values)? {
            Bound::Bytes(bytes) => Ok(Some(bytes.into_owned())),
            Bound::Null => Ok(None),
            Bound::Unset => {
                let message = format!("Invalid unset value for argument in call to {}", name.name);
                Err(CqlError::invalid(message))
            }
        }
    });
    function.call(&given.collect::<Result<Vec<_>>>()?)
}

/// The value of `left op right` where a value of `typ` is wanted.
pub(crate) fn evaluate_arithmetic(
    operator: Arithmetic,
    (left, right): (&Term, &Term),
    typ: &CqlType,
    values: &[Value<'_>],
) -> Result<Option<Vec<u8>>> {
    let CqlType::Native(wanted) = typ.thawed() else {
        return Err(CqlError::invalid(format!("arithmetic does not make a value of type {typ}")));
    };
    let is_time = matches!(wanted, Native::Timestamp | Native::Date);
    let right_type = if is_time { Native::Duration } else { *wanted };
    let value = |term: &Term, typ: Native| {
        let bytes = evaluate(term, &native(typ), values)?.into_bytes();
        Ok::<_, CqlError>(bytes.map(std::borrow::Cow::into_owned))
    };
    let (Some(left), Some(right)) = (value(left, *wanted)?, value(right, right_type)?) else {
        return Ok(None);
    };
    calculate(operator, (*wanted, &left), (right_type, &right)).map(Some)
}

/// Two values and what is done with them.
pub(crate) fn calculate(
    operator: Arithmetic,
    left: (Native, &[u8]),
    right: (Native, &[u8]),
) -> Result<Vec<u8>> {
    number_ops::apply(operator, left, right).map_err(|what| {
        let symbol = operator.symbol();
        let (left, right) = (left.0.name(), right.0.name());
        let message = format!("the operation '{left} {symbol} {right}' failed: {what}");
        CqlError::function_failure("system", &symbol.to_string(), &[left, right], message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::text::scalar_text;

    fn name(name: &str) -> FunctionName {
        FunctionName { keyspace: None, name: name.to_owned() }
    }

    #[track_caller]
    fn check(function: &str, arguments: &[Term], typ: Native, expect: &str) {
        let value = evaluate_call(&name(function), arguments, &native(typ), &[]).unwrap();
        assert_eq!(scalar_text(typ, &value.unwrap()), expect, "{function}");
    }

    #[test]
    fn functions_of_terms() {
        let text = |text: &str| Term::Text(text.to_owned());
        let int = Term::Integer("258".to_owned());
        check("intasblob", std::slice::from_ref(&int), Native::Blob, "0x00000102");
        check("int_as_blob", std::slice::from_ref(&int), Native::Blob, "0x00000102");
        check("blobasint", &[Term::Blob(vec![0, 0, 1, 2])], Native::Int, "258");
        check("tojson", std::slice::from_ref(&int), Native::Text, "258");
        check("fromjson", &[text("7")], Native::Int, "7");
        check(
            "mintimeuuid",
            &[text("2020-09-13 12:26:40+0000")],
            Native::Timeuuid,
            "5fe94000-f5bc-11ea-8080-808080808080",
        );
        let calls = Term::Call(name("mintimeuuid"), vec![text("2020-09-13 12:26:40+0000")]);
        check("todate", &[calls], Native::Date, "2020-09-13");
        check("abs", &[Term::Integer("-5".to_owned())], Native::Int, "5");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let int = Term::Integer("1".to_owned());
        for (function, arguments, typ) in [
            ("nothing", vec![], Native::Int),
            ("now", vec![int.clone()], Native::Timeuuid),
            ("now", vec![], Native::Int),
            ("intasblob", vec![], Native::Blob),
            ("blobasint", vec![Term::Blob(vec![1])], Native::Int),
            ("intasblob", vec![Term::Text("x".to_owned())], Native::Blob),
        ] {
            let result = evaluate_call(&name(function), &arguments, &native(typ), &[]);
            assert_eq!(result.unwrap_err().code, crate::error::code::INVALID, "{function}");
        }
        let zero = Term::Integer("0".to_owned());
        let divided = evaluate_arithmetic(Arithmetic::Divide, (&int, &zero), &CqlType::INT, &[]);
        assert_eq!(divided.unwrap_err().code, crate::error::code::FUNCTION_FAILURE);
    }
}
