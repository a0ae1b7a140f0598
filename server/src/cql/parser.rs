//! Recursive-descent parser: tokens to syntax tree. Data statements are here, schema statements in
//! `parser_ddl`, those about roles in `parser_roles`, terms and types in `parser_term`.

use std::time::Duration;

use super::ast::*;
use super::lexer::{Token, tokens};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::value::time::whole_ms;

pub(super) type Result<T> = std::result::Result<T, CqlError>;

/// Parses one statement as this database does; a trailing `;` is allowed.
pub(crate) fn parse(text: &str, persona: Persona) -> Result<Parsed> {
    let tokens = tokens(text)?;
    let mut parser =
        Parser { tokens, at: 0, markers: Vec::new(), depth: 0, persona, timeout: None };
    let statement = parser.statement()?;
    while parser.symbol(";") {}
    if parser.peek().is_some() {
        return Err(parser.unexpected("end of statement"));
    }
    Ok(Parsed { statement, markers: parser.markers, timeout: parser.timeout })
}

/// Words that are names only in quotes.
pub(crate) const RESERVED: [&str; 57] = [
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "update",
    "use",
    "using",
    "view",
    "where",
    "with",
];

/// Terms and types nest no deeper than this.
pub(super) const DEPTH_MAX: usize = 32;

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    pub(super) markers: Vec<Option<String>>,
    pub(super) depth: usize,
    /// ScyllaDB's own words are none of Cassandra's.
    pub(super) persona: Persona,
    timeout: Option<Duration>,
}

/// The helpers that every part of the grammar uses.
impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// The token before the next one.
    pub(super) fn taken(&self) -> Option<&Token> {
        self.tokens.get(self.at.checked_sub(1)?)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    pub(super) fn unexpected(&self, wanted: &str) -> CqlError {
        let found = match self.peek() {
            None => "end of text".to_owned(),
            // It may be a password.
            Some(Token::Text(_)) => "a text".to_owned(),
            Some(token) => format!("{token:?}"),
        };
        CqlError::syntax(format!("line 1:0 expected {wanted}, found {found} (token {})", self.at))
    }

    pub(super) fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Token::Word(w)) if w == word)
    }

    /// Takes the keyword if it is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        self.at += usize::from(found);
        found
    }

    /// Takes all the keywords if they are next, or none.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, word)| self.is_word(i, word));
        if found {
            self.at += words.len();
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    /// Takes the symbol if it is next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(symbol)) }
    }

    /// A name: a word that is not reserved, or anything in quotes.
    pub(super) fn name(&mut self) -> Result<String> {
        match self.peek().cloned() {
            Some(Token::Word(name)) if RESERVED.contains(&name.as_str()) => {
                Err(self.unexpected("a name"))
            }
            Some(Token::Word(name) | Token::Quoted(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// A word, reserved or not.
    pub(super) fn any_word(&mut self) -> Result<String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            _ => {
                self.at -= 1;
                Err(self.unexpected("a word"))
            }
        }
    }

    pub(super) fn table_name(&mut self) -> Result<TableName> {
        let first = self.name()?;
        if self.symbol(".") {
            return Ok(TableName { keyspace: Some(first), name: self.name()? });
        }
        Ok(TableName { keyspace: None, name: first })
    }

    /// `( item, … )`
    pub(super) fn parenthesised<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect_symbol("(")?;
        let mut items = Vec::new();
        if self.symbol(")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.symbol(")") {
                return Ok(items);
            }
            self.expect_symbol(",")?;
        }
    }

    pub(super) fn if_exists(&mut self) -> bool {
        self.words(&["if", "exists"])
    }

    pub(super) fn if_not_exists(&mut self) -> bool {
        self.words(&["if", "not", "exists"])
    }
}

