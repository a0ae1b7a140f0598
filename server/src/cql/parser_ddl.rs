//! Parses statements that change the schema.

use super::ast::*;
use super::lexer::Token;
use super::parser::{Parser, Result};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::value::types::{CqlType, quoted};

impl Parser {
    pub(super) fn ddl(&mut self) -> Result<Ddl> {
        let verb = self.any_word()?;
        let or_replace = verb == "create" && self.words(&["or", "replace"]);
        let object = self.any_word()?;
        match (verb.as_str(), object.as_str()) {
            ("create", "keyspace" | "schema") => {
                let conditional = self.if_not_exists();
                let options = self.keyspace_options(conditional)?;
                if options.options.is_empty() {
                    return Err(self.unexpected("WITH"));
                }
                Ok(Ddl::CreateKeyspace(options))
            }
            ("alter", "keyspace" | "schema") => {
                let conditional = self.if_exists();
                let options = self.keyspace_options(conditional)?;
                if options.options.is_empty() {
                    return Err(self.unexpected("WITH"));
                }
                Ok(Ddl::AlterKeyspace(options))
            }
            ("drop", "keyspace" | "schema") => {
                let if_exists = self.if_exists();
                Ok(Ddl::DropKeyspace { if_exists, name: self.name()? })
            }
            ("create", "table" | "columnfamily") => self.create_table().map(Ddl::CreateTable),
            ("alter", "table" | "columnfamily") => self.alter_table().map(Ddl::AlterTable),
            ("drop", "table" | "columnfamily") => {
                let if_exists = self.if_exists();
                Ok(Ddl::DropTable { if_exists, table: self.table_name()? })
            }
            ("create", "type") => self.create_type().map(Ddl::CreateType),
            ("alter", "type") => self.alter_type().map(Ddl::AlterType),
            ("drop", "type") => {
                let if_exists = self.if_exists();
                Ok(Ddl::DropType { if_exists, name: self.table_name()? })
            }
            ("create", "index") => self.create_index(false).map(Ddl::CreateIndex),
            ("create", "custom") => {
                self.expect_word("index")?;
                self.create_index(true).map(Ddl::CreateIndex)
            }
            ("drop", "index") => {
                let if_exists = self.if_exists();
                Ok(Ddl::DropIndex { if_exists, name: self.table_name()? })
            }
            ("create", "materialized") => self.create_view().map(Ddl::CreateView),
            ("alter", "materialized") => {
                self.expect_word("view")?;
                let if_exists = self.if_exists();
                let name = self.table_name()?;
                self.expect_word("with")?;
                Ok(Ddl::AlterView { name, if_exists, options: self.options()? })
            }
            ("drop", "materialized") => {
                self.expect_word("view")?;
                let if_exists = self.if_exists();
                Ok(Ddl::DropView { if_exists, name: self.table_name()? })
            }
            ("create", "function") => self.create_function(or_replace).map(Ddl::CreateFunction),
            ("create", "aggregate") => self.create_aggregate(or_replace).map(Ddl::CreateAggregate),
            ("drop", "function") => self.drop_function().map(Ddl::DropFunction),
            ("drop", "aggregate") => self.drop_function().map(Ddl::DropAggregate),
            ("create", "trigger") => self.create_trigger(),
            ("drop", "trigger") => self.drop_trigger(),
            _ => Err(CqlError::syntax(format!("{verb} {object} is no statement"))),
        }
    }

    /// A class that is loaded into the node; here there is none.
    fn create_trigger(&mut self) -> Result<Ddl> {
        self.only_of_cassandra("TRIGGER")?;
        self.if_not_exists();
        self.name()?;
        self.expect_word("on")?;
        self.table_name()?;
        self.expect_word("using")?;
        let Some(Token::Text(class)) = self.next() else {
            return Err(self.unexpected("a class"));
        };
        Err(CqlError::invalid(format!("Trigger class '{class}' couldn't be loaded")))
    }

