//! Parses statements that change the schema.

use super::ast::*;
use super::lexer::Token;
use super::parser::{Parser, Result};
use crate::error::CqlError;

impl Parser {
    pub(super) fn ddl(&mut self) -> Result<Ddl> {
        let verb = self.name()?;
        let object = self.name()?;
        match (verb.as_str(), object.as_str()) {
            ("create", "keyspace" | "schema") => {
                let conditional = self.if_not_exists();
                Ok(Ddl::CreateKeyspace(self.keyspace_options(conditional)?))
            }
            ("alter", "keyspace" | "schema") => {
                let conditional = self.if_exists();
                Ok(Ddl::AlterKeyspace(self.keyspace_options(conditional)?))
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
            _ => Err(CqlError::syntax(format!("{verb} {object} is not supported"))),
        }
    }

    fn keyspace_options(&mut self, conditional: bool) -> Result<KeyspaceOptions> {
        let name = self.name()?;
        let mut options = Vec::new();
        if self.word("with") {
            loop {
                options.push(self.option()?);
                if !self.word("and") {
                    break;
                }
            }
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
        let mut create = CreateTable {
            table: self.table_name()?,
            if_not_exists,
            columns: Vec::new(),
            partition_key: Vec::new(),
            clustering_key: Vec::new(),
            clustering_order: Vec::new(),
            options: Vec::new(),
        };
        self.expect_symbol("(")?;
        while !self.symbol(")") {
            if self.words(&["primary", "key"]) {
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
            create.partition_key = vec![definition.name.clone()];
        }
        create.columns.push(definition);
        Ok(())
    }

    fn column_definition(&mut self) -> Result<ColumnDefinition> {
        let name = self.name()?;
        let typ = self.cql_type()?;
        Ok(ColumnDefinition { name, typ, is_static: self.word("static") })
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
                create.clustering_order = self.order_items()?;
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
        let mut alter =
            AlterTable { table, if_exists, add: Vec::new(), drop: Vec::new(), options: Vec::new() };
        if self.word("add") {
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
        } else if self.word("drop") {
            alter.drop = if matches!(self.peek(), Some(Token::Symbol("("))) {
                self.parenthesised(Self::name)?
            } else {
                vec![self.name()?]
            };
        } else if self.word("with") {
            loop {
                alter.options.push(self.option()?);
                if !self.word("and") {
                    break;
                }
            }
        } else {
            return Err(self.unexpected("ADD, DROP or WITH"));
        }
        Ok(alter)
    }
}

/// Option values are kept as the text that `system_schema` shows.
fn plain(term: Term) -> Result<String> {
    match term {
        Term::Text(text) | Term::Integer(text) | Term::Float(text) => Ok(text),
        Term::Boolean(value) => Ok(value.to_string()),
        _ => Err(CqlError::syntax("an option's value is a text, number, boolean or map of these")),
    }
}
