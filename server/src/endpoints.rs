//! Which nodes hold a partition, as `nodetool getendpoints` of Cassandra tells.

use std::net::IpAddr;

use crate::cql::ast::{TableName, Term};
use crate::error::CqlError;
use crate::schema::Column;
use crate::state::Shared;
use crate::value::literal::scalar_from;
use crate::value::types::{CqlType, Native};

/// The addresses of the nodes that hold a partition. `key` has its columns as text, with colons
/// between them.
pub(crate) fn endpoints(
    shared: &Shared,
    keyspace: &str,
    table: &str,
    key: &str,
) -> Result<Vec<IpAddr>, CqlError> {
    let schema = shared.schema.borrow();
    let name = TableName { keyspace: Some(keyspace.to_owned()), name: table.to_owned() };
    let (keyspace, table) = schema.table(&name, None)?;
    let columns = table.partition_key();
    let parts: Vec<&str> = match columns {
        [_] => vec![key],
        several => key.splitn(several.len(), ':').collect(),
    };
    if parts.len() != columns.len() {
        let message = format!("the key '{key}' has {} parts, not {}", parts.len(), columns.len());
        return Err(CqlError::invalid(message));
    }
    let values = columns.iter().zip(parts).map(|(column, text)| value_of(column, text));
    let token = table.partition_of(&values.collect::<Result<Vec<_>, _>>()?).token;
    let nodes = shared.nodes.iter().enumerate();
    let placement = keyspace.placement(&table.name);
    let holders = nodes.filter(|(node, _)| placement.is_replica(token, *node));
    Ok(holders.map(|(_, node)| node.address.into()).collect())
}

fn value_of(column: &Column, text: &str) -> Result<Vec<u8>, CqlError> {
    let wrong =
        || CqlError::invalid(format!("'{text}' is no value of {} {}", column.name, column.typ));
    let CqlType::Native(native) = column.typ.thawed() else { return Err(wrong()) };
    let term = match native {
        Native::Ascii
        | Native::Text
        | Native::Inet
        | Native::Date
        | Native::Time
        | Native::Timestamp => Term::Text(text.to_owned()),
        Native::Blob => Term::Blob(crate::cql::lexer::hex(text).ok_or_else(wrong)?),
        Native::Boolean => Term::Boolean(text == "true"),
        Native::Uuid | Native::Timeuuid => {
            Term::Uuid(crate::cql::lexer::parse_uuid(text).ok_or_else(wrong)?)
        }
        Native::Duration => Term::Duration(text.to_owned()),
        Native::Float | Native::Double | Native::Decimal => Term::Float(text.to_owned()),
        _ => Term::Integer(text.to_owned()),
    };
    scalar_from(&term, *native).ok_or_else(wrong)
}