impl Parser {
    fn statement(&mut self) -> Result<Statement> {
        let Some(Token::Word(first)) = self.peek().cloned() else {
            return Err(self.unexpected("a statement"));
        };
        match first.as_str() {
            "begin" => self.batch(),
            "truncate" => {
                self.at += 1;
                if !self.word("table") {
                    self.word("columnfamily");
                }
                let table = self.table_name()?;
                self.using_timeout()?;
                Ok(Statement::Truncate(table))
            }
            "describe" | "desc" => {
                self.at += 1;
                self.describe().map(Statement::Describe)
            }
            "use" => {
                self.at += 1;
                Ok(Statement::Use(self.name()?))
            }
            "create" | "alter" | "drop" if self.is_word(1, "role") || self.is_word(1, "user") => {
                self.role_definition().map(Statement::Role)
            }
            "add" | "drop" if self.is_word(1, "identity") => self.identity(),
            "grant" | "revoke" | "list" => self.privileges().map(Statement::Role),
            "create" | "alter" | "drop" => self.ddl().map(Statement::Ddl),
            _ => self.data_statement(),
        }
    }

    fn data_statement(&mut self) -> Result<Statement> {
        if self.word("select") {
            self.select().map(Statement::Select)
        } else if self.word("insert") {
            self.insert().map(Statement::Insert)
        } else if self.word("update") {
            self.update().map(Statement::Update)
        } else if self.word("delete") {
            self.delete().map(Statement::Delete)
        } else {
            Err(self.unexpected("a statement"))
        }
    }

    fn batch(&mut self) -> Result<Statement> {
        self.expect_word("begin")?;
        let kind = if self.word("unlogged") {
            BatchKind::Unlogged
        } else if self.word("counter") {
            BatchKind::Counter
        } else {
            BatchKind::Logged
        };
        self.expect_word("batch")?;
        let using = self.using()?;
        let mut statements = Vec::new();
        while !self.words(&["apply", "batch"]) {
            if self.is_word(0, "select") {
                return Err(self.unexpected("a modification"));
            }
            statements.push(self.data_statement()?);
            while self.symbol(";") {}
        }
        Ok(Statement::Batch(TextBatch { kind, using, statements }))
    }

    fn select(&mut self) -> Result<Select> {
        // Both are names as well, of columns.
        let is_name = |parser: &Self| match parser.peek_at(1) {
            Some(Token::Symbol(symbol)) => *symbol != "*",
            Some(Token::Word(word)) => word == "from" || word == "as",
            Some(_) => false,
            None => true,
        };
        let json = self.is_word(0, "json") && !is_name(self);
        self.at += usize::from(json);
        let distinct = self.is_word(0, "distinct") && !is_name(self);
        self.at += usize::from(distinct);
        let selectors = self.selectors()?;
        self.expect_word("from")?;
        let table = self.table_name()?;
        let relations = if self.word("where") { self.relations()? } else { Vec::new() };
        let mut select = Select {
            table,
            selectors,
            distinct,
            json,
            relations,
            group_by: Vec::new(),
            order_by: Vec::new(),
            nearest: None,
            limit: None,
            per_partition_limit: None,
            allow_filtering: false,
        };
        if self.words(&["group", "by"]) {
            loop {
                if self.is_function() {
                    let name = self.function_name()?.name;
                    let message = format!("GROUP BY {name}(…) is not supported by this node");
                    return Err(CqlError::invalid(message));
                }
                select.group_by.push(self.name()?);
                if !self.symbol(",") {
                    break;
                }
            }
        }
        if self.words(&["order", "by"]) {
            if self.is_word(1, "ann") {
                let column = self.name()?;
                self.at += 1;
                self.expect_word("of")?;
                select.nearest = Some((column, self.term()?));
            } else {
                select.order_by = self.order_items()?;
            }
        }
        if self.words(&["per", "partition", "limit"]) {
            select.per_partition_limit = Some(self.whole_number("[per_partition_limit]")?);
        }
        if self.word("limit") {
            select.limit = Some(self.whole_number("[limit]")?);
        }
        select.allow_filtering = self.words(&["allow", "filtering"]);
        if self.persona == Persona::Scylla {
            self.words(&["bypass", "cache"]);
        }
        self.using_timeout()?;
        Ok(select)
    }

    /// `column [ASC|DESC], …`
    pub(super) fn order_items(&mut self) -> Result<Vec<(String, bool)>> {
        let mut items = Vec::new();
        loop {
            let column = self.name()?;
            let desc = self.word("desc");
            if !desc {
                self.word("asc");
            }
            items.push((column, desc));
            if !self.symbol(",") {
                return Ok(items);
            }
        }
    }

