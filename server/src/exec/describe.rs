//! DESCRIBE: the schema as the statements that would make it, as Cassandra writes them.

use std::fmt::Write as _;
use std::rc::Rc;

use super::result::{Outcome, ResultColumn, ResultColumns, Rows};
use crate::cdc::table::is_log;
use crate::cql::ast::{Describe, TableName};
use crate::error::CqlError;
use crate::exec::user_function::{UserAggregate, UserFunction};
use crate::persona::Persona;
use crate::schema::catalog::{CLUSTER_NAME, option_texts};
use crate::schema::{Column, Index, Keyspace, Kind, Schema, Table};
use crate::tablets::described;
use crate::value::json::write_json;
use crate::value::text::scalar_text;
use crate::value::types::{CqlType, Native, Udt, quoted};
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

/// Something of a keyspace: what it is, its name, and the statement that makes it.
struct Element {
    keyspace: String,
    kind: &'static str,
    name: String,
    statement: String,
}

/// Runs a DESCRIBE; `current` is the keyspace of USE.
pub(crate) fn describe(
    schema: &Schema,
    describe: &Describe,
    current: Option<&str>,
) -> Result<Outcome> {
    let users = || schema.keyspaces.values().filter(|keyspace| !is_system(keyspace));
    let elements = match describe {
        Describe::Cluster => return Ok(cluster()),
        Describe::Keyspaces => {
            let all = schema.keyspaces.values();
            return Ok(list(all.map(|k| (k.name.clone(), "keyspace", quoted(&k.name)))));
        }
        Describe::Tables => return listed(schema, current, "table"),
        Describe::Types => return listed(schema, current, "type"),
        Describe::Functions => return listed(schema, current, "function"),
        Describe::Aggregates => return listed(schema, current, "aggregate"),
        Describe::Schema { full: true } => {
            schema.keyspaces.values().flat_map(|k| of_keyspace(k, schema)).collect()
        }
        Describe::Schema { full: false } => users().flat_map(|k| of_keyspace(k, schema)).collect(),
        Describe::Keyspace { name, only } => {
            let name = name.as_deref().or(current).ok_or_else(|| {
                CqlError::invalid("No keyspace specified and no current keyspace")
            })?;
            let keyspace = found(schema.keyspaces.get(name), name, "")?;
            if *only {
                vec![keyspace_element(keyspace, schema)]
            } else {
                of_keyspace(keyspace, schema)
            }
        }
        Describe::Any(name) if name.keyspace.is_none() => match schema.keyspaces.get(&name.name) {
            Some(keyspace) => of_keyspace(keyspace, schema),
            None => any_of(home(schema, name, current)?, name, schema)?,
        },
        Describe::Any(name) => any_of(home(schema, name, current)?, name, schema)?,
        Describe::Table(name) => {
            let keyspace = home(schema, name, current)?;
            let table = keyspace.tables.get(&name.name).filter(|table| table.view.is_none());
            of_table(found(table, &name.name, &keyspace.name)?, keyspace, schema.persona)
        }
        Describe::View(name) => {
            let keyspace = home(schema, name, current)?;
            let view = keyspace.tables.get(&name.name).filter(|table| table.view.is_some());
            vec![view_element(found(view, &name.name, &keyspace.name)?, schema.persona)]
        }
        Describe::Index(name) => {
            let keyspace = home(schema, name, current)?;
            vec![found(index_of(keyspace, &name.name), &name.name, &keyspace.name)?]
        }
        Describe::Type(name) => {
            let keyspace = home(schema, name, current)?;
            vec![type_element(found(keyspace.types.get(&name.name), &name.name, &keyspace.name)?)]
        }
        Describe::Function(name) => {
            let keyspace = home(schema, name, current)?;
            let named = keyspace.functions.iter().filter(|function| function.name == name.name);
            some(named.map(|function| function_element(function)).collect(), name)?
        }
        Describe::Aggregate(name) => {
            let keyspace = home(schema, name, current)?;
            let named = keyspace.aggregates.iter().filter(|other| other.name == name.name);
            some(named.map(|other| aggregate_element(other, &keyspace.name)).collect(), name)?
        }
    };
    Ok(shown(elements))
}

fn is_system(keyspace: &Keyspace) -> bool {
    keyspace.is_system() || keyspace.name.starts_with("system")
}

fn found<T>(item: Option<T>, name: &str, keyspace: &str) -> Result<T> {
    item.ok_or_else(|| CqlError::invalid(format!("'{name}' not found in keyspace '{keyspace}'")))
}

fn some(elements: Vec<Element>, name: &TableName) -> Result<Vec<Element>> {
    found((!elements.is_empty()).then_some(elements), &name.name, "")
}