    fn drop_trigger(&mut self) -> Result<Ddl> {
        self.only_of_cassandra("TRIGGER")?;
        self.if_exists();
        let name = self.name()?;
        self.expect_word("on")?;
        let table = self.table_name()?.name;
        Err(CqlError::invalid(format!("Trigger '{name}' on '{table}' doesn't exist")))
    }

    fn only_of_cassandra(&self, what: &str) -> Result<()> {
        match self.persona {
            Persona::Cassandra => Ok(()),
            Persona::Scylla => Err(CqlError::syntax(format!("{what} is no statement"))),
        }
    }

    fn create_type(&mut self) -> Result<CreateType> {
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        let fields = self.parenthesised(Self::field)?;
        if fields.is_empty() {
            return Err(CqlError::syntax("a type without fields"));
        }
        Ok(CreateType { name, if_not_exists, fields })
    }

    /// `name type`
    fn field(&mut self) -> Result<(String, CqlType)> {
        Ok((self.name()?, self.cql_type()?))
    }

    fn alter_type(&mut self) -> Result<AlterType> {
        let if_exists = self.if_exists();
        let name = self.table_name()?;
        let (add, rename) = (Vec::new(), Vec::new());
        let mut alter = AlterType { name, if_exists, add, rename, skips_done: false };
        if self.word("add") {
            alter.skips_done = self.if_not_exists();
            alter.add.push(self.field()?);
        } else if self.word("rename") {
            alter.skips_done = self.if_exists();
            alter.rename = self.renames()?;
        } else if self.word("alter") {
            return Err(CqlError::invalid("Altering field types is no longer supported"));
        } else {
            return Err(self.unexpected("ADD or RENAME"));
        }
        Ok(alter)
    }

    /// `a TO b AND c TO d`
    fn renames(&mut self) -> Result<Vec<(String, String)>> {
        let mut renames = Vec::new();
        loop {
            let old = self.name()?;
            self.expect_word("to")?;
            renames.push((old, self.name()?));
            if !self.word("and") {
                return Ok(renames);
            }
        }
    }

    fn create_index(&mut self, is_custom: bool) -> Result<CreateIndex> {
        let if_not_exists = self.if_not_exists();
        let name = if self.is_word(0, "on") { None } else { Some(self.name()?) };
        self.expect_word("on")?;
        let table = self.table_name()?;
        self.expect_symbol("(")?;
        let parts = ["keys", "values", "entries", "full"];
        let is_call = matches!(self.peek_at(1), Some(Token::Symbol("(")));
        let part = parts.iter().find(|part| is_call && self.is_word(0, part));
        if part.is_some() {
            self.next();
            self.expect_symbol("(")?;
        }
        if matches!(self.peek(), Some(Token::Symbol(")"))) {
            let message = "Only CUSTOM indexes can be created without specifying a target column";
            return Err(CqlError::invalid(message));
        }
        if self.persona == Persona::Scylla && matches!(self.peek(), Some(Token::Symbol("("))) {
            let message = "local indexes, of one partition each, are not supported by this node";
            return Err(CqlError::invalid(message));
        }
        let column = self.name()?;
        if part.is_some() {
            self.expect_symbol(")")?;
        }
        if matches!(self.peek(), Some(Token::Symbol(","))) {
            return Err(CqlError::invalid(match is_custom {
                true => "A storage-attached index cannot be created over multiple columns",
                false => "Only CUSTOM indexes support multiple columns",
            }));
        }
        self.expect_symbol(")")?;
        let mut class = None;
        if self.word("using") {
            let Some(Token::Text(text)) = self.next() else {
                return Err(self.unexpected("the class of an index"));
            };
            class = Some(text);
        } else if is_custom {
            let message = "CUSTOM index requires specifying the index class";
            return Err(CqlError::configuration(message));
        }
        let mut options = Vec::new();
        if self.word("with") {
            match self.option()? {
                (name, OptionValue::Map(map)) if name == "options" => options = map,
                (name, _) => {
                    return Err(CqlError::syntax(format!("Unknown property '{name}'")));
                }
            }
        }
        let part = part.map(|part| (*part).to_owned());
        Ok(CreateIndex { name, if_not_exists, table, part, column, class, options })
    }