    pub(super) fn relations(&mut self) -> Result<Vec<Relation>> {
        let mut relations = vec![self.relation()?];
        while self.word("and") {
            relations.push(self.relation()?);
        }
        Ok(relations)
    }

    fn relation(&mut self) -> Result<Relation> {
        if matches!(self.peek(), Some(Token::Symbol("("))) {
            return self.tuple_relation();
        }
        if self.is_word(0, "token") && matches!(self.peek_at(1), Some(Token::Symbol("("))) {
            self.at += 1;
            let columns = self.parenthesised(Self::name)?;
            let operator = self.operator()?;
            return Ok(Relation::Token(columns, operator, self.term()?));
        }
        let column = self.name()?;
        if self.words(&["contains", "key"]) {
            return Ok(Relation::ContainsKey(column, self.term()?));
        }
        if self.word("contains") {
            return Ok(Relation::Contains(column, self.term()?));
        }
        if self.words(&["is", "not", "null"]) {
            return Ok(Relation::IsNotNull(column));
        }
        if self.word("like") {
            let message =
                format!("LIKE restriction is only supported on properly indexed columns: {column}");
            return Err(CqlError::invalid(message));
        }
        if self.symbol("[") {
            let key = self.term()?;
            self.expect_symbol("]")?;
            if self.operator()? != Operator::Eq {
                let message = "Only EQ relations are supported on map entries";
                return Err(CqlError::invalid(message));
            }
            return Ok(Relation::Entry(column, key, self.term()?));
        }
        if !self.word("in") {
            let operator = self.operator()?;
            if operator == Operator::NotEq {
                let message = format!("Unsupported \"!=\" relation: {column} != …");
                return Err(CqlError::invalid(message));
            }
            return Ok(Relation::Compare(column, operator, self.term()?));
        }
        let list = self.in_list(&column)?;
        Ok(Relation::In(column, list))
    }

    /// What stands after IN.
    fn in_list(&mut self, name: &str) -> Result<InList> {
        if matches!(self.peek(), Some(Token::Symbol("("))) {
            return Ok(InList::Terms(self.parenthesised(Self::term)?));
        }
        Ok(InList::Marker(self.marker_as(&format!("in({name})"))?))
    }

    /// `(a, b) op …`, or a relation in brackets.
    fn tuple_relation(&mut self) -> Result<Relation> {
        if !matches!(self.peek_at(2), Some(Token::Symbol(")" | ","))) {
            self.expect_symbol("(")?;
            let relation = self.nested(Self::relation)?;
            self.expect_symbol(")")?;
            return Ok(relation);
        }
        let columns = self.parenthesised(Self::name)?;
        let names = columns.join(",");
        if self.word("in") {
            let list = self.in_list(&format!("({names})"))?;
            return Ok(Relation::TupleIn(columns, list));
        }
        let operator = self.operator()?;
        if !matches!(self.peek(), Some(Token::Symbol("(" | ":") | Token::Marker)) {
            return Err(self.unexpected("a tuple"));
        }
        let term = self.term_as(&format!("({names})"))?;
        Ok(Relation::Tuple(columns, operator, term))
    }

    fn operator(&mut self) -> Result<Operator> {
        let operator = match self.peek() {
            Some(Token::Symbol("=")) => Operator::Eq,
            Some(Token::Symbol("!=")) => Operator::NotEq,
            Some(Token::Symbol("<")) => Operator::Lt,
            Some(Token::Symbol("<=")) => Operator::LtEq,
            Some(Token::Symbol(">")) => Operator::Gt,
            Some(Token::Symbol(">=")) => Operator::GtEq,
            _ => return Err(self.unexpected("a comparison")),
        };
        self.at += 1;
        Ok(operator)
    }