fn home<'s>(schema: &'s Schema, name: &TableName, current: Option<&str>) -> Result<&'s Keyspace> {
    let keyspace = name.keyspace.as_deref().or(current);
    schema.keyspace(
        keyspace
            .ok_or_else(|| CqlError::invalid(format!("'{}' not found in keyspaces", name.name)))?,
    )
}

/// A table, an index or a view.
fn any_of(keyspace: &Keyspace, name: &TableName, schema: &Schema) -> Result<Vec<Element>> {
    match keyspace.tables.get(&name.name) {
        Some(view) if view.view.is_some() => Ok(vec![view_element(view, schema.persona)]),
        Some(table) => Ok(of_table(table, keyspace, schema.persona)),
        None => Ok(vec![found(index_of(keyspace, &name.name), &name.name, &keyspace.name)?]),
    }
}

/// Names of one kind, of the keyspace of USE or of all.
fn listed(schema: &Schema, current: Option<&str>, kind: &str) -> Result<Outcome> {
    let keyspaces: Vec<&Keyspace> = match current {
        Some(current) => vec![schema.keyspace(current)?],
        None => schema.keyspaces.values().collect(),
    };
    let mut all = Vec::new();
    for keyspace in keyspaces {
        let elements = of_keyspace(keyspace, schema);
        let mut names: Vec<_> =
            elements.into_iter().filter(|element| element.kind == kind).collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        all.extend(names.into_iter().map(|element| (element.keyspace, element.kind, element.name)));
    }
    Ok(list(all.into_iter()))
}

/// A keyspace and all that is in it, what others need before them.
fn of_keyspace(keyspace: &Keyspace, schema: &Schema) -> Vec<Element> {
    let mut elements = vec![keyspace_element(keyspace, schema)];
    let mut types: Vec<&Rc<Udt>> = Vec::new();
    while types.len() < keyspace.types.len() {
        let is_known = |udt: &Rc<Udt>| types.iter().any(|known| known.name == udt.name);
        let next = keyspace.types.values().find(|udt| {
            !is_known(udt) && udt.fields.iter().all(|(_, typ)| needs_only(typ, &is_known))
        });
        let Some(next) = next else { break };
        types.push(next);
    }
    elements.extend(types.into_iter().map(|udt| type_element(udt)));
    let mut functions: Vec<_> =
        keyspace.functions.iter().map(|function| function_element(function)).collect();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    elements.extend(functions);
    let mut aggregates: Vec<_> =
        keyspace.aggregates.iter().map(|other| aggregate_element(other, &keyspace.name)).collect();
    aggregates.sort_by(|a, b| a.name.cmp(&b.name));
    elements.extend(aggregates);
    // A CDC log comes with the table that it is of.
    let is_own =
        |table: &&Rc<Table>| table.view.is_none() && !is_log(&keyspace.tables, &table.name);
    for table in keyspace.tables.values().filter(is_own) {
        elements.extend(of_table(table, keyspace, schema.persona));
    }
    elements
}

fn needs_only(typ: &CqlType, is_known: &impl Fn(&Rc<Udt>) -> bool) -> bool {
    match typ {
        CqlType::Native(_) | CqlType::Named(..) => true,
        CqlType::List(inner)
        | CqlType::Set(inner)
        | CqlType::Vector(inner, _)
        | CqlType::Frozen(inner) => needs_only(inner, is_known),
        CqlType::Map(pair) => needs_only(&pair.0, is_known) && needs_only(&pair.1, is_known),
        CqlType::Tuple(parts) => parts.iter().all(|part| needs_only(part, is_known)),
        CqlType::Udt(udt) => is_known(udt),
    }
}

/// A table, its indexes, its views.
fn of_table(table: &Table, keyspace: &Keyspace, persona: Persona) -> Vec<Element> {
    let mut element = table_element(table, persona);
    if is_log(&keyspace.tables, &table.name) {
        element.statement = format!(
            "/* Do NOT execute this statement! It's only for informational purposes.\n   A CDC log \
             table is created automatically when creating the base with CDC\n   enabled option.\n\
             \n{}\n*/",
            element.statement
        );
    }
    let mut elements = vec![element];
    elements.extend(table.indexes.iter().map(|index| index_element(table, index)));
    let is_view =
        |other: &&Rc<Table>| other.view.as_ref().is_some_and(|view| view.base == table.name);
    let views = keyspace.tables.values().filter(is_view);
    elements.extend(views.map(|view| view_element(view, persona)));
    elements
}