    fn create_view(&mut self) -> Result<CreateView> {
        self.expect_word("view")?;
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        self.expect_word("as")?;
        self.expect_word("select")?;
        let mut columns = Vec::new();
        if !self.symbol("*") {
            loop {
                let name = self.name()?;
                columns.push(name.clone());
                if self.is_word(0, "as") {
                    return Err(CqlError::invalid(format!(
                        "Cannot use aliases when defining a materialized view (got {name})"
                    )));
                }
                if self.symbol(",") {
                    continue;
                }
                if !self.is_word(0, "from") {
                    return Err(CqlError::invalid(format!(
                        "Can only select columns by name when defining a materialized view (got \
                         {name} …)"
                    )));
                }
                break;
            }
        }
        self.expect_word("from")?;
        let base = self.table_name()?;
        let relations = if self.word("where") { self.relations()? } else { Vec::new() };
        if !self.markers.is_empty() {
            return Err(CqlError::invalid(
                "Bind variables are not allowed in CREATE MATERIALIZED VIEW statements",
            ));
        }
        let mut key = CreateTable::new(name.clone());
        if !self.words(&["primary", "key"]) {
            return Err(self.unexpected("PRIMARY KEY"));
        }
        self.primary_key(&mut key)?;
        if self.word("with") {
            self.table_options(&mut key)?;
        }
        Ok(CreateView {
            name,
            if_not_exists,
            base,
            columns,
            where_text: where_text(&relations)?,
            relations,
            partition_key: key.partition_key,
            clustering_key: key.clustering_key,
            clustering_order: key.clustering_order,
            options: key.options,
        })
    }

    fn create_function(&mut self, or_replace: bool) -> Result<CreateFunction> {
        let if_not_exists = self.if_not_exists();
        if or_replace && if_not_exists {
            let message = "Cannot use both 'OR REPLACE' and 'IF NOT EXISTS' directives";
            return Err(CqlError::invalid(message));
        }
        let name = self.function_name()?;
        let arguments = self.parenthesised(Self::field)?;
        let again = |(position, (argument, _)): (usize, &(String, CqlType))| {
            arguments.iter().take(position).any(|(before, _)| before == argument)
        };
        if arguments.iter().enumerate().any(again) {
            return Err(CqlError::invalid(format!(
                "Duplicate argument names for given function {}",
                name.name
            )));
        }
        let called_on_null = if self.words(&["called", "on", "null", "input"]) {
            true
        } else if self.words(&["returns", "null", "on", "null", "input"]) {
            false
        } else {
            return Err(self.unexpected("CALLED or RETURNS NULL ON NULL INPUT"));
        };
        self.expect_word("returns")?;
        let returns = self.cql_type()?;
        self.expect_word("language")?;
        let language = self.name()?;
        self.expect_word("as")?;
        let Some(Token::Text(body)) = self.next() else {
            return Err(self.unexpected("the body of a function"));
        };
        Ok(CreateFunction {
            name,
            or_replace,
            if_not_exists,
            arguments,
            called_on_null,
            returns,
            language,
            body,
        })
    }

    fn create_aggregate(&mut self, or_replace: bool) -> Result<CreateAggregate> {
        let if_not_exists = self.if_not_exists();
        let name = self.function_name()?;
        let arguments = self.parenthesised(Self::cql_type)?;
        self.expect_word("sfunc")?;
        let state_function = self.name()?;
        self.expect_word("stype")?;
        let state_type = self.cql_type()?;
        let final_function = if self.word("finalfunc") { Some(self.name()?) } else { None };
        let initial = if self.word("initcond") { Some(self.term()?) } else { None };
        Ok(CreateAggregate {
            name,
            or_replace,
            if_not_exists,
            arguments,
            state_function,
            state_type,
            final_function,
            initial,
        })
    }