    fn insert(&mut self) -> Result<Insert> {
        self.expect_word("into")?;
        let table = self.table_name()?;
        let values = if self.word("json") {
            let text = match self.peek() {
                Some(Token::Text(_) | Token::Marker | Token::Symbol(":")) => {
                    self.term_as("[json]")?
                }
                _ => return Err(self.unexpected("a text of JSON")),
            };
            let keeps_others = self.words(&["default", "unset"]);
            self.words(&["default", "null"]);
            InsertValues::Json { text, keeps_others }
        } else {
            let columns = self.parenthesised(Self::name)?;
            if columns.is_empty() {
                return Err(self.unexpected("a column"));
            }
            self.expect_word("values")?;
            let terms = self.parenthesised(Self::term)?;
            if columns.len() != terms.len() {
                return Err(CqlError::invalid("Unmatched column names/values"));
            }
            InsertValues::Columns(columns.into_iter().zip(terms).collect())
        };
        let if_not_exists = self.if_not_exists();
        let using = self.using()?;
        Ok(Insert { table, values, if_not_exists, using })
    }

    fn update(&mut self) -> Result<Update> {
        let table = self.table_name()?;
        let using = self.using()?;
        self.expect_word("set")?;
        let mut assignments = vec![self.assignment()?];
        while self.symbol(",") {
            assignments.push(self.assignment()?);
        }
        check_assignments(&assignments)?;
        self.expect_word("where")?;
        let relations = self.relations()?;
        let condition = self.condition()?;
        Ok(Update { table, using, assignments, relations, condition })
    }

    fn assignment(&mut self) -> Result<Assignment> {
        let column = match self.place()? {
            Place::Column(column) => column,
            Place::Element(column, key) => {
                self.expect_symbol("=")?;
                return Ok(Assignment::Element(column, key, self.term()?));
            }
            Place::Field(column, field) => {
                self.expect_symbol("=")?;
                return Ok(Assignment::Field(column, field, self.term()?));
            }
        };
        if self.symbol("+=") {
            return Ok(Assignment::Add(column, self.term()?));
        }
        if self.symbol("-=") {
            return Ok(Assignment::Subtract(column, self.term()?));
        }
        self.expect_symbol("=")?;
        let sign = match self.peek_at(1) {
            Some(Token::Symbol("+")) => Some(true),
            Some(Token::Symbol("-")) => Some(false),
            _ => None,
        };
        if let (true, Some(add)) = (self.is_name(0, &column), sign) {
            self.at += 2;
            let term = self.term()?;
            return Ok(if add {
                Assignment::Add(column, term)
            } else {
                Assignment::Subtract(column, term)
            });
        }
        let first = self.factor()?;
        if matches!(self.peek(), Some(Token::Symbol("+"))) && self.is_name(1, &column) {
            self.at += 2;
            return Ok(Assignment::Prepend(column, first));
        }
        Ok(Assignment::Set(column, self.sum_from(first)?))
    }