fn keyspace_element(keyspace: &Keyspace, schema: &Schema) -> Element {
    let mut options: Vec<_> = keyspace.replication.iter().collect();
    options.sort_by_key(|(name, _)| name != "class");
    let options: Vec<_> = options
        .into_iter()
        .map(|(name, value)| {
            let value = value.strip_prefix("org.apache.cassandra.locator.").unwrap_or(value);
            format!("{}: {}", literal(name), literal(value))
        })
        .collect();
    let name = quoted(&keyspace.name);
    let statement = format!(
        "CREATE KEYSPACE {name} WITH replication = {{{}}}  AND durable_writes = {}{};",
        options.join(", "),
        keyspace.durable_writes,
        described(keyspace, schema)
    );
    Element { keyspace: keyspace.name.clone(), kind: "keyspace", name, statement }
}

fn type_element(udt: &Udt) -> Element {
    let fields: Vec<_> =
        udt.fields.iter().map(|(name, typ)| format!("    {} {typ}", quoted(name))).collect();
    let name = quoted(&udt.name);
    let home = quoted(&udt.keyspace);
    let statement = format!("CREATE TYPE {home}.{name} (\n{}\n);", fields.join(",\n"));
    Element { keyspace: udt.keyspace.clone(), kind: "type", name, statement }
}

fn table_element(table: &Table, persona: Persona) -> Element {
    let (home, name) = (quoted(&table.keyspace), quoted(&table.name));
    let mut statement = format!("CREATE TABLE {home}.{name} (\n");
    let is_simple = table.partition_key_len == 1 && table.clustering().is_empty();
    let mut columns: Vec<&Column> = table.columns.iter().collect();
    // What has elements stands last.
    columns.sort_by_key(|column| match column.kind {
        Kind::PartitionKey(_) | Kind::Clustering(_) => (0, false),
        Kind::Static => (1, column.typ.is_multi_cell()),
        Kind::Regular => (2, column.typ.is_multi_cell()),
    });
    let lines: Vec<_> = columns
        .into_iter()
        .map(|column| {
            let end = match column.kind {
                Kind::PartitionKey(_) if is_simple => " PRIMARY KEY",
                Kind::Static => " static",
                _ => "",
            };
            format!("    {} {}{end}", quoted(&column.name), column.typ)
        })
        .collect();
    statement.push_str(&lines.join(",\n"));
    if !is_simple {
        let _ = write!(statement, ",\n    PRIMARY KEY ({})", primary_key(table)); // to a String
    }
    statement.push_str("\n) WITH ");
    statement.push_str(&with(table, persona));
    Element { keyspace: table.keyspace.clone(), kind: "table", name, statement }
}

/// `(a, b), c` or `a, c`
fn primary_key(table: &Table) -> String {
    let names = |columns: &[Column]| {
        columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    };
    let partition = match table.partition_key() {
        [one] => quoted(&one.name),
        several => format!("({})", names(several)),
    };
    match table.clustering() {
        [] => partition,
        clustering => format!("{partition}, {}", names(clustering)),
    }
}

/// The order of rows and the options.
fn with(table: &Table, persona: Persona) -> String {
    let mut parts = Vec::new();
    if !table.clustering().is_empty() {
        let order = table.clustering().iter().zip(&table.clustering_desc);
        let order: Vec<_> = order
            .map(|(column, desc)| {
                format!("{} {}", quoted(&column.name), if *desc { "DESC" } else { "ASC" })
            })
            .collect();
        parts.push(format!("CLUSTERING ORDER BY ({})", order.join(", ")));
    }
    for (name, value) in option_texts(table, persona) {
        if name != "default_time_to_live" || table.view.is_none() {
            parts.push(format!("{name} = {value}"));
        }
    }
    format!("{};", parts.join("\n    AND "))
}

fn index_element(table: &Table, index: &Index) -> Element {
    let (home, of, name) = (quoted(&table.keyspace), quoted(&table.name), quoted(&index.name));
    let statement = match &index.class {
        None => format!("CREATE INDEX {name} ON {home}.{of} ({});", index.target),
        Some(class) => {
            let options: Vec<_> = index
                .options
                .iter()
                .map(|(name, value)| format!("{}: {}", literal(name), literal(value)))
                .collect();
            let options = match options.is_empty() {
                true => String::new(),
                false => format!(" WITH OPTIONS = {{{}}}", options.join(", ")),
            };
            let (target, class) = (&index.target, literal(class));
            format!("CREATE CUSTOM INDEX {name} ON {home}.{of} ({target}) USING {class}{options};")
        }
    };
    Element { keyspace: table.keyspace.clone(), kind: "index", name, statement }
}

fn index_of(keyspace: &Keyspace, name: &str) -> Option<Element> {
    keyspace.tables.values().find_map(|table| {
        let index = table.indexes.iter().find(|index| index.name == name)?;
        Some(index_element(table, index))
    })
}