    fn drop_function(&mut self) -> Result<DropFunction> {
        let if_exists = self.if_exists();
        let name = self.function_name()?;
        let is_typed = matches!(self.peek(), Some(Token::Symbol("(")));
        let arguments = if is_typed { Some(self.parenthesised(Self::cql_type)?) } else { None };
        Ok(DropFunction { name, if_exists, arguments })
    }

    /// `name = value AND …`
    fn options(&mut self) -> Result<Vec<(String, OptionValue)>> {
        let mut options = vec![self.option()?];
        while self.word("and") {
            options.push(self.option()?);
        }
        Ok(options)
    }

    fn keyspace_options(&mut self, conditional: bool) -> Result<KeyspaceOptions> {
        let name = self.name()?;
        let mut options = Vec::new();
        if self.word("with") {
            options = self.options()?;
        }
        Ok(KeyspaceOptions { name, conditional, options })
    }

    /// `name = value`
    fn option(&mut self) -> Result<(String, OptionValue)> {
        let name = self.name()?;
        self.expect_symbol("=")?;
        let value = match self.term()? {
            Term::Map(pairs) => OptionValue::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| Ok((plain(key)?, plain(value)?)))
                    .collect::<Result<_>>()?,
            ),
            Term::Set(items) if items.is_empty() => OptionValue::Map(Vec::new()),
            other => OptionValue::Text(plain(other)?),
        };
        Ok((name, value))
    }

    fn create_table(&mut self) -> Result<CreateTable> {
        let if_not_exists = self.if_not_exists();
        let mut create = CreateTable::new(self.table_name()?);
        create.if_not_exists = if_not_exists;
        self.expect_symbol("(")?;
        if matches!(self.peek(), Some(Token::Symbol(")"))) {
            return Err(self.unexpected("a column"));
        }
        while !self.symbol(")") {
            if self.words(&["primary", "key"]) {
                if !create.partition_key.is_empty() {
                    let message = "Multiple PRIMARY KEYs specified (exactly one required)";
                    return Err(CqlError::invalid(message));
                }
                self.primary_key(&mut create)?;
            } else {
                self.column(&mut create)?;
            }
            if !self.symbol(",") {
                self.expect_symbol(")")?;
                break;
            }
        }
        if self.word("with") {
            self.table_options(&mut create)?;
        }
        Ok(create)
    }

    fn column(&mut self, create: &mut CreateTable) -> Result<()> {
        let definition = self.column_definition()?;
        if self.words(&["primary", "key"]) {
            if !create.partition_key.is_empty() {
                let message = "Multiple PRIMARY KEYs specified (exactly one required)";
                return Err(CqlError::invalid(message));
            }
            create.partition_key = vec![definition.name.clone()];
        }
        create.columns.push(definition);
        Ok(())
    }

    fn column_definition(&mut self) -> Result<ColumnDefinition> {
        let name = self.name()?;
        let typ = self.cql_type()?;
        let is_static = self.word("static");
        if self.persona == Persona::Cassandra && self.is_word(0, "masked") {
            return Err(masking());
        }
        Ok(ColumnDefinition { name, typ, is_static })
    }

    /// `(a, b)` or `((a, b), c)`
    fn primary_key(&mut self, create: &mut CreateTable) -> Result<()> {
        self.expect_symbol("(")?;
        create.partition_key = if matches!(self.peek(), Some(Token::Symbol("("))) {
            self.parenthesised(Self::name)?
        } else {
            vec![self.name()?]
        };
        while self.symbol(",") {
            create.clustering_key.push(self.name()?);
        }
        self.expect_symbol(")")
    }

    fn table_options(&mut self, create: &mut CreateTable) -> Result<()> {
        loop {
            if self.words(&["clustering", "order", "by"]) {
                self.expect_symbol("(")?;
                create.clustering_order.extend(self.order_items()?);
                self.expect_symbol(")")?;
            } else if self.words(&["compact", "storage"]) {
                return Err(CqlError::invalid("COMPACT STORAGE is not supported"));
            } else {
                create.options.push(self.option()?);
            }
            if !self.word("and") {
                return Ok(());
            }
        }
    }

    fn alter_table(&mut self) -> Result<AlterTable> {
        let if_exists = self.if_exists();
        let table = self.table_name()?;
        let mut alter = AlterTable {
            table,
            if_exists,
            add: Vec::new(),
            drop: Vec::new(),
            rename: Vec::new(),
            skips_done: false,
            options: Vec::new(),
        };
        if self.word("alter") {
            let if_exists = self.if_exists();
            self.name()?;
            if self.persona == Persona::Cassandra
                && (self.is_word(0, "masked") || self.words(&["drop", "masked"]))
            {
                return Err(masking());
            }
            if if_exists {
                return Err(self.unexpected("MASKED"));
            }
            self.expect_word("type")?;
            self.cql_type()?;
            return Err(CqlError::invalid("Altering column types is no longer supported"));
        } else if self.word("rename") {
            // As in Cassandra an unknown column is an error all the same.
            self.if_exists();
            alter.rename = self.renames()?;
        } else if self.word("add") {
            alter.skips_done = self.if_not_exists();
            let in_parentheses = self.symbol("(");
            loop {
                alter.add.push(self.column_definition()?);
                if !self.symbol(",") {
                    break;
                }
            }
            if in_parentheses {
                self.expect_symbol(")")?;
            }
        } else if self.words(&["drop", "compact", "storage"]) {
            return Err(CqlError::invalid(match self.persona {
                Persona::Cassandra => {
                    "DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use."
                }
                Persona::Scylla => "DROP COMPACT STORAGE is not supported by this node",
            }));
        } else if self.word("drop") {
            alter.skips_done = self.if_exists();
            alter.drop = if matches!(self.peek(), Some(Token::Symbol("("))) {
                self.parenthesised(Self::name)?
            } else {
                vec![self.name()?]
            };
            if self.is_word(0, "using") {
                let message = "DROP … USING TIMESTAMP is not supported by this node";
                return Err(CqlError::invalid(message));
            }
        } else if self.word("with") {
            alter.options = self.options()?;
        } else {
            return Err(self.unexpected("ADD, DROP, RENAME or WITH"));
        }
        Ok(alter)
    }
}

