//! Parses DESCRIBE.

use super::ast::Describe;
use super::lexer::Token;
use super::parser::{Parser, Result};

impl Parser {
    /// What follows the word itself.
    pub(super) fn describe(&mut self) -> Result<Describe> {
        // Each of these words is a name too, of a table that is described.
        let is_last = |parser: &Self| matches!(parser.peek_at(1), None | Some(Token::Symbol(";")));
        let lists = [
            ("cluster", Describe::Cluster),
            ("keyspaces", Describe::Keyspaces),
            ("tables", Describe::Tables),
            ("types", Describe::Types),
            ("functions", Describe::Functions),
            ("aggregates", Describe::Aggregates),
            ("schema", Describe::Schema { full: false }),
        ];
        for (word, describe) in lists {
            if self.is_word(0, word) && is_last(self) {
                self.next();
                return Ok(describe);
            }
        }
        if self.words(&["full", "schema"]) {
            return Ok(Describe::Schema { full: true });
        }
        let only = self.is_word(0, "only") && self.is_word(1, "keyspace");
        if only {
            self.next();
        }
        if self.word("keyspace") {
            let has_name = matches!(self.peek(), Some(Token::Word(_) | Token::Quoted(_)));
            let name = if has_name { Some(self.name()?) } else { None };
            return Ok(Describe::Keyspace { name, only });
        }
        if self.words(&["materialized", "view"]) {
            return Ok(Describe::View(self.table_name()?));
        }
        let is_kind = |parser: &Self, word| parser.is_word(0, word) && !is_last(parser);
        let kinds = ["table", "columnfamily", "type", "index", "function", "aggregate"];
        let Some(kind) = kinds.into_iter().find(|kind| is_kind(self, kind)) else {
            return Ok(Describe::Any(self.table_name()?));
        };
        self.next();
        let name = self.table_name()?;
        Ok(match kind {
            "type" => Describe::Type(name),
            "index" => Describe::Index(name),
            "function" => Describe::Function(name),
            "aggregate" => Describe::Aggregate(name),
            _ => Describe::Table(name),
        })
    }
}