    /// Whether this name stands so many tokens ahead.
    fn is_name(&self, ahead: usize, name: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Token::Word(w) | Token::Quoted(w)) if w == name)
    }

    /// `column`, `column[key]` or `column.field`
    fn place(&mut self) -> Result<Place> {
        let column = self.name()?;
        if self.symbol("[") {
            let key = self.term()?;
            self.expect_symbol("]")?;
            return Ok(Place::Element(column, key));
        }
        if self.symbol(".") {
            return Ok(Place::Field(column, self.name()?));
        }
        Ok(Place::Column(column))
    }

    fn delete(&mut self) -> Result<Delete> {
        let mut places = Vec::new();
        if !self.is_word(0, "from") {
            places.push(self.place()?);
            while self.symbol(",") {
                places.push(self.place()?);
            }
        }
        self.expect_word("from")?;
        let table = self.table_name()?;
        let using = self.using_of_delete()?;
        self.expect_word("where")?;
        let relations = self.relations()?;
        let condition = self.condition()?;
        Ok(Delete { table, places, using, relations, condition })
    }

    fn condition(&mut self) -> Result<Condition> {
        if self.if_exists() {
            return Ok(Condition::Exists);
        }
        if !self.word("if") {
            return Ok(Condition::None);
        }
        let mut columns = Vec::new();
        loop {
            let place = self.place()?;
            let comparison = if self.words(&["contains", "key"]) {
                Comparison::ContainsKey(self.term()?)
            } else if self.word("contains") {
                Comparison::Contains(self.term()?)
            } else if self.word("in") {
                let (Place::Column(name) | Place::Element(name, _) | Place::Field(name, _)) =
                    &place;
                Comparison::In(self.in_list(&name.clone())?)
            } else {
                Comparison::With(self.operator()?, self.term()?)
            };
            columns.push((place, comparison));
            if !self.word("and") {
                return Ok(Condition::Columns(columns));
            }
        }
    }

    /// `USING TIMESTAMP t AND TTL s AND TIMEOUT d`, in any order.
    fn using(&mut self) -> Result<Using> {
        let mut using = Using::default();
        if !self.word("using") {
            return Ok(using);
        }
        loop {
            if self.word("timestamp") {
                using.timestamp = Some(self.whole_number("[timestamp]")?);
            } else if self.word("ttl") {
                using.ttl = Some(self.whole_number("[ttl]")?);
            } else if self.persona == Persona::Scylla && self.word("timeout") {
                self.timeout()?;
            } else {
                return Err(self.unexpected("TIMESTAMP or TTL"));
            }
            if !self.word("and") {
                return Ok(using);
            }
        }
    }

    /// `USING TIMESTAMP t`; as ScyllaDB, with TIMEOUT too.
    fn using_of_delete(&mut self) -> Result<Using> {
        if self.persona == Persona::Scylla {
            let using = self.using()?;
            return match using.ttl {
                Some(_) => Err(CqlError::syntax("a DELETE has no TTL")),
                None => Ok(using),
            };
        }
        let mut using = Using::default();
        if self.word("using") {
            self.expect_word("timestamp")?;
            using.timestamp = Some(self.whole_number("[timestamp]")?);
        }
        Ok(using)
    }

    /// A number, or a marker called `name`.
    fn whole_number(&mut self, name: &str) -> Result<Term> {
        let at = usize::from(matches!(self.peek(), Some(Token::Symbol("-"))));
        match self.peek_at(at) {
            Some(Token::Integer(_)) => self.factor(),
            Some(Token::Marker | Token::Symbol(":")) if at == 0 => self.term_as(name),
            _ => Err(self.unexpected("a whole number")),
        }
    }

    /// `USING TIMEOUT d` of ScyllaDB.
    pub(super) fn using_timeout(&mut self) -> Result<()> {
        let is_next = self.persona == Persona::Scylla && self.words(&["using", "timeout"]);
        if is_next { self.timeout() } else { Ok(()) }
    }

    fn timeout(&mut self) -> Result<()> {
        let Some(Token::Duration(text)) = self.peek() else {
            return Err(self.unexpected("a duration"));
        };
        let ms = whole_ms(text).ok_or_else(|| {
            CqlError::invalid(
                "Timeout values cannot have granularity finer than milliseconds, be negative, or \
                 hold days or months",
            )
        })?;
        self.at += 1;
        self.timeout = Some(Duration::from_millis(ms));
        Ok(())
    }

    /// `ADD IDENTITY`, `DROP IDENTITY`: certificates in the place of passwords.
    fn identity(&mut self) -> Result<Statement> {
        if self.persona == Persona::Scylla {
            return Err(self.unexpected("a statement"));
        }
        Err(CqlError::invalid(
            "IDENTITY is not supported by this node: nobody logs in by certificate",
        ))
    }
}

/// A column that is set as a whole is named by no other assignment.
fn check_assignments(assignments: &[Assignment]) -> Result<()> {
    let name = |assignment: &Assignment| match assignment {
        Assignment::Set(name, _)
        | Assignment::Add(name, _)
        | Assignment::Prepend(name, _)
        | Assignment::Subtract(name, _)
        | Assignment::Element(name, ..)
        | Assignment::Field(name, ..) => name.clone(),
    };
    for (index, assignment) in assignments.iter().enumerate() {
        let same = |other: &&Assignment| name(other) == name(assignment);
        let mut others = assignments.iter().take(index).filter(same);
        let is_whole = |assignment: &Assignment| matches!(assignment, Assignment::Set(..));
        if others.any(|other| is_whole(other) || is_whole(assignment)) {
            let message = format!("Multiple incompatible setting of column {}", name(assignment));
            return Err(CqlError::syntax(message));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