impl CreateTable {
    fn new(table: TableName) -> Self {
        Self {
            table,
            if_not_exists: false,
            columns: Vec::new(),
            partition_key: Vec::new(),
            clustering_key: Vec::new(),
            clustering_order: Vec::new(),
            options: Vec::new(),
        }
    }
}

/// The WHERE clause of a view, as `system_schema` shows it.
fn where_text(relations: &[Relation]) -> Result<String> {
    let mut parts = Vec::new();
    for relation in relations {
        match relation {
            Relation::IsNotNull(column) => parts.push(format!("{} IS NOT NULL", quoted(column))),
            _ => {
                let message =
                    "a view's WHERE clause with anything but IS NOT NULL is not supported";
                return Err(CqlError::invalid(message));
            }
        }
    }
    Ok(parts.join(" AND "))
}

fn masking() -> CqlError {
    CqlError::invalid(
        "Cannot mask columns because dynamic data masking is not enabled. You can enable it with \
         the dynamic_data_masking_enabled property on cassandra.yaml",
    )
}

/// Option values are kept as the text that `system_schema` shows.
fn plain(term: Term) -> Result<String> {
    match term {
        Term::Text(text) | Term::Integer(text) | Term::Float(text) => Ok(text),
        Term::Boolean(value) => Ok(value.to_string()),
        Term::Uuid(id) => Ok(uuid::Uuid::from_bytes(id).to_string()),
        _ => Err(CqlError::syntax("an option's value is a text, number, boolean or map of these")),
    }
}