fn view_element(table: &Table, persona: Persona) -> Element {
    let (home, name) = (quoted(&table.keyspace), quoted(&table.name));
    let (base, condition, includes_all) = match &table.view {
        Some(view) => (quoted(&view.base), view.where_text.clone(), view.includes_all),
        None => (String::new(), String::new(), true),
    };
    let columns = match includes_all {
        true => "*".to_owned(),
        false => table.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", "),
    };
    let statement = format!(
        "CREATE MATERIALIZED VIEW {home}.{name} AS\n    SELECT {columns}\n    FROM {home}.{base}\n    \
         WHERE {condition}\n    PRIMARY KEY ({})\n WITH {}",
        primary_key(table),
        with(table, persona)
    );
    Element { keyspace: table.keyspace.clone(), kind: "materialized_view", name, statement }
}

fn types(all: &[CqlType]) -> String {
    all.iter().map(|typ| typ.thawed().to_string()).collect::<Vec<_>>().join(", ")
}

fn function_element(function: &UserFunction) -> Element {
    let (home, plain) = (quoted(&function.keyspace), quoted(&function.name));
    let arguments: Vec<_> = function
        .arguments
        .iter()
        .map(|(name, typ)| format!("{} {}", quoted(name), typ.thawed()))
        .collect();
    let on_null = match function.called_on_null {
        true => "CALLED",
        false => "RETURNS NULL",
    };
    let statement = format!(
        "CREATE FUNCTION {home}.{plain}({})\n    {on_null} ON NULL INPUT\n    RETURNS {}\n    \
         LANGUAGE {}\n    AS $${}$$;",
        arguments.join(", "),
        function.returns.thawed(),
        function.language,
        function.body
    );
    let name = format!("{plain}({})", types(&function.argument_types()));
    Element { keyspace: function.keyspace.clone(), kind: "function", name, statement }
}

fn aggregate_element(aggregate: &UserAggregate, keyspace: &str) -> Element {
    let (home, plain) = (quoted(keyspace), quoted(&aggregate.name));
    let arguments = types(&aggregate.arguments);
    let mut statement = format!(
        "CREATE AGGREGATE {home}.{plain}({arguments})\n    SFUNC {}\n    STYPE {}",
        quoted(&aggregate.state.name),
        aggregate.state_type.thawed()
    );
    if let Some(last) = &aggregate.last {
        let _ = write!(statement, "\n    FINALFUNC {}", quoted(&last.name)); // to a String
    }
    if let Some(initial) = &aggregate.initial {
        let text = value_literal(&aggregate.state_type, initial);
        let _ = write!(statement, "\n    INITCOND {text}"); // to a String
    }
    statement.push(';');
    let name = format!("{plain}({arguments})");
    Element { keyspace: keyspace.to_owned(), kind: "aggregate", name, statement }
}

/// A value as a statement has to write it.
fn value_literal(typ: &CqlType, bytes: &[u8]) -> String {
    let CqlType::Native(native) = typ.thawed() else {
        let mut text = String::new();
        write_json(typ, Some(bytes), &mut text);
        return text.replace('"', "'");
    };
    let text = scalar_text(*native, bytes);
    match native {
        Native::Ascii
        | Native::Text
        | Native::Inet
        | Native::Date
        | Native::Time
        | Native::Timestamp => literal(&text),
        _ => text,
    }
}

/// A text in quotes.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn rows(columns: &[&str], all: impl Iterator<Item = Vec<String>>) -> Outcome {
    let column = |name: &&str| ResultColumn { name: (*name).to_owned(), typ: CqlType::TEXT };
    let columns = ResultColumns {
        keyspace: "system".to_owned(),
        table: "describe".to_owned(),
        columns: columns.iter().map(column).collect(),
    };
    let (mut cells, mut row_count) = (Vec::new(), 0);
    for row in all {
        let mut out = Writer::new(&mut cells);
        row.iter().for_each(|cell| out.bytes(Some(cell.as_bytes())));
        row_count += 1;
    }
    Outcome::Rows(Rows { columns: Rc::new(columns), cells, row_count, paging_state: None })
}

fn list(all: impl Iterator<Item = (String, &'static str, String)>) -> Outcome {
    let row = |(keyspace, kind, name): (String, &'static str, String)| {
        vec![keyspace, kind.to_owned(), name]
    };
    rows(&["keyspace_name", "type", "name"], all.map(row))
}

fn shown(elements: Vec<Element>) -> Outcome {
    let row = |element: Element| {
        vec![element.keyspace, element.kind.to_owned(), element.name, element.statement]
    };
    let columns = ["keyspace_name", "type", "name", "create_statement"];
    rows(&columns, elements.into_iter().map(row))
}

fn cluster() -> Outcome {
    let row = [CLUSTER_NAME, "Murmur3Partitioner", "SimpleSnitch"].map(str::to_owned).to_vec();
    rows(&["cluster", "partitioner", "snitch"], std::iter::once(row))
}
